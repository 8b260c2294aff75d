"""`hub card …`: cards of members, the money behind them, and the lists that piles keep for times without a link."""

from __future__ import annotations

import time
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer
from sqlalchemy import or_, select

from charging_core.db import HubSession
from charging_core.errors import InvalidInput, NotFound
from charging_core.ids import new_id
from charging_core.members.ledger import Note
from charging_core.members.model import Member, MemberCard
from charging_core.members.service import block_card, block_member, require_card, require_member
from charging_core.orders.starts.funds import top_up
from charging_core.piles.ports import CommandState
from charging_core.piles.store.device import Asked
from charging_core.stations.model import Pile
from hub.cli.opened import acting, looking, opened
from hub.cli.screen import AsJson, Limit, Tenant, facts, out, print_json, table
from hub.container import Container
from hub.reading import devices, members
from hub.reading.paging import Window
from hub.reading.values import when, yuan

_ON_ITS_WAY = (CommandState.PENDING, CommandState.SENT, "waiting")
_POLL_S = 0.2

card_app = typer.Typer(no_args_is_help=True, help="充电卡与账户 / cards and the accounts behind them")

CardName = Annotated[
    str, typer.Argument(metavar="CARD", help="逻辑卡号或账户编码 / number printed on the card, or the account's code")
]
Why = Annotated[str | None, typer.Option("--reason", help="原因, 留痕 / why, kept in the record")]
Who = Annotated[str | None, typer.Option("--as", help="操作人 / who does it (default: the system's user)")]


@card_app.command("list")
def list_cards(
    member: Annotated[str | None, typer.Option(help="只看此账户 / only of this account")] = None,
    pile: Annotated[str | None, typer.Option(help="此桩的离线卡名单 / the list that this pile keeps")] = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """充电卡, 或某桩的离线卡名单 / cards, or the card list of a pile with what the pile has confirmed."""
    with opened() as container:
        scope = _owner(container, member) if tenant is None and member is not None else tenant
        with looking(container, scope) as session:
            if pile is not None:
                found = members.pile_cards(session, pile)
            else:
                owner = require_member(session, member) if member is not None else None
                found = members.list_cards(session, Window(limit), owner).items
    if as_json:
        print_json(found)
    elif pile is not None:
        _print_pile_cards(pile, found)
    else:
        names = ("number", "physical", "member", "balance_yuan", "offline", "has_pin", "usable")
        columns = (
            "卡号 / number",
            "物理卡号",
            "账户 / member",
            "余额 / balance",
            "离线",
            "密码 / PIN",
            "可用 / usable",
        )
        rows = [[yuan(line[n]) if n == "balance_yuan" else line[n] for n in names] for line in found]
        table("充电卡 / cards", columns, rows, whole=2)


@card_app.command("show")
def show(card: CardName, tenant: Tenant = None, limit: Limit = 10, as_json: AsJson = False) -> None:
    """账户: 余额、可用、卡、流水 / the account behind a card: balance, what is free, cards, movements."""
    with opened() as container, looking(container, tenant or _owner(container, card)) as session:
        owner, _ = _named(session, card)
        found = members.member_view(session, owner)
        found["movements"] = members.list_movements(session, owner, Window(limit)).items
    if as_json:
        print_json(found)
    else:
        _show(found)


@card_app.command("topup")
def topup(
    card: CardName,
    amount: Annotated[str, typer.Argument(metavar="YUAN", help="金额 (元) / yuan")],
    reason: Why = None,
    request: Annotated[str | None, typer.Option("--request", help="请求号, 重复只记一次 / makes it once only")] = None,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """充值; 正在充电的桩会收到新余额 / put money on the account; a pile that charges for it is told."""
    with opened() as container, container.db.session(_owner(container, card)) as session:
        owner, _ = _named(session, card)
        note = Note(acting(who), container.clock.now(), reason, request or new_id())
        movement, _ = top_up(session, container.order_context, owner.id, _amount(amount), note)
        found = members.movement_line(movement)
    if as_json:
        print_json(found)
    else:
        out.print(f"余额 / balance {yuan(found['balance_yuan'])} 元 ({found['id']})")


@card_app.command("block")
def block(
    card: CardName,
    reason: Annotated[str, typer.Option("--reason", help="原因, 留痕 / why, kept in the record")],
    undo: Annotated[bool, typer.Option("--undo", help="解除 / unblock")] = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """挂失卡片或冻结账户 / block a card, or an account with all its cards; `--undo` allows it again."""
    with opened() as container, container.db.session(_owner(container, card)) as session:
        owner, one = _named(session, card)
        note = Note(acting(who), container.clock.now(), reason)
        changed = _block(session, owner, one, note, blocked=not undo)
        found = {"blocked": not undo, "changed": changed, "card": one.number if one else None, "member": owner.code}
    if as_json:
        print_json(found)
    else:
        facts("挂失与冻结 / block", found)


@card_app.command("sync")
def sync(
    pile: Annotated[str, typer.Argument(metavar="PILE", help="桩编码 / pile code")],
    whole: Annotated[bool, typer.Option("--whole", help="已确认的也重新下发 / also what is confirmed")] = False,
    query: Annotated[bool, typer.Option("--query", help="只查询桩上名单 / only ask the pile what it holds")] = False,
    reason: Why = None,
    who: Who = None,
    wait: Annotated[float, typer.Option("--wait", min=0, help="等待结果的秒数 / seconds to wait for the pile")] = 15.0,
    as_json: AsJson = False,
) -> None:
    """把离线卡名单下发到桩, 并等待应答 / bring the card list to a pile (0x44, 0x46), or ask what it holds (0x48); waits for the pile.

    退出码 1: 名单未全部确认 / exit status 1 unless the pile has confirmed all of it.
    """
    with opened() as container:
        with container.db.read_system("hub command") as session:
            owner = session.scalars(select(Pile.tenant_id).where(Pile.code == pile)).one_or_none()
        if owner is None:
            raise NotFound(f"pile {pile}")
        asked = Asked(acting(who), reason)
        with container.db.session(owner) as session:
            if query:
                rows = container.card_lists.query(session, pile, asked)
            else:
                rows = container.card_lists.sync(session, pile, asked, whole=whole)
            begun = [devices.command_line(row) for row in rows]
        listed = _answered(container, owner, pile, wait if begun else 0.0)
    if as_json:
        print_json({"commands": begun, "cards": listed})
    else:
        _print_pile_cards(pile, listed)
    if wait and any(line["state"] != "confirmed" for line in listed):
        raise typer.Exit(1)


def _named(session: HubSession, name: str) -> tuple[Member, MemberCard | None]:
    """By card first, else by account. Raises `NotFound`."""
    try:
        card = require_card(session, name)
    except NotFound:
        return require_member(session, name), None
    return card.member, card


def _answered(container: Container, tenant: str, pile: str, wait_s: float) -> list[dict[str, Any]]:
    """The list as the pile has told of it, once nothing is on its way any more or the time is over."""
    until = time.monotonic() + wait_s
    while True:
        with container.db.read(tenant) as session:
            found = members.pile_cards(session, pile)
        if time.monotonic() >= until or not any(line["state"] in _ON_ITS_WAY for line in found):
            return found
        time.sleep(_POLL_S)


def _block(session: HubSession, owner: Member, card: MemberCard | None, note: Note, *, blocked: bool) -> bool:
    if card is not None:
        return block_card(session, card, note, blocked=blocked)
    return block_member(session, owner, note, blocked=blocked)


def _owner(container: Container, name: str) -> str:
    """The one tenant that has this card or account. Raises `NotFound`, `InvalidInput` when several have."""
    cards = select(MemberCard.tenant_id).where(MemberCard.number == name.upper().zfill(16))
    accounts = select(Member.tenant_id).where(or_(Member.code == name, Member.id == name))
    with container.db.read_system("hub command") as session:
        owners: set[str] = {*session.scalars(cards)} or {*session.scalars(accounts)}
    if not owners:
        raise NotFound(f"card {name}")
    if len(owners) > 1:
        raise InvalidInput(
            "card",
            "多个租户有此卡或账户, 请用 --tenant 或控制台 / several tenants have it: use --tenant, or the console",
        )
    return owners.pop()


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise InvalidInput("amount", f"{text!r} 不是金额 / is no amount") from error


def _show(found: dict[str, Any]) -> None:
    facts(
        "账户 / account",
        {
            "编码 / code": found["code"],
            "名称 / name": found["name"],
            "余额 / balance": yuan(found["balance_yuan"]),
            "授信 / credit": yuan(found["credit_yuan"]),
            "可用 / free": yuan(found["free_yuan"]),
            "单次上限 / per charge": yuan(found["per_charge_yuan"]),
            "场站 / stations": "全部 / all" if found["stations"] is None else " ".join(found["stations"]),
            "可用状态 / usable": found["enabled"] and not found["blocked"],
            "车辆 / vehicles": " ".join(row["vin"] for row in found["vehicles"] if row["enabled"]),
            "未结订单 / unsettled": " ".join(order["id"] for order in found["unsettled_orders"]),
        },
    )
    names = ("number", "physical", "offline", "has_pin", "usable")
    rows = [[card[name] for name in names] for card in found["cards"]]
    table("卡 / cards", ("卡号 / number", "物理卡号", "离线 / off-line", "密码 / PIN", "可用 / usable"), rows, whole=2)
    moved = [
        (when(m["at"]), m["kind"], yuan(m["amount_yuan"]), yuan(m["balance_yuan"]), m["order_id"], m["by"], m["reason"])
        for m in found["movements"]
    ]
    columns = ("时间 / at", "类别 / kind", "元 / yuan", "余额 / balance", "订单 / order", "操作人 / by", "说明 / why")
    table("流水 / movements", columns, moved)


def _print_pile_cards(pile: str, found: list[dict[str, Any]]) -> None:
    names = ("number", "physical", "wanted", "present", "state", "problem")
    rows = [(*(line[name] for name in names), when(line["told_at"])) for line in found]
    columns = (
        "卡号 / number",
        "物理卡号",
        "应有 / wanted",
        "桩上 / present",
        "状态 / state",
        "问题 / problem",
        "应答 / told",
    )
    table(f"离线卡名单 / card list of {pile}", columns, rows, whole=2)
