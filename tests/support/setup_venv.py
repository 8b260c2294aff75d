"""`make setup`: a virtualenv in .venv with the locked dependencies and the `hub` command; a no-op when nothing changed.

Run by the system's Python, so it must say "too old" in words instead of failing on syntax: nothing here needs more than 3.7.
"""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

MINIMUM = (3, 11)
ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".hub-setup"
# What decides whether the installed packages are still the right ones.
INPUTS = ("requirements.lock", "pyproject.toml")
TOO_OLD = """需要 Python {wanted} 或更高版本，当前为 {found}（{path}）。
Python {wanted} or newer is needed, this is {found} ({path}).
Install one and name it: make setup PYTHON=python3.12"""
NO_VENV = """无法创建虚拟环境；Debian/Ubuntu 请先安装 python3-venv。
The virtualenv could not be made; on Debian or Ubuntu install python3-venv first."""


def main():
    # type: () -> int
    """Check, make, install, stamp."""
    if sys.version_info < MINIMUM:
        return complain(TOO_OLD.format(wanted=dotted(MINIMUM), found=dotted(sys.version_info[:3]), path=sys.executable))
    if STAMP.exists() and STAMP.read_text() == fingerprint() and venv_works():
        return 0
    began = time.monotonic()
    if not venv_works():
        say("正在创建 .venv / making .venv with Python " + dotted(sys.version_info[:3]))
        if run([sys.executable, "-m", "venv", "--clear", str(VENV)]) != 0:
            return complain(NO_VENV)
    say("正在安装锁定的依赖（只需一次）/ installing the locked packages (once)")
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check"]
    if run([*pip, "--require-hashes", "--progress-bar", "on", "-r", "requirements.lock"]) != 0:
        return complain("安装依赖失败，见上方 pip 输出 / installing failed, see pip's output above")
    if run([*pip, "--quiet", "--no-deps", "--no-build-isolation", "-e", "."]) != 0:
        return complain("安装本项目失败，见上方 pip 输出 / installing the hub itself failed, see pip's output above")
    STAMP.write_text(fingerprint())
    say("就绪，用时 {0:.0f} 秒 / ready after {0:.0f} s: {1}".format(time.monotonic() - began, VENV / "bin" / "hub"))
    return 0


def venv_works():
    # type: () -> bool
    """False for a folder that was moved, copied, half made, or made by a Python that is gone or too old."""
    if not PYTHON.exists():
        return False
    question = f"import sys, pip; sys.exit(sys.version_info < {MINIMUM} or sys.prefix != {str(VENV)!r})"
    try:
        return subprocess.run([str(PYTHON), "-c", question], stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def fingerprint():
    # type: () -> str
    """Changes with the lock file, the project file, the place and the Python."""
    parts = [(ROOT / name).read_bytes() for name in INPUTS] + [str(VENV).encode(), sys.version.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def run(command):
    # type: (list[str]) -> int
    """Run in the project's folder, output visible."""
    return subprocess.run(command, cwd=str(ROOT), check=False).returncode


def dotted(version):
    # type: (tuple[int, ...]) -> str
    """3.11.7"""
    return ".".join(str(part) for part in version)


def say(text):
    # type: (str) -> None
    """One line of progress."""
    sys.stdout.write("==> " + text + "\n")
    sys.stdout.flush()


def complain(text):
    # type: (str) -> int
    """The exit code of a failure, after its reason."""
    sys.stderr.write(text + "\n")
    if VENV.exists() and STAMP.exists():
        STAMP.unlink()
    return 1


if __name__ == "__main__":
    sys.exit(main())
