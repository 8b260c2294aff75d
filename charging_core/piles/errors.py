"""What the pile room may raise.

PileError
├── PortUnavailable        the listening address cannot be bound
├── ServerState            the server was asked for something its state does not allow (started twice)
├── BadTariff              a tariff does not fit what piles can express
└── protocols.ykc.errors.YkcError
"""

from charging_core.errors import CoreError


class PileError(CoreError):
    """Root of the pile room's errors; never raised itself."""


class PortUnavailable(PileError):
    """Raised by `PileServer.start` when an address cannot be bound; names it. `also`: it is that of the other protocol."""

    def __init__(self, host: str, port: int, cause: OSError, *, also: bool = False) -> None:
        super().__init__(
            f"充电桩服务无法监听 {host}:{port}; pile server cannot listen on {host}:{port}: {cause.strerror}"
        )
        self.host = host
        self.port = port
        self.also = also


class ServerState(PileError):
    """Raised when a server is started twice, or asked for its port before it runs."""


class BadTariff(PileError):
    """Raised when a tariff does not have four price pairs, 48 slots of 0…3 and a model number of 4 hex digits."""
