"""The demo's folder: database, clock, configurations and logs; wiped at every run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MARK = "made-by-hub-demo"


class DemoFolder:
    """A folder that only the demo writes to. Raises `ValueError` rather than wiping a folder that it did not make."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            if any(path.iterdir()) and not (path / _MARK).exists():
                raise ValueError(f"{path} 不是演示目录，不会清空 / was not made by the demo and will not be wiped")
            shutil.rmtree(path)
        path.mkdir(parents=True)
        (path / _MARK).touch()
        self.path = path.resolve()

    @property
    def database_url(self) -> str:
        """Of the demo's own SQLite file."""
        return f"sqlite:///{self.path / 'hub.db'}"

    @property
    def clock_file(self) -> Path:
        """The clock that all processes share."""
        return self.path / "clock.json"

    def log(self, name: str) -> Path:
        """Where `name` keeps its log."""
        return self.path / f"{name}.jsonl"

    def config(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write a configuration file and return its path."""
        path = self.path / f"{name}.json"
        path.write_text(json.dumps(content, ensure_ascii=False, indent=2))
        return path

    def journal(self, name: str) -> list[dict[str, Any]]:
        """What `name` logged so far: the other side's own account of what it received and answered."""
        path = self.log(name)
        if not path.exists():
            return []
        complete = path.read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in complete.splitlines() if line]
