"""Branch coverage of some modules over a corpus, by tracing: both ways of every conditional jump. Slow; for printing only."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

_Key = tuple[str, str, int, int]
"""File, function, its first line, offset of the jump."""


@dataclass
class Branches:
    """Ways out of conditional jumps: all there are, and those that were taken."""

    modules: Iterable[ModuleType]
    taken: set[tuple[_Key, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._files = {str(module.__file__): module.__name__ for module in self.modules}
        self.jumps: dict[_Key, int] = {}
        self._by_code: dict[CodeType, dict[int, _Key]] = {}
        for file in self._files:
            source = Path(file).read_text("utf-8")
            self._collect(compile(source, file, "exec", dont_inherit=True), inside=False)

    def _collect(self, code: CodeType, *, inside: bool) -> None:
        for key, line in _jumps(code).items() if inside else ():
            self.jumps[key] = line
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._collect(constant, inside=True)

    def run(self, work: Callable[[], None]) -> None:
        """Do `work` under the tracer."""
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            work()
        finally:
            sys.settrace(before)

    def _called(self, frame: FrameType, event: str, _argument: Any) -> Any:
        code = frame.f_code
        if code.co_filename not in self._files or code.co_name == "<module>":
            return None
        if code not in self._by_code:
            self._by_code[code] = {key[3]: key for key in _jumps(code)}
        jumps = self._by_code[code]
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        last: _Key | None = None

        def local(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal last
            if event == "opcode":
                if last is not None:
                    self.taken.add((last, frame.f_lasti))
                last = jumps.get(frame.f_lasti)
            return local

        return local

    def report(self) -> list[str]:
        """One line per module, one for each jump of which a way was not taken, and the sum."""
        lines, seen_all, all_ways = [], 0, 0
        for file, name in sorted(self._files.items()):
            keys = [key for key in self.jumps if key[0] == file]
            seen = {key: min(2, sum(1 for jump, _ in self.taken if jump == key)) for key in keys}
            total, ways = sum(seen.values()), 2 * len(keys)
            seen_all, all_ways = seen_all + total, all_ways + ways
            missing = sorted({self.jumps[key] for key in keys if seen[key] < 2})
            where = f"   lines with a way not taken: {', '.join(map(str, missing))}" if missing else ""
            lines.append(f"  {name:<52} {total:>4}/{ways:<4}{where}")
        share = 100 * seen_all / all_ways if all_ways else 100.0
        return [*lines, f"  branch coverage of the codec: {seen_all}/{all_ways} ways = {share:.1f} %"]


def _jumps(code: CodeType) -> dict[_Key, int]:
    found: dict[_Key, int] = {}
    line = code.co_firstlineno
    for step in dis.get_instructions(code):
        line = step.starts_line or line
        if ("JUMP" in step.opname and "IF" in step.opname) or step.opname == "FOR_ITER":
            found[code.co_filename, code.co_qualname, code.co_firstlineno, step.offset] = line
    return found
