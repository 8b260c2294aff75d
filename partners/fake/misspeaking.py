"""Misbehaviour of a fake that speaks first: its calls to the hub repeated, overtaken, cut or signed wrongly on demand.

Kinds of faults like the others (`faults.Fault`); they are taken by calls, never by requests that come in.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from partners.fake.faults import Fault
from partners.fake.wire import Keys, sign

TWICE, LATE, CUT, WRONG_SIG, WRONG_TOKEN = "send_twice", "send_late", "send_cut", "send_wrong_sig", "send_wrong_token"
CALL_KINDS: Mapping[str, str] = {
    TWICE: "the call goes out twice, in two envelopes",
    LATE: "the call is kept back and goes out after the next one",
    CUT: "Data of the call is cut short; its signature fits",
    WRONG_SIG: "the call carries a wrong signature",
    WRONG_TOKEN: "the call carries a token that nobody issued",
}

NO_TOKEN_OF_THEIRS = "no-token-of-theirs"  # noqa: S105 - opens nothing
CUT_BYTES = 5
"""Not a whole cipher block, so that no padding can make it look right."""


def cut(data: str) -> str:
    """A ciphertext that lacks its last bytes, still base64."""
    return base64.b64encode(base64.b64decode(data)[:-CUT_BYTES]).decode()


def misspoken(envelope: dict[str, Any], fault: Fault | None, keys: Keys) -> dict[str, Any]:
    """A finished request envelope with the fault in it."""
    kind = fault.kind if fault else ""
    if kind == CUT:
        envelope = envelope | {"Data": cut(envelope["Data"])}
        parts = [str(envelope[name]) for name in ("OperatorID", "Data", "TimeStamp", "Seq")]
        return envelope | {"Sig": sign(keys, *parts)}
    if kind == WRONG_SIG:
        sig = str(envelope["Sig"])
        return envelope | {"Sig": sig[1:] + ("0" if sig[0] != "0" else "1")}
    return envelope
