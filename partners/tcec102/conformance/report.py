"""A report for people (text lines, one HTML file that needs nothing else) and for machines (JUnit XML). Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from xml.etree.ElementTree import Element, SubElement, tostring

from charging_core.clock import china_text
from partners.tcec102.conformance.model import Report, Result, Status

WORDS = {
    Status.PASSED: "通过 passed",
    Status.FAILED: "不通过 FAILED",
    Status.WARNED: "警告 warning",
    Status.NOTED: "不兼容(记录) not tolerated",
    Status.BLOCKED: "受阻 blocked",
    Status.SKIPPED: "未检查 skipped",
}
_STYLE = """
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,"PingFang SC","Microsoft YaHei",sans-serif;max-width:70rem;margin:2rem auto;
padding:0 1rem}table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}td,th{text-align:left;vertical-align:top;
padding:.25rem .6rem;border-bottom:1px solid #8884}td.failed{color:#c1121f;font-weight:600}td.warned{color:#b25e00}td.passed{color:#0a7d33}
td.noted,td.blocked,td.skipped{opacity:.65}code{font-family:ui-monospace,monospace}
"""


def summary(report: Report) -> str:
    """One line of counts."""
    counts = {status: len(report.with_status(status)) for status in Status}
    return " · ".join(f"{WORDS[status]} {count}" for status, count in counts.items() if count)


def verdict(results: list[Result]) -> Status:
    """The worst that happened among the checks of one interface; notes and what was not made do not lower it."""
    statuses = {result.status for result in results}
    for status in (Status.FAILED, Status.WARNED, Status.PASSED):
        if status in statuses:
            return status
    return Status.BLOCKED if Status.BLOCKED in statuses else Status.SKIPPED


def lines(report: Report) -> Iterator[str]:
    """Pass or fail per interface; under it every check that did not pass, with the member's path and the clause."""
    for interface, results in report.by_interface().items():
        passed = sum(result.status is Status.PASSED for result in results)
        yield f"{WORDS[verdict(results)]:<16} {interface}  ({passed}/{len(results)})"
        for result in results:
            if result.status is not Status.PASSED:
                yield f"    {WORDS[result.status]}: {result.check.id} — {result.check.title}"
                yield f"        {_place(result)}[{result.check.clause}]"


def html(report: Report) -> str:
    """One page with everything in it."""
    good = "通过 / conforms" if report.ok else "不通过 / does not conform"
    title = f"T/CEC 102 一致性测试 · conformance of a {report.role.upper()}: {good}"
    tables = "".join(
        f"<h2><code>{escape(interface)}</code></h2><table><tr><th>结果</th><th>检查 · check</th><th>字段 · field</th>"
        f"<th>说明 · detail</th><th>条款 · clause</th><th>ms</th></tr>{''.join(map(_row, results))}</table>"
        for interface, results in report.by_interface().items()
    )
    return (
        f'<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1><p>{escape(report.url)} · {china_text(report.started_at)} (UTC+8)</p>"
        f"<p>{escape(summary(report))}</p>{tables}</html>"
    )


def junit(report: Report) -> bytes:
    """JUnit XML as build servers read it: a suite per interface; warnings and notes are in the output, not failures."""
    root = Element("testsuites", name=f"T/CEC 102 {report.role}")
    for interface, results in report.by_interface().items():
        suite = SubElement(root, "testsuite", name=interface, tests=str(len(results)))
        suite.set("failures", str(sum(result.status is Status.FAILED for result in results)))
        suite.set("skipped", str(sum(result.status in _NOT_MADE for result in results)))
        suite.set("time", f"{sum(result.seconds for result in results):.3f}")
        for result in results:
            _case(suite, result)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written


_NOT_MADE = (Status.BLOCKED, Status.SKIPPED)


def _case(suite: Element, result: Result) -> None:
    name = result.check.id.partition("/")[2]
    case = SubElement(suite, "testcase", classname=result.check.interface, name=name, time=f"{result.seconds:.3f}")
    text = _xml_text(f"{_place(result)}[{result.check.clause}]")
    if result.status is Status.FAILED:
        SubElement(case, "failure", message=text).text = result.check.title
    elif result.status in _NOT_MADE:
        SubElement(case, "skipped", message=text)
    elif result.status is not Status.PASSED:
        SubElement(case, "system-out").text = f"{WORDS[result.status]}: {text}"


def _row(result: Result) -> str:
    cells = (
        f'<td class="{result.status}">{WORDS[result.status]}</td>',
        f"<td>{escape(result.check.title)}<br><code>{escape(result.check.id)}</code></td>",
        f"<td><code>{escape(result.field)}</code></td>",
        f"<td>{escape(result.detail)}</td>",
        f"<td>{escape(result.check.clause)}</td>",
        f"<td>{result.seconds * 1000:.0f}</td>",
    )
    return f"<tr>{''.join(cells)}</tr>"


def _place(result: Result) -> str:
    return f"{result.field}: {result.detail} " if result.field else f"{result.detail} "


def _xml_text(text: str) -> str:
    """XML has no control characters; what the other side sent may."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
