"""What a person sees of the demo: acts with marks, the meter running, and the table at the end."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from charging_core.clock import to_china
from charging_core.orders.model import ChargeOrder
from hub.demo.story import CHARGE_MINUTES

_CLASSES = {"sharp": "尖", "peak": "峰", "flat": "平", "valley": "谷", "deep_valley": "深谷"}


class LiveScreen:
    """Shows the story while it plays. Use as a context."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: list[Text] = []
        self._bar = Progress(TextColumn("   {task.description}"), BarColumn(40), TextColumn("{task.fields[meter]}"))
        self._task = self._bar.add_task("", total=CHARGE_MINUTES * 60, meter="", visible=False)
        self._live = Live(self._picture(), console=console, refresh_per_second=8)

    def __enter__(self) -> LiveScreen:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def act(self, text: str) -> None:
        """A new act begins."""
        self._lines.append(Text(f" … {text}", style="cyan"))
        self._live.update(self._picture())

    def done(self, text: str) -> None:
        """The act ended well."""
        act = self._lines[-1].plain[3:]
        self._lines[-1] = Text(f" ✓ {act}", style="green")
        self._lines.append(Text(f"     {text}", style="dim"))
        self._bar.update(self._task, visible=False)
        self._live.update(self._picture())

    def progress(self, order: ChargeOrder, now: datetime) -> None:
        """The meter."""
        sample = order.sample or {}
        started = order.started_at or now
        meter = f"{sample.get('energy_kwh', 0)} kWh  {sample.get('total_fee', 0)} 元  SOC {sample.get('soc', 0)} %"
        self._bar.update(
            self._task,
            visible=True,
            completed=(now - started).total_seconds(),
            description=f"{to_china(now):%H:%M}",
            meter=meter,
        )

    def _picture(self) -> Group:
        return Group(*self._lines, self._bar)


class QuietScreen:
    """For `--json`: acts as plain lines."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> QuietScreen:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def act(self, text: str) -> None:
        """A new act begins."""
        self._console.print(f"… {text}", highlight=False)

    def done(self, text: str) -> None:
        """The act ended well."""
        self._console.print(f"✓ {text}", highlight=False)

    def progress(self, order: ChargeOrder, now: datetime) -> None:
        """Nothing: a log wants no meter."""


def print_summary(console: Console, result: dict[str, Any]) -> None:
    """The tables at the end: the bill by period, and who was told what, when, and their answer."""
    order = result["order"]
    bill = Table(title=f"订单 {order['start_charge_seq']} · {order['started_at']} – {order['ended_at']}")
    for column in ("时段 period", "类别", "电量 kWh", "电价", "服务价", "电费 元", "服务费 元"):
        bill.add_column(column, justify="right" if column[-1] in "h元价" else "left")
    for line in order["details"]:
        span = f"{line['started_at'][11:]}–{line['ended_at'][11:]}"
        prices = (_price(line["elec_price"]), _price(line["service_price"]))
        bill.add_row(
            span, _CLASSES[line["class"]], line["energy_kwh"], *prices, line["elec_yuan"], line["service_yuan"]
        )
    bill.add_section()
    bill.add_row("合计 total", "", order["energy_kwh"], "", "", order["elec_yuan"], order["service_yuan"])
    console.print(bill)
    console.print(
        f"[bold]总金额 {result['total_yuan']} 元[/bold]  伙伴、监管与本系统所见一致 / the same at all three\n"
    )
    console.print(_told_table(result))


def _told_table(result: dict[str, Any]) -> Table:
    told = Table(title="谁被告知了什么, 何时, 如何回答 / who was told what, when, and their answer")
    for column in ("对方", "接口 interface", "次数", "最近 last at", "回答 answer"):
        told.add_column(column, overflow="fold", no_wrap=column.startswith("接口"))
    for party, pushes in (("伙伴", result["partner"]), ("监管", result["regulator"])):
        for name, push in pushes["pushes"].items():
            last_at = (push["last_at"] or "")[11:19]
            told.add_row(
                party,
                name.removeprefix("notification_"),
                f"{push['accepted']}/{push['sent']}",
                last_at,
                _short(push["last_answer"]),
            )
    parking = result["parking"]
    told.add_row("车场", "coupon/addition", "1", "", _short(parking["answer"]))
    told.add_row(
        "道闸 gate", "barrierGate open", "1", (parking["gate"] or {}).get("time", "")[11:19], "statusCode 1 OK"
    )
    return told


def _short(answer: Any) -> str:
    if not isinstance(answer, dict):
        return str(answer)
    shown = {k: v for k, v in answer.items() if k in ("ConfirmResult", "SuccStat", "Status", "code", "msg")}
    return ", ".join(f"{k} {v}" for k, v in shown.items())


def _price(text: str) -> str:
    return f"{Decimal(text).normalize():f}"
