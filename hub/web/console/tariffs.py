"""Console: tariffs with their versions and days, quotes, and a tariff over past orders."""

from __future__ import annotations

from decimal import Decimal

from flask import Response

from charging_core.orders.bills.simulate import Past
from charging_core.tariffs.schedule import newest_version
from charging_core.tariffs.service import plan_of
from hub.reading import tariffs
from hub.reading.paging import Window
from hub.reading.times import instant
from hub.web.context import answer, hub, operation, reading


@operation
def list_tariffs(limit: int, after: str | None = None) -> Response:
    """`GET /tariffs`."""
    with reading() as session:
        return answer(tariffs.list_tariffs(session, Window(limit, after), hub().clock.now()))


@operation
def get_tariff(tariff: str) -> Response:
    """`GET /tariffs/{tariff}`."""
    with reading() as session:
        return answer(tariffs.tariff_view(session, tariff, hub().clock.now()))


@operation
def quote_station(
    station: str, energy: str, origin: str, stay: int, at: str | None = None, power: str | None = None
) -> Response:
    """`GET /stations/{station}/quote`."""
    start = hub().clock.now() if at is None else instant("at", at)
    asked = tariffs.Asked(Decimal(energy), start, None if power is None else Decimal(power), origin, stay)
    with reading() as session:
        return answer(tariffs.quote_at(session, station, asked))


@operation
def simulate_tariff(
    tariff: str, since: str, limit: int, until: str | None = None, station: str | None = None
) -> Response:
    """`GET /tariffs/{tariff}/simulation`."""
    end = hub().clock.now() if until is None else instant("until", until)
    with reading() as session:
        plan = plan_of(newest_version(session, tariffs.require_tariff(session, tariff)))
        place = None if station is None else tariffs.require_station(session, station).id
        past = Past(instant("since", since), end, place)
        return answer(tariffs.simulated(session, past, lambda _code: plan, limit))
