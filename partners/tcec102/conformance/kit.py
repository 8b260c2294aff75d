"""Runs all checks of one role, in order, and collects the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from charging_core.clock import Clock, SystemClock
from partners.tcec102.conformance import charging, pushing, querying
from partners.tcec102.conformance.bench import Bench
from partners.tcec102.conformance.listening import PushListener
from partners.tcec102.conformance.model import Check, NotTried, Report, Result, Role, Status, Unmet, unmet
from partners.tcec102.conformance.refusing import body_checks, envelope_checks
from partners.tcec102.conformance.target import Target
from partners.tcec102.conformance.tokens import several_tokens_check, token_checks
from partners.tcec102.conformance.tolerating import tolerance_checks
from partners.tcec102.contract import Contract
from partners.tcec102.sending import HttpPost

Progress = Callable[[Result], None]


def checks_of(role: Role, contract: Contract) -> list[Check]:
    """Every check of a role in the order of running. Ids are unique."""
    return list(_cpo_checks(contract) if role is Role.CPO else _msp_checks(contract))


def examine(
    role: Role,
    base_url: str,
    target: Target,
    *,
    contract: Contract | None = None,
    clock: Clock | None = None,
    listener: PushListener | None = None,
    verify_tls: bool = True,
    http: HttpPost | None = None,
    progress: Progress = lambda _result: None,
) -> Report:
    """Examine one implementation.

    :param base_url: its address up to and including the version segment.
    :param listener: where an examined CPO pushes to.
    :param http: how to send; without it over connections of our own.
    :param progress: told each result as it comes.
    """
    contract, clock = contract or Contract.standard(), clock or SystemClock()
    bench = Bench(target, base_url, contract, clock, listener=listener, verify_tls=verify_tls, http=http)
    results: list[Result] = []
    statuses: dict[str, Status] = {}
    started_at = clock.now()
    try:
        for check in checks_of(role, contract):
            result = _run(check, bench, statuses)
            statuses[check.id] = result.status
            results.append(result)
            progress(result)
    finally:
        bench.close()
    return Report(role, bench.base_url, started_at, tuple(results))


def _cpo_checks(contract: Contract) -> Iterator[Check]:
    yield from token_checks(contract)
    yield from querying.query_checks(contract)
    yield several_tokens_check(contract, querying.STATIONS, querying.one_page)
    for interface, body in querying.query_bodies(contract).items():
        yield from body_checks(contract, interface, body)
    yield from envelope_checks(querying.STATIONS, querying.one_page)
    yield from tolerance_checks(querying.STATIONS, querying.one_page)
    yield from charging.charge_checks(contract)


def _msp_checks(contract: Contract) -> Iterator[Check]:
    yield from token_checks(contract)
    yield from pushing.push_checks(contract)
    yield several_tokens_check(contract, pushing.STATUS, pushing.connector_status)
    for interface, body in pushing.push_bodies(contract).items():
        yield from body_checks(contract, interface, body)
    yield from envelope_checks(pushing.STATUS, pushing.connector_status)
    yield from tolerance_checks(pushing.STATUS, pushing.connector_status)


def _run(check: Check, bench: Bench, statuses: dict[str, Status]) -> Result:
    for needed in check.needs:
        if statuses.get(needed) is not Status.PASSED:
            return _not_run(check, needed, statuses.get(needed))
    started = time.perf_counter()
    try:
        check.run(bench)
    except NotTried as reason:
        return Result(check, Status.SKIPPED, str(reason))
    except Unmet as complaint:
        return unmet(check, complaint, time.perf_counter() - started)
    return Result(check, Status.PASSED, seconds=time.perf_counter() - started)


def _not_run(check: Check, needed: str, status: Status | None) -> Result:
    if status in (None, Status.SKIPPED):
        return Result(check, Status.SKIPPED, f"未检查 / not examined: {needed}")
    return Result(check, Status.BLOCKED, f"先要通过 / needs first: {needed}")
