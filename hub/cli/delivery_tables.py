"""Deliveries, statistics and the record of actions as tables on the screen."""

from __future__ import annotations

import json
from typing import Any

from hub.cli.screen import facts, out, table
from hub.reading.values import plain, when

_TIMES = frozenset({"occurred_at", "next_attempt_at", "deadline_at", "finished_at", "created_at", "started_at"})
_INSIDE = frozenset({"attempts", "actions", "body", "destination_kind", "destination_id"})


def show_deliveries(found: list[dict[str, Any]], total: int) -> None:
    """A list, and how many there are when it does not hold all."""
    columns = ("推送 / delivery", "对方, 接口 / to", "对象号 / object", "状态 / state", "原因 / reason")
    table("推送 / deliveries", columns, [_line(delivery) for delivery in found], whole=1)
    if total > len(found):
        out.print(f"{len(found)} / {total}; 可用 --limit 或更窄的条件 / use --limit or narrow it", highlight=False)


def _line(delivery: dict[str, Any]) -> tuple[object, ...]:
    waits = f"\n下次 / next {when(delivery['next_attempt_at'])}" if delivery["state"] == "waiting" else ""
    return (
        f"{delivery['id']}\n{when(delivery['occurred_at'])}",
        f"{delivery['destination']}\n{delivery['interface']}",
        delivery["object_key"],
        f"{delivery['state']} ×{delivery['attempt_count']} {delivery['code'] or ''}{waits}",
        delivery["reason"],
    )


def show_delivery_page(found: dict[str, Any]) -> None:
    """One delivery, whole."""
    head = {name: when(value) if name in _TIMES else value for name, value in found.items() if name not in _INSIDE}
    facts("推送 / delivery", head)
    if found["body"] is not None:
        facts("内容 (已脱敏) / body, masked", {"": json.dumps(plain(found["body"]), ensure_ascii=False, indent=1)})
    for attempt in found["attempts"]:
        members = {name: when(value) if name in _TIMES else value for name, value in attempt.items()}
        facts(f"尝试 / attempt {attempt['number']}", members)
    if found["actions"]:
        show_actions(found["actions"])


def show_stats(found: list[dict[str, Any]], window: str) -> None:
    """One line per destination."""
    columns = (
        "对方 / destination",
        "等待 / waiting",
        "次/秒 / per s",
        "结果 / outcomes",
        "p50 p95 p99 s",
        "及时 / in time",
        "状态 / state",
    )
    table(f"推送统计 / deliveries, {window}", columns, [_stats_line(line) for line in found], whole=1)


def _stats_line(line: dict[str, Any]) -> tuple[object, ...]:
    outcomes = " ".join(f"{name} {count}" for name, count in sorted(line["outcomes"].items()))
    times = ("" if line[name] is None else f"{line[name]:.1f}" for name in ("p50_s", "p95_s", "p99_s"))
    share = "" if line["in_time"] is None else f"{line['in_time']:.1%}"
    waiting = f"{line['waiting']}" + (f" ({line['oldest_s']:.0f} s)" if line["waiting"] else "")
    rate = f"{line['attempts_per_s']:.2f}"
    return line["destination"], waiting, rate, outcomes, " ".join(times), share, _condition(line)


def _condition(line: dict[str, Any]) -> str:
    if line["held"] is not None:
        return f"暂停 / held: {line['held']}"
    if line["failing_since"] is not None:
        return f"故障自 / failing since {when(line['failing_since'])}"
    return ""


def show_actions(found: list[dict[str, Any]]) -> None:
    """The record of actions, newest first."""
    columns = ("时间 / at", "谁 / by", "操作 / action", "对象 / subject", "说明 / facts")
    rows = [
        (
            when(line["at"]),
            line["by"],
            line["action"],
            line["subject"],
            " ".join(f"{name}={plain(value)}" for name, value in line["facts"].items()),
        )
        for line in found
    ]
    table("操作记录 / record of actions", columns, rows, whole=2)
