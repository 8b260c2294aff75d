"""The target of libFuzzer (atheris): an even first byte wraps the rest into a frame with valid length and CRC."""

from __future__ import annotations

import sys

PACKAGE = "charging_core.piles.protocols.ykc"


def wire_of(given: bytes) -> bytes:
    """The input that libFuzzer's bytes stand for: at least half are whole frames (DECISIONS 34)."""
    from tests.fuzz.inputs import framed

    if len(given) < 5 or given[0] % 4 == 3:
        return given[1:]
    return framed(given[1], given[5:], given[2:4], given[4] == 1, reversed_crc=given[0] % 8 == 0)


def main() -> None:
    """Run libFuzzer with the flags of the command line."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    with atheris.instrument_imports(include=[PACKAGE]):  # so nothing of it may be imported before
        from tests.fuzz import promises

    def one(given: bytes) -> None:
        promises.examine(wire_of(given), len(given))

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
