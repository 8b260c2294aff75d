"""Which tests stay together when several processes share the suite.

A module stays in one process, so that what its fixtures started is started once. Folders that share something larger (a whole
running house, a wheel in a fresh environment) stay together as a whole, and go first, because they take longest.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler.loadscope import LoadScopeScheduling

SHARED = {
    "packaging": "wheel",
    "soak": "soak",
    "e2e": "stage",
    "chaos": "stage",
    "interop": "stage",
    "conformance": "conformance",
}
"""Folder of the tests: name of what they share. The soak shares nothing; it is long, and so begins early."""


def shared(path: str) -> str | None:
    """What the tests of a file or node id share with those of other files; None for most."""
    return next((SHARED[part] for part in PurePosixPath(path.split("::", maxsplit=1)[0]).parts if part in SHARED), None)


def turn(path: str) -> int:
    """Place in the order of the run: what is shared most widely first, everything else after it."""
    order = list(dict.fromkeys(SHARED.values()))
    return order.index(name) if (name := shared(path)) else len(order)


class Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out one module, or one shared folder, at a time.

    Not by the mark `xdist_group`: pytest 9.2 builds node ids of its own, so that the mark is lost on the way.
    """

    def _split_scope(self, nodeid: str) -> str:
        return shared(nodeid) or nodeid.split("::", maxsplit=1)[0]
