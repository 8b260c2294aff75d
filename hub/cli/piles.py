"""`hub pile …`: what the staff asks of piles — work parameters, reboot, time, tariff, locks, QR prefix, firmware.

A request is a row that the running pile server takes within a second; the command waits for what becomes of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import select

from charging_core.errors import InvalidInput, NotFound
from charging_core.ids import new_id
from charging_core.piles.model import FirmwareRollout, PileCommand
from charging_core.piles.ports import CommandKind, CommandState
from charging_core.piles.store.commands import PILE_CODE_DIGITS
from charging_core.piles.store.device import Asked, Request, ask
from charging_core.piles.store.firmware import DEFAULT_GROUPS, Package, Plan, require_rollout
from charging_core.stations.model import Pile
from hub.cli.opened import acting, looking, opened
from hub.cli.screen import AsJson, Limit, Tenant, facts, print_json, table
from hub.cli.things import pile_app
from hub.container import Container
from hub.reading import devices
from hub.reading.paging import Window
from hub.reading.values import when

__all__ = ["pile_app"]

update_app = typer.Typer(no_args_is_help=True, help="固件升级, 分组进行 / firmware, group by group")
pile_app.add_typer(update_app, name="update")

PileName = Annotated[str, typer.Argument(metavar="PILE", help="桩编码 / pile code")]
PileNames = Annotated[list[str], typer.Argument(metavar="PILE…", help="桩编码 / pile codes")]
ConnectorName = Annotated[str, typer.Argument(metavar="CONNECTOR", help="枪编码 / connector code")]
Why = Annotated[str | None, typer.Option("--reason", help="原因, 留痕 / why, kept with the request")]
Who = Annotated[str | None, typer.Option("--as", help="操作人 / who asks (default: the system's user)")]
WaitFor = Annotated[float, typer.Option("--wait", min=0, help="等待结果的秒数 / seconds to wait for the answer")]
Idle = Annotated[bool, typer.Option("--when-idle/--now", help="空闲时或立即 / when idle, or at once")]

_ENDED = (CommandState.ACKNOWLEDGED, CommandState.FAILED, CommandState.EXPIRED)
_POLL_S = 0.2
_WAIT_S = 15.0
_TITLES = ("桩 / pile", "命令 / command", "状态 / state", "说明 / detail", "操作人 / by", "时间 / at", "id")


@pile_app.command("set")
def set_work(
    piles: PileNames,
    power: Annotated[int, typer.Option(min=30, max=100, help="最大功率 % / maximum power in %")] = 100,
    out_of_service: Annotated[bool, typer.Option("--stop/--work", help="停止使用 / out of service")] = False,
    reason: Why = None,
    who: Who = None,
    wait: WaitFor = _WAIT_S,
    as_json: AsJson = False,
) -> None:
    """工作参数: 是否允许工作、最大功率 / in or out of service, and maximum power (0x52)."""
    parameters = {"out_of_service": out_of_service, "max_power_percent": power}
    _ask([Request(CommandKind.SET_WORK, pile, parameters) for pile in piles], reason, who, wait, as_json)


@pile_app.command("reboot")
def reboot(
    piles: PileNames,
    idle: Idle = True,
    reason: Why = None,
    who: Who = None,
    wait: WaitFor = _WAIT_S,
    as_json: AsJson = False,
) -> None:
    """远程重启 / reboot (0x92)."""
    _ask([Request(CommandKind.REBOOT, pile, {"when_idle": idle}) for pile in piles], reason, who, wait, as_json)


@pile_app.command("time")
def sync_time(
    piles: PileNames, reason: Why = None, who: Who = None, wait: WaitFor = _WAIT_S, as_json: AsJson = False
) -> None:
    """对时 / set the clock (0x56)."""
    _ask([Request(CommandKind.SYNC_TIME, pile) for pile in piles], reason, who, wait, as_json)


@pile_app.command("lock")
def lock(
    connector: ConnectorName,
    lower: Annotated[bool, typer.Option("--lower/--raise", help="降锁或升锁 / lower or raise")],
    reason: Why = None,
    who: Who = None,
    wait: WaitFor = _WAIT_S,
    as_json: AsJson = False,
) -> None:
    """地锁升降 / move the ground lock of a connector's bay (0x62)."""
    _ask([Request(CommandKind.LOCK, connector, {"raise": not lower})], reason, who, wait, as_json)


@pile_app.command("unlock")
def unlock(
    connector: ConnectorName, reason: Why = None, who: Who = None, wait: WaitFor = _WAIT_S, as_json: AsJson = False
) -> None:
    """解锁枪头 / let go of a connector's plug (OCPP UnlockConnector)."""
    _ask([Request(CommandKind.UNLOCK, connector)], reason, who, wait, as_json)


@pile_app.command("configure")
def configure(
    pile: PileName,
    key: Annotated[str, typer.Argument(help="配置项 / key")],
    value: Annotated[str | None, typer.Argument(help="值, 不给则读取 / value; none reads it")] = None,
    reason: Why = None,
    who: Who = None,
    wait: WaitFor = _WAIT_S,
    as_json: AsJson = False,
) -> None:
    """读取或设置桩的配置项 / read or set a key of the pile's configuration (OCPP GetConfiguration, ChangeConfiguration)."""
    parameters = {"key": key} if value is None else {"key": key, "value": value}
    _ask([Request(CommandKind.CONFIGURE, pile, parameters)], reason, who, wait, as_json)


@pile_app.command("qr")
def set_qr(
    piles: PileNames,
    prefix: Annotated[str, typer.Option(help="二维码前缀 / the text before the code")],
    with_connector: Annotated[
        bool, typer.Option("--with-connector/--pile-only", help="含枪号 / with connector")
    ] = True,
    reason: Why = None,
    who: Who = None,
    wait: WaitFor = _WAIT_S,
    as_json: AsJson = False,
) -> None:
    """二维码前缀, 桩重新登录后再次下发 / prefix of the QR code on the screen, sent again after each login (0xF0)."""
    parameters = {"prefix": prefix, "with_connector": with_connector}
    _ask([Request(CommandKind.SET_QR, pile, parameters) for pile in piles], reason, who, wait, as_json)


@pile_app.command("tariff")
def tariff(
    piles: Annotated[list[str] | None, typer.Argument(metavar="[PILE]…", help="不给则只列出 / none: list only")] = None,
    behind: Annotated[bool, typer.Option("--behind", help="下发给所有落后的桩 / push to all that are behind")] = False,
    tenant: Tenant = None,
    reason: Why = None,
    who: Who = None,
    wait: WaitFor = _WAIT_S,
    as_json: AsJson = False,
) -> None:
    """计费模型: 列出仍运行旧版本的桩, 或立即下发 / piles that run an old tariff version; push it to some (0x58)."""
    with opened() as container, looking(container, tenant) as session:
        old = devices.tariff_rollout(session, container.clock.now())
    chosen = [line["pile"] for line in old] if behind else piles or []
    if chosen:
        _ask([Request(CommandKind.PUSH_TARIFF, pile) for pile in chosen], reason, who, wait, as_json)
    elif as_json:
        print_json(old)
    else:
        names = ("pile", "station", "online", "confirmed_version", "valid_version")
        rows = [(*(line[name] for name in names), (line["last_push"] or {}).get("state")) for line in old]
        columns = ("桩 / pile", "场站 / station", "在线", "已确认 / confirmed", "应为 / valid", "最近下发 / last push")
        table("仍运行旧计费模型 / on an old tariff version", columns, rows)


@pile_app.command("commands")
def list_commands(pile: PileName, tenant: Tenant = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """桩的命令及结果 / commands to a pile and what became of them."""
    with opened() as container, looking(container, tenant) as session:
        found = devices.list_commands(session, pile, Window(limit)).items
    _print(found, as_json)


@pile_app.command("locks")
def list_locks(tenant: Tenant = None, limit: Limit = 50, as_json: AsJson = False) -> None:
    """地锁状态 / ground locks as they reported last."""
    with opened() as container, looking(container, tenant) as session:
        found = devices.list_locks(session, Window(limit)).items
    if as_json:
        print_json(found)
        return
    names = ("connector_code", "position", "occupied", "battery_percent", "alarm")
    columns = ("枪 / connector", "位置 / position", "有车 / car", "电量 %", "告警 / alarm", "上报 / reported")
    table("地锁 / ground locks", columns, [(*(r[n] for n in names), when(r["reported_at"])) for r in found])


# -- firmware


@update_app.command("start")
def start_update(
    piles: PileNames,
    name: Annotated[str, typer.Option(help="任务名 / name of the rollout")],
    server: Annotated[str, typer.Option(help="FTP 服务器 / server")],
    path: Annotated[str, typer.Option(help="文件路径 / path of the file")],
    user: Annotated[str, typer.Option(help="用户名 / user")],
    password: Annotated[str, typer.Option(envvar="HUB_FIRMWARE_PASSWORD", prompt=True, hide_input=True, help="密码")],
    port: Annotated[int, typer.Option(help="端口 / port")] = 21,
    version: Annotated[str | None, typer.Option(help="升级后的版本号 / version that the login says afterwards")] = None,
    groups: Annotated[str, typer.Option(help="各组台数 / group sizes")] = ",".join(map(str, DEFAULT_GROUPS)),
    failures: Annotated[int, typer.Option(help="允许失败台数 / failures before it halts")] = 0,
    timeout: Annotated[int, typer.Option(help="下载超时, 分钟 / download time-out in minutes")] = 10,
    idle: Idle = True,
    reason: Why = None,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """开始分组升级 / begin to update piles, group by group (0x94)."""
    package = Package(server, path, user, password, port, timeout, idle, version)
    plan = Plan(name, piles, _sizes(groups), failures)
    with opened() as container:
        with container.db.session(_owner(container, piles)) as session:
            begun = devices.rollout_view(container.firmware.begin(session, package, plan, _asked(reason, who)))
        _print_rollout(begun, as_json)


@update_app.command("list")
def list_updates(tenant: Tenant = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """升级任务 / firmware rollouts."""
    with opened() as container, looking(container, tenant) as session:
        found = devices.list_rollouts(session, Window(limit)).items
    if as_json:
        print_json(found)
        return
    rows = [
        (r["id"], r["name"], r["version"], r["state"], r["counts"], r["asked_by"], when(r["created_at"])) for r in found
    ]
    columns = ("任务 / rollout", "名称", "版本 / version", "状态 / state", "桩 / piles", "操作人 / by", "开始 / begun")
    table("固件升级 / firmware rollouts", columns, rows)


@update_app.command("show")
def show_update(rollout: str, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """升级任务与每台桩 / one rollout with its piles."""
    with opened() as container, looking(container, tenant) as session:
        found = devices.rollout_view(require_rollout(session, rollout))
    _print_rollout(found, as_json)


@update_app.command("pause")
def pause_update(rollout: str, reason: Why = None, who: Who = None, as_json: AsJson = False) -> None:
    """暂停: 不再下发下一组 / ask no further group."""
    _change(rollout, "paused", reason, who, as_json)


@update_app.command("resume")
def resume_update(rollout: str, reason: Why = None, who: Who = None, as_json: AsJson = False) -> None:
    """继续, 包括因失败停下的 / go on, also after a halt."""
    _change(rollout, "running", reason, who, as_json)


@update_app.command("cancel")
def cancel_update(rollout: str, reason: Why = None, who: Who = None, as_json: AsJson = False) -> None:
    """取消 / end it; piles that were asked go on."""
    _change(rollout, "cancelled", reason, who, as_json)


def _change(rollout: str, state: str, reason: str | None, who: str | None, as_json: bool) -> None:
    with opened() as container:
        with container.db.read_system("hub command") as session:
            query = select(FirmwareRollout.tenant_id).where(FirmwareRollout.id == rollout)
            tenant = session.scalars(query).one_or_none()
        if tenant is None:
            raise NotFound(f"rollout {rollout}")
        with container.db.session(tenant) as session:
            changed = devices.rollout_view(container.firmware.change(session, rollout, state, _asked(reason, who)))
        _print_rollout(changed, as_json)


def _print_rollout(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    names = ("id", "name", "version", "state", "failures_allowed", "asked_by", "reason")
    facts("固件升级 / firmware rollout", {name: found[name] for name in names})
    piles = [
        (p["group_no"] + 1, p["pile_code"], p["state"], p["detail"], when(p["changed_at"])) for p in found["piles"]
    ]
    table("桩 / piles", ("组 / group", "桩 / pile", "状态 / state", "说明 / detail", "时间 / at"), piles)


def _sizes(text: str) -> Sequence[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InvalidInput("groups", "如 1,10,50 / such as 1,10,50") from error


# -- asking and waiting


def _asked(reason: str | None, who: str | None, batch_id: str | None = None) -> Asked:
    return Asked(acting(who), reason, batch_id)


def _owner(container: Container, targets: Sequence[str]) -> str:
    """The one tenant whose piles these are. Raises `NotFound` for a pile of nobody, `InvalidInput` for several tenants."""
    codes = {target[:PILE_CODE_DIGITS] for target in targets}
    with container.db.read_system("hub command") as session:
        found = {
            row[0]: row[1] for row in session.execute(select(Pile.code, Pile.tenant_id).where(Pile.code.in_(codes)))
        }
    for code in codes - found.keys():
        raise NotFound(f"pile {code}")
    owners = set(found.values())
    if len(owners) != 1:
        raise InvalidInput("piles", "属于多个租户 / belong to several tenants")
    return owners.pop()


def _ask(requests: Sequence[Request], reason: str | None, who: str | None, wait_s: float, as_json: bool) -> None:
    """Ask, wait, print; exit code 1 unless every pile answered well."""
    with opened() as container:
        asked = _asked(reason, who, new_id() if len(requests) > 1 else None)
        with container.db.session(_owner(container, [request.target for request in requests])) as session:
            ids = [ask(session, container.clock, container.waker, request, asked).id for request in requests]
        found = _wait(lambda: _read(container, ids), wait_s)
    _print(found, as_json)
    if wait_s and any(line["state"] != CommandState.ACKNOWLEDGED for line in found):
        raise typer.Exit(1)


def _wait(look: Callable[[], list[dict[str, Any]]], wait_s: float) -> list[dict[str, Any]]:
    until = time.monotonic() + wait_s
    while True:
        found = look()
        if all(line["state"] in _ENDED for line in found) or time.monotonic() >= until:
            return found
        time.sleep(_POLL_S)


def _read(container: Container, ids: Sequence[str]) -> list[dict[str, Any]]:
    with container.db.read_system("hub command") as session:
        rows = session.scalars(select(PileCommand).where(PileCommand.id.in_(ids)).order_by(PileCommand.id))
        return [devices.command_line(row) for row in rows]


def _print(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows = [
        (
            c["connector"] or c["pile_code"],
            c["kind"],
            c["state"],
            c["detail"],
            c["asked_by"],
            when(c["changed_at"]),
            c["id"],
        )
        for c in found
    ]
    table("命令 / commands", _TITLES, rows)
