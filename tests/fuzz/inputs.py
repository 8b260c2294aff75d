"""Inputs for the decoder: frames of every type that are whole but for what was done to them, and bytes that are none.

Deterministic by seed, and cheap: ten million of them are made in minutes. More than half carry a valid length and CRC, for a
decoder that refuses everything at the CRC has seen nothing (DECISIONS 34).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from charging_core.piles.protocols.ykc.codec import LARGEST_LENGTH
from charging_core.piles.protocols.ykc.crc import crc_bytes
from charging_core.piles.protocols.ykc.layout import Layout
from charging_core.piles.protocols.ykc.tables.directory import TABLES
from tests.charging_core.piles.test_ykc_codec import EXAMPLES, OFFICIAL

LARGEST_BODY = LARGEST_LENGTH - 4
TYPES = (*TABLES, 0x00, 0x39, 0x3F, 0x77, 0xFF)
"""All published types, and some that nobody published."""
SIZES = {kind: Layout(table.fields).size for kind, table in TABLES.items()}
SEEDS = tuple(bytes.fromhex(sample) for sample in (*OFFICIAL.values(), *EXAMPLES.values()))
_TIMES = (b"\0" * 7, b"\xff" * 7, bytes.fromhex("98B70E11100314"), bytes.fromhex("98B78E11100314"))
_EDGES = (b"\0", b"\xff", b"\x7f", b"\x80", b"\x68", b"\x99")


def framed(kind: int, body: bytes, sequence: bytes = b"\0\0", encrypt: int = 0, *, reversed_crc: bool = False) -> bytes:
    """A frame with valid length and CRC."""
    covered = sequence + bytes((encrypt, kind)) + body[:LARGEST_BODY]
    crc = crc_bytes(covered)
    return bytes((0x68, len(covered))) + covered + (crc[::-1] if reversed_crc else crc)


class Inputs:
    """An endless supply. `learned` grows with inputs that showed something new and are varied further."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.learned: list[bytes] = list(SEEDS)
        self._makers: Sequence[Callable[[], bytes]] = (
            self._whole, self._whole, self._whole_of_length, self._learned_repaired, self._learned_repaired,
            self._learned_broken, self._stream, self._noise_or_2x,
        )  # fmt: skip

    def one(self) -> bytes:
        """The next input."""
        return self._random.choice(self._makers)()

    def _whole(self) -> bytes:
        """A frame of the published size for its type, or a little more or less."""
        kind = self._random.choice(TYPES)
        size = SIZES.get(kind, 20) + self._random.choice((0, 0, 0, 0, 1, 16, 80, -1, -7))
        return self._frame(kind, self._body(max(0, size)))

    def _whole_of_length(self) -> bytes:
        return self._frame(self._random.choice(TYPES), self._body(self._random.randrange(LARGEST_BODY + 1)))

    def _frame(self, kind: int, body: bytes) -> bytes:
        draw = self._random.random()
        return framed(kind, body, self._random.randbytes(2), int(draw < 0.05), reversed_crc=draw > 0.9)

    def _body(self, size: int) -> bytes:
        body = self._random.randbytes(size) if self._random.random() < 0.6 else bytes(size)
        if size > 40 and self._random.random() < 0.3:
            place = self._random.choice((24, 31, 142, 185)) % size
            body = (body[:place] + self._random.choice(_TIMES) + body[place + 7 :])[:size]
        return body

    def _learned_repaired(self) -> bytes:
        """Something that was interesting, changed inside, with length and CRC made right again."""
        wire = self._changed(self._random.choice(self.learned))
        return self._frame(wire[5], wire[6:-2]) if len(wire) >= 8 else self._whole()

    def _learned_broken(self) -> bytes:
        return self._changed(self._random.choice(self.learned))

    def _changed(self, wire: bytes) -> bytes:
        changed = bytearray(wire)
        for _ in range(self._random.choice((1, 1, 2, 4))):
            place = self._random.randrange(len(changed) + 1)
            piece = self._random.choice(_EDGES) if self._random.random() < 0.5 else self._random.randbytes(1)
            changed[place : place + self._random.choice((0, 1, 1, 1, 9))] = piece
        return bytes(changed[:400])

    def _stream(self) -> bytes:
        """Glued frames with something between them, cut at the end."""
        parts = [self._whole(), self._random.randbytes(self._random.randrange(3)), self._random.choice(self.learned)]
        whole = b"".join(parts)
        return whole[: self._random.randrange(len(whole) + 1)] if self._random.random() < 0.5 else whole

    def _noise_or_2x(self) -> bytes:
        """Bytes that mean nothing, or a frame with the header of protocol 2.x, which is to be recognised."""
        noise = self._random.randbytes(self._random.randrange(64))
        if self._random.random() < 0.7:
            return noise
        return b"\x68" + len(noise).to_bytes(2, "little") + noise + crc_bytes(noise)
