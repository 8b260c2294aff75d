"""What can go wrong in a simulated pile.

SimulatorError
├── FrameError     bytes that are no frame, or a value that does not fit its field
├── ConfigError    a configuration (file, control request) that describes no pile
│   └── ScenarioError  a scenario file with all its problems
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


class ScenarioError(ConfigError):
    """Raised when a scenario file is not valid; `problems` are (line, text), line 0 where none can be named."""

    def __init__(self, problems: list[tuple[int, str]]) -> None:
        super().__init__("; ".join(f"line {line}: {text}" if line else text for line, text in problems))
        self.problems = problems
