"""Which frames of a connection are kept, so that a person can later read how a charge went (DESIGN: one page per order).

Kept are log-ins and everything that begins, ends or accounts for a charge; of its samples one in five minutes and every change of
status. The periodic frames between them say nothing that the samples do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from charging_core.piles.events import FrameSeen
from charging_core.piles.protocols.ykc import mapping
from charging_core.piles.protocols.ykc.codec import Frame
from charging_core.piles.protocols.ykc.talk import Talk
from charging_core.piles.writers import Room

LOGIN, SAMPLE, CHARGING = 0x01, 0x13, 3
SAMPLE_EVERY = timedelta(minutes=5)
"""A charge of an hour keeps a dozen samples: enough for its curve, a thirtieth of what was sent."""
_BEGIN_AND_END = {0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x3B, 0x3D, 0x40, 0x41, 0x42, 0xA1, 0xA2, 0xA3, 0xA4}
KEPT = frozenset({LOGIN, 0x02, 0x19, 0x1B, 0x1D, 0x21, *_BEGIN_AND_END})


@dataclass(slots=True)
class _LastKept:
    trade_number: str
    status: int
    at: datetime


@dataclass(slots=True)
class FrameKeeper:
    """Offers the frames of one connection that are worth keeping to the writer threads; they may refuse it (P15)."""

    talk: Talk
    _samples: dict[tuple[str, str], _LastKept] = field(default_factory=dict)

    def received(self, frame: Frame, raw: bytes) -> None:
        """A frame came in. Only log-ins are kept of piles that are not logged in."""
        code = frame.fields.get("pile_code")
        if code is None or (code not in self.talk.piles and frame.type != LOGIN):
            return
        if frame.type in KEPT or (frame.type == SAMPLE and self._worth_it(frame.fields)):
            self._keep(frame.type, frame.fields, raw)

    def sent(self, frame_type: int, fields: Mapping[str, Any], raw: bytes) -> None:
        """A frame goes out."""
        if frame_type in KEPT:
            self._keep(frame_type, fields, raw)

    def _worth_it(self, fields: Mapping[str, Any]) -> bool:
        status, trade = fields.get("status"), fields.get("trade_number", "")
        key, now = (fields["pile_code"], fields.get("connector_no", "")), self.talk.link.now()
        last = self._samples.get(key)
        if last is None and status != CHARGING:
            return False
        if last is not None and (last.trade_number, last.status) == (trade, status) and now - last.at < SAMPLE_EVERY:
            return False
        if status == CHARGING:
            self._samples[key] = _LastKept(trade, status, now)
        else:
            del self._samples[key]
        return True

    def _keep(self, frame_type: int, fields: Mapping[str, Any], raw: bytes) -> None:
        trade = mapping.known_trade(fields.get("trade_number"))
        # A confirmation names its record only; our trade numbers begin with the pile's code.
        code = str(fields.get("pile_code") or (trade or "")[:14])
        connector = fields.get("connector_no")
        number = None if connector is None else mapping.connector_number(connector)
        event = FrameSeen(code, number, trade, "ykc", frame_type, raw.hex(), self.talk.link.now())
        self.talk.offer(code, event, Room.SAMPLE)
