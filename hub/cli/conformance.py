"""`hub tcec conformance`: examine any T/CEC 102 implementation. Needs no database and no settings of the hub."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from charging_core.clock import SystemClock
from hub.cli.screen import out
from partners.tcec102.conformance import report as reports
from partners.tcec102.conformance.kit import examine
from partners.tcec102.conformance.listening import PushListener
from partners.tcec102.conformance.model import Report, Role
from partners.tcec102.conformance.target import Target, read_target
from partners.tcec102.contract import Contract
from partners.tcec102.errors import ConfigurationError


def conformance(
    url: Annotated[str, typer.Option(help="对方地址, 到版本段为止 / their base address, with its version segment")],
    keys: Annotated[Path, typer.Option(help="密钥文件 / keys: see partners.tcec102.conformance.target")],
    role: Annotated[Role, typer.Option(help="对方是充电方还是客户方 / what the examined side is")],
    report: Annotated[Path | None, typer.Option(help="HTML 报告 / HTML report")] = None,
    junit: Annotated[Path | None, typer.Option(help="JUnit XML 报告 / JUnit XML report")] = None,
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT, 接收对方推送 (cpo) / where an examined cpo pushes to, with own_keys")
    ] = None,
    insecure: Annotated[bool, typer.Option(help="不校验 TLS 证书 / do not verify TLS")] = False,
) -> None:
    """一致性测试: 扮演对方, 逐接口检查 / play the other side and say per interface what does not conform."""
    contract, clock = Contract.standard(), SystemClock()
    with ExitStack() as stack:
        try:
            target = read_target(keys)
            listener = _listener(listen, target, contract, clock) if listen else None
        except ConfigurationError as error:
            raise typer.BadParameter(str(error), param_hint="--keys") from error
        if listener is not None:
            stack.callback(listener.close)
            out.print(f"推送地址 / pushes are taken at {listener.url}", markup=False)
        found = examine(role, url, target, contract=contract, clock=clock, listener=listener, verify_tls=not insecure)
    _show(found)
    _write(found, report, junit)
    raise typer.Exit(0 if found.ok else 1)


def _listener(address: str, target: Target, contract: Contract, clock: SystemClock) -> PushListener:
    host, _, port = address.rpartition(":")
    if target.own_keys is None or target.their_operator_id is None:
        raise ConfigurationError("--listen 需要 own_keys 与 their_operator_id / needs own_keys and their_operator_id")
    if not host or not port.isdigit():
        raise ConfigurationError(f"--listen {address}: HOST:PORT")
    try:
        return PushListener(
            host, int(port), contract, clock, target.own_keys.key_set(), target.their_operator_id, target.operator_id
        )
    except OSError as error:
        raise ConfigurationError(f"--listen {address}: {error.strerror}") from error


def _show(found: Report) -> None:
    for line in reports.lines(found):
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    out.print(reports.summary(found), style="green" if found.ok else "red", markup=False)


def _write(found: Report, html: Path | None, junit: Path | None) -> None:
    if html is not None:
        html.write_text(reports.html(found), encoding="utf-8")
    if junit is not None:
        junit.write_bytes(reports.junit(found))
