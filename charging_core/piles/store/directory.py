"""Who may log in, and which tariff a pile runs."""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.errors import CoreError
from charging_core.orders import progress
from charging_core.piles.errors import BadTariff
from charging_core.piles.events import PileLogin
from charging_core.piles.ports import CommandKind, LoginDecision, PileProfile, PileTariff, RatePrice
from charging_core.piles.store.device import protocols_with, remember_qr
from charging_core.piles.store.refused import list_refused
from charging_core.stations.model import Pile
from charging_core.tariffs.model import TariffVersion
from charging_core.tariffs.service import current_version, periods_of

log = structlog.get_logger()


class TablePileDirectory:
    """Fills `PileDirectory`: known and enabled piles may log in, all others are listed for the operator."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def login(self, login: PileLogin) -> LoginDecision:
        """Decide and record in one transaction."""
        with self._db.system("pile login") as session:
            pile = find_pile(session, login.pile_code, lock=True)
            reason = _why_not(pile, login)
            if pile is None or reason:
                list_refused(session, login, reason, pile.tenant_id if pile else None)
                return LoginDecision(accepted=False, reason=reason, tenant_id=pile.tenant_id if pile else None)
            progress.link_renewed(session, pile.id)
            pile.online = True
            pile.firmware = login.firmware or pile.firmware  # OCPP tells it after a boot only
            pile.connection_id = login.connection_id
            pile.last_login_at = login.received_at
            if pile.protocol not in protocols_with(CommandKind.PUSH_TARIFF):
                pile.confirmed_tariff_version_id = (
                    None  # it never confirms one: its charges go by the one that is valid
                )
            remember_qr(session, pile, self._clock.now())
            profile = PileProfile(dict(pile.protocol_options))
            tariff = _tariff_of(session, pile, self._clock.now())
            return LoginDecision(accepted=True, tenant_id=pile.tenant_id, profile=profile, tariff=tariff)


class TableTariffSource:
    """Fills `TariffSource` from the station's tariff."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def for_pile(self, pile_code: str) -> PileTariff | None:
        """The tariff valid now, in the pile's form; none for an unknown pile, or when it has no such form."""
        with self._db.read_system("pile tariff") as session:
            pile = find_pile(session, pile_code)
            return None if pile is None else _tariff_of(session, pile, self._clock.now())

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
                    TariffVersion.valid_from <= self._clock.now(),
                )
                .order_by(TariffVersion.number.desc())
            ).first()
            if version is not None:
                pile.confirmed_tariff_version_id = version.id


def find_pile(session: HubSession, pile_code: str, *, lock: bool = False) -> Pile | None:
    """The pile of this code; `lock` holds its row until the transaction ends and reads it as committed last."""
    query = select(Pile).where(Pile.code == pile_code)
    if lock:
        query = query.with_for_update(of=Pile, key_share=True).execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def pile_tariff(version: TariffVersion) -> PileTariff:
    """A tariff version as a four-rate pile is told it."""
    rates = periods_of(version).pile_rates()
    first, second, third, fourth = (RatePrice(energy, service) for energy, service in rates.prices)
    return PileTariff(version.model_number, (first, second, third, fourth), rates.slots)


def _tariff_of(session: HubSession, pile: Pile, now: datetime) -> PileTariff | None:
    if pile.protocol not in protocols_with(CommandKind.PUSH_TARIFF):
        return None
    # A tariff that this pile cannot hold is the operator's mistake; it must not keep the pile from logging in.
    try:
        return pile_tariff(current_version(session, pile.station.tariff_id, now))
    except (CoreError, BadTariff) as error:
        log.error("pile.tariff_unusable", pile_code=pile.code, problem=str(error))
        return None


def _why_not(pile: Pile | None, login: PileLogin) -> str:
    if pile is None:
        return "unknown"
    if not (pile.enabled and pile.station.enabled):
        return "disabled"
    return "" if login.protocol.startswith(pile.protocol) else "other_protocol"
