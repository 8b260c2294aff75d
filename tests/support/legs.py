"""`make test`: every leg in turn, each timed; the run fails when a leg fails or ran no test.

A leg is lint (ruff, types, layers), the tests without a database, those with one on SQLite and again on PostgreSQL + Redis, or the
pages in a browser.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
LINT = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports",),
)
COLLECT = ("-m", "pytest", "--collect-only", "--quiet")
"""Do all test modules import? Beside the others, which use one core, because it compiles the tests for the legs that follow."""
PYTEST_LEGS = ("plain", "sqlite", "postgresql")
PARALLEL = ("-n", "3", "--dist", "loadscope")
"""One more than a small machine has cores: one of them mostly waits for the stage. Each brings up servers of its own."""
PAGES = "pages"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Result:
    """How a leg ended; `reason` is empty when it passed."""

    leg: str
    seconds: float
    what: str
    reason: str


def lint() -> Result:
    """All static checks, even when the first of them fails."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        collecting = subprocess.Popen([sys.executable, *COLLECT], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
        failed = [" ".join(command) for command in LINT if _run([str(BIN / command[0]), *command[1:]]) != 0]
        if collecting.wait() != 0:
            failed.append("collection of the tests")
            said.seek(0)
            _say(said.read().decode(errors="replace"))
    reason = f"failed: {', '.join(failed)}" if failed else ""
    return Result("lint", time.monotonic() - began, f"{len(LINT) + 1} checks", reason)


def pytest_leg(leg: str, arguments: Sequence[str]) -> Result:
    """One pytest run with its report read back: a leg that ran nothing has not passed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", f"--leg={leg}", f"--junitxml={report}", *PARALLEL, *arguments]
        code = _run(command)
        ran, skipped = counts(report)
    reason = f"pytest ended with {code}" if code else "" if ran else "no test ran"
    what = f"{ran} tests" + (f", {skipped} SKIPPED" if skipped else "")
    return Result(leg, time.monotonic() - began, what, reason)


def pages(arguments: Sequence[str]) -> Result:
    """The pages in a headless browser: the one leg that may be absent, and then says so (DECISIONS 25)."""
    if not any(map(shutil.which, BROWSERS)):
        _say("\nPAGES LEG ABSENT: no Chromium on PATH; install Debian's package 'chromium' to run it")
        return Result(PAGES, 0.0, "ABSENT: no Chromium on PATH", "")
    result = pytest_leg("all", ["-m", "page", "tests/pages", *arguments])
    return Result(PAGES, result.seconds, result.what, result.reason)


def counts(report: Path) -> tuple[int, int]:
    """Tests that ran and tests that were skipped, from the head of a JUnit report; 0 when there is none."""
    text = report.read_text("utf-8") if report.exists() else ""
    found = re.search(r"<testsuite [^>]*>", text)
    head = found[0] if found else ""
    tests, skipped = (re.search(rf' {name}="(\d+)"', head) for name in ("tests", "skipped"))
    total, left_out = int(tests[1]) if tests else 0, int(skipped[1]) if skipped else 0
    return total - left_out, left_out


def _run(command: Sequence[str]) -> int:
    _say(f"\n$ {' '.join(command)}")
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def report(results: Iterable[Result]) -> int:
    """Print one line per leg; 0 when all passed."""
    failures = 0
    _say("\nleg           time  result")
    for result in results:
        failures += bool(result.reason)
        verdict = f"FAILED  {result.reason}" if result.reason else "passed"
        _say(f"{result.leg:<12} {result.seconds:4.0f} s  {verdict}  ({result.what})")
    return 1 if failures else 0


def main(chosen: Sequence[str]) -> int:
    """Run the legs named on the command line (all when none is); what follows `--` goes to pytest."""
    cut = chosen.index("--") if "--" in chosen else len(chosen)
    names, arguments = chosen[:cut] or ("lint", *PYTEST_LEGS, PAGES), chosen[cut + 1 :]
    return report([_leg(name, arguments) for name in names])


def _leg(name: str, arguments: Sequence[str]) -> Result:
    if name == "lint":
        return lint()
    if name == PAGES:
        return pages(arguments)
    return pytest_leg(name, ["-m", "not page", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
