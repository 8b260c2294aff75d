"""Who may log in, and which tariff a pile runs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.ids import new_id
from charging_core.piles.events import PileLogin
from charging_core.piles.ports import LoginDecision, PileProfile, PileTariff, RatePrice
from charging_core.stations.model import Pile, RefusedLogin
from charging_core.tariffs.model import TariffVersion
from charging_core.tariffs.service import current_version, periods_of


class TablePileDirectory:
    """Fills `PileDirectory`: known and enabled piles may log in, all others are listed for the operator."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def login(self, login: PileLogin) -> LoginDecision:
        """Decide and record in one transaction."""
        with self._db.system("pile login") as session:
            pile = find_pile(session, login.pile_code)
            reason = _why_not(pile, login)
            if pile is None or reason:
                _list_refused(session, login, reason, pile.tenant_id if pile else None)
                return LoginDecision(accepted=False, reason=reason, tenant_id=pile.tenant_id if pile else None)
            pile.online = True
            pile.firmware = login.firmware
            pile.connection_id = login.connection_id
            pile.last_login_at = login.received_at
            profile = PileProfile(strict_crc=bool(pile.protocol_options.get("strict_crc", False)))
            tariff = pile_tariff(current_version(session, pile.station.tariff_id, self._clock.now()))
            return LoginDecision(accepted=True, tenant_id=pile.tenant_id, profile=profile, tariff=tariff)


class TableTariffSource:
    """Fills `TariffSource` from the station's tariff."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def for_pile(self, pile_code: str) -> PileTariff | None:
        """The tariff valid now, in the pile's form; none for an unknown pile."""
        with self._db.read_system("pile tariff") as session:
            pile = find_pile(session, pile_code)
            if pile is None:
                return None
            return pile_tariff(current_version(session, pile.station.tariff_id, self._clock.now()))

    def confirmed(self, pile_code: str, model_number: str) -> None:
        """Remember which version the pile runs: orders started from now on are billed by it (DECISIONS 14)."""
        with self._db.system("pile tariff") as session:
            pile = find_pile(session, pile_code)
            if pile is None:
                return
            version = session.scalars(
                select(TariffVersion)
                .where(
                    TariffVersion.tariff_id == pile.station.tariff_id,
                    TariffVersion.model_number == model_number,
                )
                .order_by(TariffVersion.number.desc())
            ).first()
            if version is not None:
                pile.confirmed_tariff_version_id = version.id


def find_pile(session: HubSession, pile_code: str) -> Pile | None:
    """The pile of this code."""
    return session.scalars(select(Pile).where(Pile.code == pile_code)).one_or_none()


def pile_tariff(version: TariffVersion) -> PileTariff:
    """A tariff version as a four-rate pile is told it."""
    rates = periods_of(version).pile_rates()
    first, second, third, fourth = (RatePrice(energy, service) for energy, service in rates.prices)
    return PileTariff(version.model_number, (first, second, third, fourth), rates.slots)


def _why_not(pile: Pile | None, login: PileLogin) -> str:
    if pile is None:
        return "unknown"
    if not (pile.enabled and pile.station.enabled):
        return "disabled"
    return "" if login.protocol.startswith(pile.protocol) else "other_protocol"


def _list_refused(session: HubSession, login: PileLogin, reason: str, tenant_id: str | None) -> None:
    known = session.scalars(
        select(RefusedLogin).where(
            RefusedLogin.pile_code == login.pile_code, RefusedLogin.address == _host(login.address)
        )
    ).one_or_none()
    if known is None:
        session.add(_new_refused(login, reason, tenant_id, login.received_at))
        return
    known.count += 1
    known.last_at = login.received_at
    known.reason = reason
    known.firmware = login.firmware


def _new_refused(login: PileLogin, reason: str, tenant_id: str | None, at: datetime) -> RefusedLogin:
    return RefusedLogin(
        id=new_id(),
        pile_code=login.pile_code,
        address=_host(login.address),
        firmware=login.firmware,
        protocol=f"{login.protocol} {login.protocol_version}".strip()[:32],
        reason=reason,
        tenant_id=tenant_id,
        first_at=at,
        last_at=at,
        count=1,
    )


def _host(address: str) -> str:
    """Without the port, which is new at every try and would make a row of each."""
    return address.rpartition(":")[0] or address
