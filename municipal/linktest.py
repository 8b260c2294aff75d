"""`hub link test` for a regulator: can we reach it, does it give us a token, and would our static data be accepted.

Regulators have no harmless call, so nothing is pushed. The last step is the readiness of every station in scope: what is empty or wrong
in what the profile asks for (`specs/municipal.md` section 11, static completeness).
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.stations.snapshot import station_snapshot
from municipal.announcing import stations_in_scope
from municipal.calling import UNOPENABLE, Clients
from municipal.errors import UnknownRegulator
from municipal.mapping import body_of
from municipal.model import RegulatorLink
from municipal.regulators import Regulator, find_regulator
from partners.linktest import Step, explain
from partners.tcec102.errors import Tcec102Error

_SHOWN = 5
"""Problems told at once; the others come when these are mended."""


def regulator_by_slug(session: HubSession, slug: str) -> Regulator:
    """The tenant's regulator link of this short name. Raises `UnknownRegulator`, also when its profile cannot be loaded."""
    link_id = session.scalars(select(RegulatorLink.id).where(RegulatorLink.slug == slug)).one_or_none()
    regulator = None if link_id is None else find_regulator(session, link_id)
    if regulator is None:
        raise UnknownRegulator(f"没有这个监管链路或档案不可用 / no usable regulator link {slug}")
    return regulator


def check_regulator(session: HubSession, regulator: Regulator, clients: Clients, clock: Clock) -> list[Step]:
    """Test one link now, in the words of `partners.linktest`. `session` reads in the link's tenant."""
    return [*_reached(regulator, clients), _ready(session, regulator, clock)]


def _reached(regulator: Regulator, clients: Clients) -> Iterator[Step]:
    settings, token = ("链路配置", "link settings"), ("获取令牌", "access token")
    try:
        opened = clients.open(regulator.tenant_id, regulator.id)
    except UNOPENABLE as error:
        yield Step(*settings, False, str(error))
        return
    if opened is None:
        yield Step(*settings, False, "链路停用 / the link is disabled")
        return
    yield Step(*settings, True, opened.client.link.base_url)
    try:
        opened.client.fetch_token()
    except Tcec102Error as error:
        yield Step(*token, False, explain(error))
    else:
        yield Step(*token, True, "query_token")


def _ready(session: HubSession, regulator: Regulator, clock: Clock) -> Step:
    stations = list(_problems(session, regulator, clock))
    wrong = [words for _code, words in stations if words]
    if not stations:
        return Step("静态数据", "static data", False, "范围内没有场站 / no station in scope")
    if wrong:
        return Step("静态数据", "static data", False, "; ".join(wrong[:_SHOWN]))
    return Step("静态数据", "static data", True, f"{len(stations)} 个场站 / stations")


def _problems(session: HubSession, regulator: Regulator, clock: Clock) -> Iterator[tuple[str, str]]:
    """Per station in scope its code, and what is wrong with it in words."""
    now = clock.now()
    for station in stations_in_scope(session, regulator):
        snapshot = station_snapshot(session, station, now) | {"at": now}
        for name, _part in regulator.telling("station"):
            problems = body_of(regulator, name, snapshot, now).problems
            yield station.code, f"{station.code}: {', '.join(map(str, problems))}" if problems else ""
