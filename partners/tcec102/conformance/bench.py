"""What checks work with: the target, a way to send, and what earlier checks have learned."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from charging_core.clock import Clock, to_china
from partners.tcec102.conformance.drafts import Draft, json_bytes
from partners.tcec102.conformance.listening import PushListener
from partners.tcec102.conformance.model import NotTried, Unmet
from partners.tcec102.conformance.seen import Seen
from partners.tcec102.conformance.target import Target
from partners.tcec102.contract import Contract
from partners.tcec102.errors import RET_BUSY, TransportError
from partners.tcec102.sending import HttpPost, Limits, Sending, ThreadSessions
from partners.tcec102.timestamps import SeqCounter

BUSY_PAUSES_S = (0.2, 1.0, 3.0)
"""Waits before a call is repeated that met Ret -1; a rate limit of a few calls a second lets it through then."""
TOKEN = "query_token"  # noqa: S105 - the name of an interface


@dataclass
class Learned:
    """Facts of the examined side that later checks build on."""

    token: str = field(default="", repr=False)
    token_until: float = 0.0
    stations: list[dict[str, Any]] = field(default_factory=list)
    charge: dict[str, Any] = field(default_factory=dict)


class Bench:
    """One examination under way. Not for threads, except its listener.

    :param listener: where an examined CPO pushes to; without it pushes are not examined.
    """

    def __init__(
        self,
        target: Target,
        base_url: str,
        contract: Contract,
        clock: Clock,
        *,
        listener: PushListener | None = None,
        limits: Limits = Limits(5.0, 20.0, 30.0),  # noqa: B008 - a constant tuple
        verify_tls: bool = True,
        http: HttpPost | None = None,
    ) -> None:
        self.target = target
        self.base_url = base_url.rstrip("/")
        self.contract = contract
        self.clock = clock
        self.listener = listener
        self.keys = target.keys.key_set()
        self.learned = Learned()
        self._limits = limits
        self._verify_tls = verify_tls
        self._own = ThreadSessions()
        self._http = http or self._own
        self._seq = SeqCounter(clock)
        self._numbers = count(1)

    def close(self) -> None:
        """Close the connections."""
        self._own.close()

    # -- sending

    def draft(self, interface: str, body: dict[str, Any]) -> Draft:
        """A right request; its token is fetched when there is none that still lives."""
        return self.draft_of(interface, json_bytes(body))

    def draft_of(self, interface: str, plain: bytes) -> Draft:
        """The same for a plain text that may be anything."""
        described = self.contract.get(interface)
        needs_token = described is None or described.needs_token
        timestamp, seq = self._seq.next()
        authorization = f"Bearer {self.token()}" if needs_token else None
        return Draft(interface, plain, self.target.operator_id, timestamp, seq, self.keys, authorization)

    def send(self, draft: Draft) -> Seen:
        """Send it and read the answer; one that says "busy, later" (Ret -1) is asked again a few times. Raises `Unmet`."""
        for pause_s in BUSY_PAUSES_S:
            seen = self._send_once(draft)
            if seen.ret != RET_BUSY:
                return seen
            threading.Event().wait(pause_s)
        return self._send_once(draft)

    def _send_once(self, draft: Draft) -> Seen:
        sending = Sending(
            draft.interface,
            f"{self.base_url}/{draft.interface}",
            draft.body,
            authorization=draft.authorization,
            limits=self._limits,
            verify_tls=self._verify_tls,
        )
        try:
            attempt = sending.run(self._http)
        except TransportError as error:
            raise Unmet(f"没有应答 / no answer: {error}") from error
        return Seen.of(attempt.http_status or 0, attempt.reply_raw, sending.seconds)

    def ask(self, interface: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call an interface rightly and hold its answer against the letter of the standard. Raises `Unmet`."""
        return self.send(self.draft(interface, body)).opened(self.keys, self.contract[interface].reply)

    # -- token

    def token(self) -> str:
        """A token that lives; asks for one when there is none. Raises `Unmet`."""
        if not self.learned.token or time.monotonic() > self.learned.token_until:
            self.renew_token()
        return self.learned.token

    def renew_token(self) -> dict[str, Any]:
        """Ask for a token and use it from now on; the answer. Raises `Unmet`."""
        answer = self.ask(TOKEN, self.token_request())
        if answer["SuccStat"] != 0 or not answer["AccessToken"]:
            raise Unmet(f"没有发放令牌 / no token was given: FailReason {answer['FailReason']}", "AccessToken")
        self.learned.token = answer["AccessToken"]
        self.learned.token_until = time.monotonic() + answer["TokenAvailableTime"] / 2
        return answer

    def token_request(self) -> dict[str, Any]:
        """The right body of `query_token`."""
        return {"OperatorID": self.target.operator_id, "OperatorSecret": self.target.keys.operator_secret}

    # -- ids

    def sequence(self) -> str:
        """A new 27-character sequence of ours."""
        return f"{self.target.operator_id}{to_china(self.clock.now()):%y%m%d%H%M%S}{next(self._numbers):06d}"

    def station(self) -> dict[str, Any]:
        """The station that checks are made with. Raises `NotTried` when none is listed."""
        wanted = self.target.station_id
        for station in self.learned.stations:
            if (wanted in (None, station["StationID"])) and _connectors(station):
                return station
        raise NotTried("没有列出可用的充电站 / no station with a connector is listed")

    def connector_id(self) -> str:
        """The connector that checks are made with. Raises `NotTried`."""
        return self.target.connector_id or _connectors(self.station())[0]

    def other_connector_id(self) -> str | None:
        """A second connector, if any is listed."""
        found = [one for station in self.learned.stations for one in _connectors(station)]
        return next((one for one in found if one != self.connector_id()), None)


def _connectors(station: dict[str, Any]) -> list[str]:
    return [
        connector["ConnectorID"] for equipment in station["EquipmentInfos"] for connector in equipment["ConnectorInfos"]
    ]
