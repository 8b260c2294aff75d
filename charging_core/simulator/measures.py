"""What is measured while simulated piles talk: how long the platform takes to answer, which answers are missing. Real seconds."""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from charging_core.simulator.layouts import FrameType

ASKED: Mapping[int, tuple[str, int]] = MappingProxyType(
    {
        FrameType.LOGIN: ("login", FrameType.LOGIN_REPLY),
        FrameType.HEARTBEAT: ("heartbeat", FrameType.HEARTBEAT_REPLY),
        FrameType.START_REQUEST: ("start_request", FrameType.START_REQUEST_REPLY),
        FrameType.PARALLEL_REQUEST: ("start_request", FrameType.PARALLEL_REQUEST_REPLY),
        FrameType.RECORD: ("record", FrameType.RECORD_REPLY),
    }
)
"""What a pile sends that must be answered: its name, and the type of the answer."""
ANSWERS: Mapping[int, str] = MappingProxyType({answer: name for name, answer in ASKED.values()})

ANSWERED_ONCE = frozenset({"login"})
"""Repeated while the first one is being decided: one answer serves all."""
KINDS = ("login", "heartbeat", "start_request", "record")
COUNTED = (
    "piles",
    "connectors",
    "piles_online",
    "charges_begun",
    "charges_ended",
    "energy_kwh",
    "records_sent",
    "records_confirmed",
    "records_unconfirmed",
    "start_requests",
    "requests_refused",
    "requests_unanswered",
    "starts_given_up",
    "reconnects",
    "frames_up",
    "frames_down",
    "answers_missing",
    "actions_impossible",
    "ocpp_piles",
    "ocpp_charges",
    "ocpp_messages_waiting",
)
MEASURES: tuple[str, ...] = (*COUNTED, *(f"{kind}_{part}_ms" for kind in KINDS for part in ("p50", "p99")))
"""Names that an expectation may use."""

# enough for a p99 that means something; of more answers every n-th counts
_MOST = 20_000


class Meter:
    """One for all piles of a process. Everything happens on the event loop."""

    def __init__(self) -> None:
        self._took: dict[str, list[float]] = defaultdict(list)
        self._seen: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()

    def answered(self, kind: str, seconds: float) -> None:
        """An answer came after so many real seconds."""
        self._seen[kind] += 1
        took = self._took[kind]
        if len(took) < _MOST:
            took.append(seconds)
        else:
            took[self._seen[kind] % _MOST] = seconds

    def never_answered(self, kind: str, times: int) -> None:
        """The link ended before so many answers came."""
        self.missing[kind] += times

    def report(self) -> dict[str, dict[str, Any]]:
        """By kind: how many answers, half of them and 99 of 100 within so many milliseconds, how many never came."""
        return {
            kind: {
                "answers": self._seen[kind],
                "p50_ms": _quantile(self._took[kind], 0.5),
                "p99_ms": _quantile(self._took[kind], 0.99),
                "missing": self.missing[kind],
            }
            for kind in KINDS
        }


class Stopwatch:
    """One connection's questions that wait for an answer: by kind and what tells them apart (connector, trade number)."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._asked: dict[tuple[str, str], deque[float]] = defaultdict(deque)

    def sent(self, frame_type: int, fields: Mapping[str, Any], now: float) -> None:
        """A frame left. One that is sent again wants an answer of its own."""
        if frame_type in ASKED:
            self._asked[ASKED[frame_type][0], _which(fields)].append(now)

    def received(self, frame_type: int, fields: Mapping[str, Any], now: float) -> None:
        """A frame came: the answer to the oldest question of its kind about the same."""
        kind = ANSWERS.get(frame_type)
        asked = self._asked.get((kind, _which(fields))) if kind is not None else None
        if kind is not None and asked:
            self._meter.answered(kind, now - asked.popleft())
            if not asked or kind in ANSWERED_ONCE:
                del self._asked[kind, _which(fields)]

    def ended(self) -> None:
        """The link is gone: what was asked on it is never answered."""
        for (kind, _), asked in self._asked.items():
            self._meter.never_answered(kind, len(asked))
        self._asked.clear()


def _which(fields: Mapping[str, Any]) -> str:
    """A record is known by its trade number, everything else by its connector."""
    if "trade_number" in fields and "balance" not in fields:
        return str(fields["trade_number"])
    return str(fields.get("connector", ""))


def _quantile(values: list[float], share: float) -> float | None:
    """In milliseconds, one decimal; none of nothing."""
    if not values:
        return None
    return round(sorted(values)[min(len(values) - 1, int(share * len(values)))] * 1000, 1)
