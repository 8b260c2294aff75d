"""`hub reservation …`: connectors kept for somebody."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy import select

from charging_core.errors import Conflict, NotFound
from charging_core.ids import new_id
from charging_core.orders.model import Origin
from charging_core.orders.reservations.model import Reservation
from charging_core.orders.reservations.service import LONGEST_MINUTES, cancel
from charging_core.stations.model import Connector
from hub.cli.bills import Who
from hub.cli.opened import acting, looking, opened
from hub.cli.screen import AsJson, Limit, Tenant, out, print_json, table
from hub.reading import reservations
from hub.reading.paging import Window
from hub.reading.reservations import reservation_view
from hub.reading.values import masked, when
from hub.reserving import reserve_at
from hub.starting import Desk

reservation_app = typer.Typer(no_args_is_help=True, help="预约锁定 / reserved connectors")

_COLUMNS = (
    "预约 / reservation",
    "枪 / connector",
    "状态 / state",
    "至 / until",
    "车牌",
    "手机",
    "订单 / order",
    "操作人 / by",
)
_NAMES = ("id", "connector", "state", "until", "plate", "phone", "order_id", "asked_by")


@reservation_app.command("list")
def list_reservations(
    state: Annotated[str | None, typer.Option(help="held, used, cancelled, expired")] = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """预约, 新的在前 / reservations, newest first."""
    with opened() as container, looking(container, tenant) as session:
        found = [masked(line) for line in reservations.list_reservations(session, Window(limit), state).items]
    if as_json:
        print_json(found)
        return
    rows = [tuple(when(line[name]) if name == "until" else line[name] for name in _NAMES) for line in found]
    table("预约 / reservations", _COLUMNS, rows, whole=1)


@reservation_app.command("make")
def make(
    connector: Annotated[str, typer.Argument(metavar="CONNECTOR", help="枪编码 / connector code")],
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=LONGEST_MINUTES, help="保留分钟数 / for so long")],
    plate: Annotated[str | None, typer.Option("--plate", help="付款人车牌 / the payer's plate")] = None,
    phone: Annotated[str | None, typer.Option("--phone", help="付款人手机 / the payer's phone")] = None,
    member: Annotated[str | None, typer.Option("--member", help="会员 / member")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="原因, 留痕 / why, kept")] = None,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """为付款人保留一个枪 / keep a connector for a payer; others are refused until then."""
    wish: dict[str, Any] = {
        "connector": connector, "request_id": new_id(), "minutes": minutes, "plate": plate, "phone": phone,
        "member": member, "reason": reason,
    }  # fmt: skip
    with opened() as container:
        with looking(container, None) as session:
            tenant_id = session.scalars(select(Connector.tenant_id).where(Connector.code == connector)).one_or_none()
        if tenant_id is None:
            raise NotFound(f"connector {connector}")
        with container.db.session(tenant_id) as session:
            made = reserve_at(session, container.order_context, Desk(Origin.CONSOLE, tenant_id), wish, acting(who))
            if made.reservation is None:
                raise Conflict(f"{connector}: 不能预约 / cannot be reserved: {made.refusal}")
            line = masked(reservation_view(made.reservation))
    _tell(line, as_json)


@reservation_app.command("cancel")
def cancel_reservation(
    reservation: Annotated[str, typer.Argument(metavar="RESERVATION", help="预约 id / the reservation's id")],
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """取消预约 / give the connector back."""
    with opened() as container:
        with looking(container, None) as session:
            query = select(Reservation.tenant_id).where(Reservation.id == reservation)
            tenant_id = session.scalars(query).one_or_none()
        if tenant_id is None:
            raise NotFound(f"reservation {reservation}")
        with container.db.session(tenant_id) as session:
            ended = cancel(session, container.order_context, reservation, acting(who))
            line = masked(reservation_view(ended))
    _tell(line, as_json)


def _tell(line: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(line)
    else:
        words = f"{line['id']}: {line['connector']} {line['state']}, {when(line['until'])}"
        out.print(words, markup=False, highlight=False)
