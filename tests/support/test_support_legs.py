"""`make test` fails for a leg that failed and for a leg that ran nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.legs import Result, counts, report

HEAD = (
    '<?xml version="1.0"?><testsuites><testsuite name="pytest" errors="0" failures="0" skipped="2" tests="7" time="1">'
)


def test_counts_are_read_from_the_report(tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    assert counts(file) == (0, 0)
    file.write_text(HEAD)
    assert counts(file) == (5, 2)
    file.write_text('<testsuites><testsuite name="pytest" errors="0" skipped="0" tests="0" /></testsuites>')
    assert counts(file) == (0, 0)


def test_one_bad_leg_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Result("lint", 3, "4 checks", ""), Result("sqlite", 60, "0 tests", "no test ran")
    assert report([good]) == 0
    assert report([good, bad]) == 1
    assert "FAILED  no test ran" in capsys.readouterr().out
