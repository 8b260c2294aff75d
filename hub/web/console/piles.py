"""Console: what the staff asks of piles, tariff and firmware rollouts, ground locks, live traffic."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from flask import Response

from charging_core.db import HubSession
from charging_core.errors import InvalidInput
from charging_core.ids import new_id
from charging_core.piles.ports import CommandKind
from charging_core.piles.store.device import VALID_FOR, Asked, Request, ask
from charging_core.piles.store.firmware import DEFAULT_GROUPS, Package, Plan, require_rollout
from hub.reading import devices
from hub.reading.paging import Window
from hub.web.context import acting, answer, caller, hub, operation, reading, writing

log = structlog.get_logger()


@operation
def list_commands(pile: str, limit: int, after: str | None = None) -> Response:
    """`GET /piles/{pile}/commands`."""
    with reading() as session:
        return answer(devices.list_commands(session, pile, Window(limit, after)))


@operation
def ask_pile(pile: str, body: dict[str, Any]) -> Response:
    """`POST /piles/{pile}/commands`."""
    connector = body.get("connector")
    target = pile if connector is None else f"{pile}{connector:02d}"
    minutes = body.get("valid_minutes")
    valid_for = VALID_FOR if minutes is None else timedelta(minutes=minutes)
    request = Request(CommandKind(body["kind"]), target, body.get("parameters", {}), valid_for)
    with writing() as session:
        row = ask(session, hub().clock, hub().waker, request, _asked(session, body))
        return answer(devices.command_line(row), 202)


@operation
def get_command(command: str) -> Response:
    """`GET /commands/{command}`."""
    with reading() as session:
        return answer(devices.command_view(session, command))


@operation
def watch_pile(pile: str, wait_s: int, after: str | None = None) -> Response:
    """`GET /piles/{pile}/frames`."""
    with reading() as session:
        found = devices.require_pile(session, pile)
    if after is None:
        log.info("pile.watched", pile_code=pile, token=caller().token_id)
    try:
        seen = hub().watching.read(pile, after, float(wait_s))
    except ValueError as error:
        raise InvalidInput("after", "不是此接口给出的游标 / is no cursor of this operation") from error
    return answer({"items": devices.frames_seen(found, seen), "next": seen[-1].cursor if seen else after})


@operation
def list_tariff_rollout() -> Response:
    """`GET /tariff-rollout`."""
    with reading() as session:
        return answer({"items": devices.tariff_rollout(session, hub().clock.now()), "next": None})


@operation
def push_tariffs(body: dict[str, Any]) -> Response:
    """`POST /tariff-rollout`."""
    with writing() as session:
        asked = _asked(session, body, new_id())
        piles = body.get("piles") or [line["pile"] for line in devices.tariff_rollout(session, hub().clock.now())]
        requests = [Request(CommandKind.PUSH_TARIFF, pile) for pile in piles]
        rows = [ask(session, hub().clock, hub().waker, request, asked) for request in requests]
        return answer({"items": [devices.command_line(row) for row in rows], "next": None}, 202)


@operation
def list_firmware_rollouts(limit: int, after: str | None = None) -> Response:
    """`GET /firmware-rollouts`."""
    with reading() as session:
        return answer(devices.list_rollouts(session, Window(limit, after)))


@operation
def begin_firmware_rollout(body: dict[str, Any]) -> Response:
    """`POST /firmware-rollouts`."""
    plan = Plan(body["name"], body["piles"], body.get("groups", DEFAULT_GROUPS), body.get("failures_allowed", 0))
    with writing() as session:
        rollout = hub().firmware.begin(session, Package(**body["package"]), plan, _asked(session, body))
        return answer(devices.rollout_view(rollout), 201)


@operation
def get_firmware_rollout(rollout: str) -> Response:
    """`GET /firmware-rollouts/{rollout}`."""
    with reading() as session:
        return answer(devices.rollout_view(require_rollout(session, rollout)))


@operation
def change_firmware_rollout(rollout: str, body: dict[str, Any]) -> Response:
    """`POST /firmware-rollouts/{rollout}/state`."""
    with writing() as session:
        changed = hub().firmware.change(session, rollout, body["state"], _asked(session, body))
        return answer(devices.rollout_view(changed))


@operation
def list_ground_locks(limit: int, after: str | None = None) -> Response:
    """`GET /ground-locks`."""
    with reading() as session:
        return answer(devices.list_locks(session, Window(limit, after)))


def _asked(session: HubSession, body: dict[str, Any], batch_id: str | None = None) -> Asked:
    return Asked(acting(session), body.get("reason"), batch_id)
