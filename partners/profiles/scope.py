"""Canonical documents as profiles see them: the same roots for every source, so that one id derivation serves all interfaces.

| source | roots |
|---|---|
| station | operator, station (with piles, tariff) |
| connector_status | operator, station, pile, connector (with state, plugged, since), sample |
| order, charge_sample, start_result, stop_result | order, operator, station, pile, connector, sample |
| anything else | the document as it is |

Besides, `owner_id` (of the station, for `owner_or`), `link` (our_operator_id, their_operator_ids, …) and `assigned` (codes that the
other side issued, by kind and our code) are at hand everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Scope = Mapping[str, Any]

_ORDER_SOURCES = frozenset({"order", "charge_sample", "start_result", "stop_result"})


def scope_of(source: str, snapshot: Mapping[str, Any], **extra: Any) -> dict[str, Any]:
    """The names that fields of an interface with this `source` may use. `extra` adds roots (link, assigned, request …)."""
    roots = _roots(source, snapshot) | extra
    return roots | {"owner_id": look_up(roots, "station.owner_id")}


def _roots(source: str, snapshot: Mapping[str, Any]) -> dict[str, Any]:
    if source == "station":
        return {"operator": snapshot.get("operator"), "station": snapshot}
    if source == "connector_status":
        facts = snapshot.get("connector")
        live = {key: snapshot.get(key) for key in ("state", "plugged", "since")}
        return {**snapshot, "connector": {**facts, **live} if isinstance(facts, Mapping) else live}
    if source in _ORDER_SOURCES:
        named = ("operator", "station", "pile", "connector", "sample")
        return {"order": snapshot} | {name: snapshot.get(name) for name in named}
    return dict(snapshot)


def look_up(scope: Scope, path: str) -> Any:
    """The value at a dotted path, None where anything on the way is missing. Mappings only: no attribute is ever touched."""
    value: Any = scope
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value
