"""`hub delivery …`: what was told to whom, how it is going, and repairing it. Every change is recorded with who made it and why."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.tenants import Tenant as TenantRow
from hub.cli.delivery_tables import show_actions, show_deliveries, show_delivery_page, show_stats
from hub.cli.opened import acting, looking, opened
from hub.cli.screen import AsJson, Limit, Tenant, out, print_json
from hub.container import Container
from hub.reading import deliveries
from hub.reading.destinations import Destinations, Named
from hub.reading.paging import Window
from hub.reading.selections import Wanted
from hub.reading.times import instant_or_ago, span
from worker import repair
from worker.model import DeliveryRow

delivery_app = typer.Typer(no_args_is_help=True, help="推送 / deliveries")

DestinationOption = Annotated[
    str | None,
    typer.Option("--destination", "-d", help="对方: 链路短名、车场编码或 种类:名称 / link, park code, or kind:name"),
]
InterfaceOption = Annotated[str | None, typer.Option("--interface", "-i", help="接口 / interface")]
ObjectOption = Annotated[str | None, typer.Option("--object", help="对象号 / object key")]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="事件时间起: ISO 8601 或 90m、24h、7d / event time from, or a span ago")
]
UntilOption = Annotated[str | None, typer.Option("--until", help="事件时间止 (不含) / event time before, same forms")]
OutcomeOption = Annotated[
    str | None, typer.Option("--outcome", help="最后结果 / last outcome: ok business_refused timeout retryable …")
]
StateOption = Annotated[
    list[str] | None,
    typer.Option("--state", help="状态, 可多次 / state, repeatable: waiting held delivered rejected dead superseded"),
]
As = Annotated[
    str | None, typer.Option("--as", help="操作人 (默认系统用户) / who does this (default: the system's user)")
]
Why = Annotated[str, typer.Option("--why", help="原因, 写入操作记录 / the reason, kept in the log")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="只计数 / count only")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="不再询问 / do not ask")]
DeliveryIds = Annotated[list[str], typer.Argument(help="推送 id, 可多个 / delivery ids")]
Name = Annotated[str, typer.Argument(help="推送 id, 或对方名称 / a delivery's id, or a destination's name")]


@delivery_app.command("list")
def list_deliveries(
    destination: DestinationOption = None,
    interface: InterfaceOption = None,
    object_key: ObjectOption = None,
    state: StateOption = None,
    outcome: OutcomeOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """推送, 新的在前; 死信: --state dead / deliveries, newest first; dead letters: --state dead."""
    wanted = Wanted(destination, interface, object_key, tuple(state or ()), outcome, since, until)
    with opened() as container, looking(container, tenant) as session:
        which = wanted.read(session, container.clock.now())
        found = deliveries.list_deliveries(session, Window(limit), which).items
        total = repair.count(session, which)
    if as_json:
        print_json(found)
    else:
        show_deliveries(found, total)


@delivery_app.command("show")
def show_delivery(delivery: str, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """一次推送: 内容 (已脱敏)、每次尝试、人工操作 / one delivery: body (masked), every attempt, what people did."""
    with opened() as container, looking(container, tenant) as session:
        found = deliveries.delivery_view(session, delivery)
    if as_json:
        print_json(found)
    else:
        show_delivery_page(found)


@delivery_app.command("replay")
def replay(
    delivery: Annotated[
        list[str] | None, typer.Argument(help="推送 id, 可多个; 或用选项选择 / ids, or options")
    ] = None,
    destination: DestinationOption = None,
    interface: InterfaceOption = None,
    object_key: ObjectOption = None,
    state: StateOption = None,
    outcome: OutcomeOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    tenant: Tenant = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    who: As = None,
    as_json: AsJson = False,
) -> None:
    """重新推送: 一个或一批 (默认只选 dead 与 rejected) / send again: single ones or a selection (dead and rejected unless --state)."""
    wanted = Wanted(destination, interface, object_key, tuple(state or ()), outcome, since, until)
    with opened() as container:
        if delivery:
            if wanted.bounded or state or dry_run:
                raise InvalidInput("delivery", "请给出 id 或选择条件, 不能同时 / give ids or a selection, not both")
            _each(container, delivery, as_json, lambda s, one: repair.replay(s, one, container.clock, acting(who)))
            return
        if not wanted.bounded:
            raise InvalidInput("selection", "请缩小范围 / narrow it: --destination, --interface, --since, …")
        owner = _owner(container, wanted.destination, tenant)
        with container.db.read(owner) as session:
            which = wanted.read(session, container.clock.now())
            count = repair.count_replayable(session, which)
        if _agreed(count, dry_run, yes or as_json):
            with container.db.session(owner) as session:
                count = repair.replay_selection(session, which, container.clock, acting(who))
    _say_count(count, dry_run, as_json)


@delivery_app.command("recover")
def recover(
    destination: Annotated[str, typer.Argument(help="对方 / destination")],
    since: Annotated[str, typer.Option("--since", help="从何时起: ISO 8601 或 24h / since when")],
    tenant: Tenant = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    who: As = None,
    as_json: AsJson = False,
) -> None:
    """故障之后: 重新推送某时起放弃的一切 / after an outage: send again everything given up since then."""
    with opened() as container:
        named = _named(container, destination, tenant)
        began = instant_or_ago("since", since, container.clock.now())
        with container.db.read(named.tenant_id) as session:
            count = repair.count_recoverable(session, named.destination, began)
        if _agreed(count, dry_run, yes or as_json):
            with container.db.session(named.tenant_id) as session:
                count = repair.recover(session, named.destination, began, container.clock, acting(who))
    _say_count(count, dry_run, as_json)


@delivery_app.command("hold")
def hold(name: Name, why: Why, tenant: Tenant = None, who: As = None, as_json: AsJson = False) -> None:
    """暂停一次推送或一个对方 / keep back one delivery, or everything to a destination."""
    with opened() as container:
        clock, by = container.clock, acting(who)
        if _delivery_owner(container, name) is not None:
            _each(container, [name], as_json, lambda s, one: repair.hold_delivery(s, one, by, why, clock))
            return
        named = _named(container, name, tenant)
        with container.db.session(named.tenant_id) as session, named.speaking():
            repair.hold(session, named.destination, why, clock, by)
    _say(as_json, {"destination": named.label, "held": why}, f"已暂停 / held: {named.label}")


@delivery_app.command("release")
def release(name: Name, tenant: Tenant = None, who: As = None, as_json: AsJson = False) -> None:
    """恢复一次推送或一个对方 / let one delivery, or a destination, go again."""
    with opened() as container:
        clock, by = container.clock, acting(who)
        if _delivery_owner(container, name) is not None:
            _each(container, [name], as_json, lambda s, one: repair.release_delivery(s, one, clock, by))
            return
        named = _named(container, name, tenant)
        with container.db.session(named.tenant_id) as session, named.speaking():
            repair.release(session, named.destination, clock, by)
    _say(as_json, {"destination": named.label, "held": None}, f"已恢复 / released: {named.label}")


@delivery_app.command("discard")
def discard(delivery: DeliveryIds, why: Why, who: As = None, as_json: AsJson = False) -> None:
    """放弃等待中的推送, 后面的随即可发 / end waiting deliveries; what waits behind them may go."""
    with opened() as container:
        _each(container, delivery, as_json, lambda s, one: repair.discard(s, one, acting(who), why, container.clock))


@delivery_app.command("stats")
def stats(
    destination: DestinationOption = None,
    window: Annotated[str, typer.Option("--window", help="时间窗 / window: 15m 1h 24h")] = "1h",
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """每个对方: 等待、最久等待、速率、结果、耗时、及时率 / per destination: waiting, oldest, rate, outcomes, times, punctuality."""
    with opened() as container, looking(container, tenant) as session:
        wanted = Destinations(session).find(destination).label if destination else None
        found = deliveries.list_stats(session, container.clock.now(), span("window", window))
    found = [line for line in found if wanted in (None, line["destination"])]
    if as_json:
        print_json(found)
    else:
        show_stats(found, window)


@delivery_app.command("log")
def action_log(
    about: Annotated[str | None, typer.Option("--about", help="推送 id 或对方 / a delivery or a destination")] = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """谁在何时为何做了什么 / who did what, when and why."""
    with opened() as container, looking(container, tenant) as session:
        subject = None if about is None else _subject(session, about)
        found = deliveries.list_actions(session, limit, subject=subject)
    if as_json:
        print_json(found)
    else:
        show_actions(found)


def _each(container: Container, ids: list[str], as_json: bool, act: Callable[[HubSession, str], DeliveryRow]) -> None:
    """Act on each delivery in a transaction of its own; stops at the first that does not allow it."""
    lines: list[dict[str, Any]] = []
    for one in ids:
        owner = _delivery_owner(container, one)
        if owner is None:
            raise NotFound(f"delivery {one}")
        with container.db.session(owner) as session:
            row = act(session, one)
            lines.append({"id": row.id, "state": row.state, "reason": row.reason})
        if not as_json:
            out.print(f"{one}: {lines[-1]['state']}", markup=False, highlight=False)
    if as_json:
        print_json(lines)


def _delivery_owner(container: Container, delivery_id: str) -> str | None:
    with container.db.read_system("hub delivery") as session:
        return session.scalars(select(DeliveryRow.tenant_id).where(DeliveryRow.id == delivery_id)).one_or_none()


def _named(container: Container, name: str, tenant: str | None) -> Named:
    with looking(container, tenant) as session:
        return Destinations(session).find(name)


def _owner(container: Container, destination: str | None, tenant: str | None) -> str:
    """Whose deliveries are changed: the named tenant, the destination's, or the only one there is."""
    if tenant is not None:
        return tenant
    if destination is not None:
        return _named(container, destination, None).tenant_id
    with container.db.read_system("hub delivery") as session:
        tenants = session.scalars(select(TenantRow.id)).all()
    if len(tenants) != 1:
        raise Conflict(
            f"有 {len(tenants)} 个租户, 请用 --tenant / there are {len(tenants)} tenants: name one with --tenant"
        )
    return str(tenants[0])


def _subject(session: HubSession, about: str) -> str:
    if session.scalars(select(DeliveryRow.id).where(DeliveryRow.id == about)).one_or_none() is not None:
        return about
    found = Destinations(session).find(about).destination
    return f"{found.kind}:{found.id}"


def _agreed(count: int, dry_run: bool, yes: bool) -> bool:
    if dry_run or not count:
        return False
    if yes or not sys.stdin.isatty():
        return True
    if not typer.confirm(f"重新推送 {count} 个? / send {count} again?"):
        raise typer.Exit(1)
    return True


def _say_count(count: int, dry_run: bool, as_json: bool) -> None:
    words = "将重新推送 / would send again" if dry_run else "已重新排队 / queued again"
    _say(as_json, {"count": count, "dry_run": dry_run}, f"{words}: {count}")


def _say(as_json: bool, members: dict[str, Any], words: str) -> None:
    if as_json:
        print_json(members)
    else:
        out.print(words, markup=False, highlight=False)
