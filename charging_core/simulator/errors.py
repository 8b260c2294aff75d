"""What can go wrong in a simulated pile.

SimulatorError
├── FrameError     bytes that are no frame, or a value that does not fit its field
├── ConfigError    a configuration (file, control request) that describes no pile
└── ActionError    an action the pile cannot do now: plug twice, unknown connector
"""


class SimulatorError(Exception):
    """Root of all errors raised by this package."""


class FrameError(SimulatorError):
    """Raised when bytes are not a whole valid frame, or when a value cannot be coded in its field."""


class ConfigError(SimulatorError):
    """Raised when settings, faults or a configuration file are not valid; the text names the place."""


class ActionError(SimulatorError):
    """Raised when somebody asks for an action that is impossible in the pile's present state."""
