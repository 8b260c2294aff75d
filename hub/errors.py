"""Errors of the hub edge.

HubError
├── SettingsError      a setting is missing or wrong; `problems` lists each in words
├── PortBusy           a port is taken by another program; names the setting that moves it
├── NeedsServer        a cluster process was asked to run on SQLite (DECISIONS 23)
├── NotMigrated        the database has no schema, or an older one than this program
└── ApplyError         a file for `hub apply` is wrong as a whole; `problems` lists line and text
"""

from __future__ import annotations

from dataclasses import dataclass


class HubError(Exception):
    """Root of what the hub says to the person who started it."""


class SettingsError(HubError):
    """Raised at start when settings are missing or wrong; every wrong key is in `problems`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("设置有误 / settings are wrong:\n" + "\n".join(f"  - {problem}" for problem in problems))
        self.problems = problems


class PortBusy(HubError):
    """Raised when a port cannot be bound; carries the setting's name."""

    def __init__(self, host: str, port: int, setting: str) -> None:
        super().__init__(
            f"端口 {host}:{port} 已被占用, 请改 {setting} / port {host}:{port} is taken by another program: set {setting}"
        )
        self.port = port
        self.setting = setting


class NeedsServer(HubError):
    """Raised when `hub run …` is started on SQLite."""

    def __init__(self, role: str) -> None:
        super().__init__(
            f"`hub run {role}` 需要 PostgreSQL 与 Redis (HUB_DATABASE_URL, HUB_REDIS_URL); SQLite 请用 `hub serve` / "
            f"`hub run {role}` needs PostgreSQL and Redis (HUB_DATABASE_URL, HUB_REDIS_URL); on SQLite use `hub serve`"
        )


class NotMigrated(HubError):
    """Raised when the schema of the database is not the one this program was built for."""

    def __init__(self, current: str | None, head: str | None) -> None:
        super().__init__(
            f"数据库结构为 {current or '空'}, 程序需要 {head}; 请先运行 `hub migrate` / "
            f"the database is at {current or 'nothing'}, this program needs {head}: run `hub migrate` first"
        )


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong in a file: where (1-based line, 0 = nowhere in particular) and what."""

    line: int
    path: str
    text: str

    def __str__(self) -> str:
        where = f"第 {self.line} 行 / line {self.line}: " if self.line else ""
        return f"{where}{self.path}: {self.text}" if self.path else f"{where}{self.text}"


class ApplyError(HubError):
    """Raised when a file for `hub apply` is refused; nothing was changed."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("文件未应用 / the file was not applied:\n" + "\n".join(f"  - {p}" for p in self.problems))
