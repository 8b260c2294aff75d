"""Named points at which a test can stop a process to see what survives (DECISIONS 32).

`HUB_FAULT_POINT=name` makes the process write a marker file (`HUB_FAULT_MARKER`) when it reaches the point `name` and then stand
still there, so that SIGKILL lands exactly at that point. Without the variable a point costs one look-up.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_STAND_STILL_S = 600.0


def hit(name: str, detail: str = "") -> None:
    """Pass the point `name`; stands still when the environment names it, alone or as `name:detail` (one interface, say)."""
    if os.environ.get("HUB_FAULT_POINT") not in (name, f"{name}:{detail}"):
        return
    marker = os.environ.get("HUB_FAULT_MARKER")
    if marker:
        Path(marker).write_text(name)
    time.sleep(_STAND_STILL_S)
