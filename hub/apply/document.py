"""The whole file as one checked value: `read_document` parses, fills in references, validates every section and the references
between them, and raises one `ApplyError` that lists everything wrong with its line."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError

from charging_core.tariffs.calendar import BASE_DAY
from charging_core.tariffs.plan import TariffPlan
from hub.apply.catalog import OperatorSection, Section, StationSection, TenantSection
from hub.apply.marks import Marked, Path, parse
from hub.apply.members import MemberSection
from hub.apply.parks import ParkSection
from hub.apply.references import Surroundings, fill_in
from hub.apply.tariffs import TariffSection
from hub.errors import ApplyError, Problem
from municipal.specs import RegulatorLinkSpec
from partners.specs import PartnerLinkSpec

LARGEST_FILE = 64 * 1024 * 1024  # a province's worth of stations is some 20 MB


class Document(Section):
    """One operator's declaration."""

    tenant: TenantSection
    operators: list[OperatorSection] = Field(default_factory=list)
    tariffs: list[TariffSection] = Field(default_factory=list)
    stations: list[StationSection] = Field(default_factory=list)
    partners: list[PartnerLinkSpec] = Field(default_factory=list)
    regulators: list[RegulatorLinkSpec] = Field(default_factory=list)
    parks: list[ParkSection] = Field(default_factory=list)
    members: list[MemberSection] = Field(default_factory=list)


@dataclass(frozen=True)
class Declaration:
    """A valid file: its sections, and the marks that give every later problem its line."""

    document: Document
    marked: Marked


def read_file(path: FilePath, environ: Mapping[str, str] | None = None) -> Declaration:
    """Read and check a file. Raises `ApplyError`."""
    around = Surroundings(os.environ if environ is None else environ, path.resolve().parent)
    return read_document(_text(path), around)


def _text(path: FilePath) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ApplyError([Problem(0, "", f"文件过大 / the file is too large: {path.name}")])
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ApplyError([Problem(0, "", f"无法读取 {path} / cannot be read ({type(error).__name__})")]) from error


def read_document(text: str, around: Surroundings) -> Declaration:
    """Check the text of a file as a whole. Raises `ApplyError` with every problem and its line."""
    marked = parse(text)
    value, problems = fill_in(marked, around)
    try:
        # The context is where `partners.secrets` looks references up.
        document = Document.model_validate(value, context={"environ": around.environ, "folder": str(around.folder)})
    except ValidationError as error:
        already = {problem.path for problem in problems}
        found = [_in_words(marked, dict(item)) for item in error.errors(include_url=False, include_input=False)]
        raise ApplyError([*problems, *(p for p in found if p.path not in already)]) from error
    problems += _contradictions(document, marked)
    if problems:
        raise ApplyError(problems)
    return Declaration(document, marked)


def _inside(kind: Any, part: str | int) -> Iterator[Any]:
    for leaf in _leaves(kind):
        origin, arguments = get_origin(leaf), get_args(leaf)
        if isinstance(part, int) and origin in (list, tuple) and arguments:
            yield arguments[0]
        elif isinstance(part, str) and origin in (dict, Mapping) and len(arguments) == 2:
            yield arguments[1]
        elif isinstance(part, str) and isinstance(leaf, type) and issubclass(leaf, BaseModel):
            yield from (
                field.annotation for name, field in leaf.model_fields.items() if part in {name, field.alias or name}
            )


def _leaves(kind: Any) -> Iterator[Any]:
    """The alternatives of a union, else the type itself."""
    origin = get_origin(kind)
    if origin is None or origin in (list, tuple, dict, Mapping):
        yield kind
    else:
        for inner in get_args(kind):
            yield from _leaves(inner)


def _in_words(marked: Marked, error: dict[str, Any]) -> Problem:
    path: Path = tuple(error["loc"])
    kind, message = error["type"], str(error["msg"]).removeprefix("Value error, ")
    if kind == "missing":
        return marked.problem(path, "缺少 / is missing")
    if kind == "extra_forbidden":
        return marked.problem(path, f"未知的键 / unknown key{_suggestion(path)}")
    return marked.problem(path, f"取值不对 / wrong value: {message}")


def _suggestion(path: Path) -> str:
    near = difflib.get_close_matches(str(path[-1]), _known_keys(Document, path[:-1]), 1)
    return f" (是否指 / did you mean `{near[0]}`?)" if near else ""


def _known_keys(model: type[BaseModel], path: Path) -> list[str]:
    kinds: list[Any] = [model]
    for part in path:
        kinds = [inner for kind in kinds for inner in _inside(kind, part)]
    models = [m for kind in kinds for m in _leaves(kind) if isinstance(m, type) and issubclass(m, BaseModel)]
    return [field.alias or name for m in models for name, field in m.model_fields.items()]


def _contradictions(document: Document, marked: Marked) -> list[Problem]:
    return [
        *_repeats(document, marked),
        *_unknown_operators(document, marked),
        *_tariffs_that_do_not_fit(document, marked),
    ]


def _repeats(document: Document, marked: Marked) -> Iterator[Problem]:
    yield from _repeated(marked, ("operators", "id"), [o.id for o in document.operators])
    yield from _repeated(marked, ("tariffs", "code"), [t.code for t in document.tariffs])
    yield from _repeated(marked, ("partners", "id"), [link.id for link in document.partners])
    yield from _repeated(marked, ("regulators", "id"), [link.id for link in document.regulators])
    yield from _repeated(marked, ("parks", "code"), [park.code for park in document.parks])
    yield from _repeated(marked, ("members", "code"), [member.code for member in document.members])
    yield from _repeated_cards(document, marked)
    yield from _repeated(marked, ("stations", "code"), [f"{s.operator}/{s.code}" for s in document.stations])
    piles = [
        (("stations", i, "piles", j, "code"), pile.code)
        for i, station in enumerate(document.stations)
        for j, pile in enumerate(station.piles)
    ]
    yield from _repeated_at(marked, piles)
    for i, station in enumerate(document.stations):
        for j, pile in enumerate(station.piles):
            paths = [
                (("stations", i, "piles", j, "connectors", k, "number"), str(connector.number))
                for k, connector in enumerate(pile.connectors)
            ]
            yield from _repeated_at(marked, paths)


def _repeated_cards(document: Document, marked: Marked) -> Iterator[Problem]:
    """A card and a vehicle belong to one member only."""
    cards = [
        (("members", i, "cards", j), card)
        for i, member in enumerate(document.members)
        for j, card in enumerate(member.cards)
    ]
    yield from _repeated_at(marked, [((*path, "number"), card.number) for path, card in cards])
    yield from _repeated_at(marked, [((*path, "physical"), card.physical) for path, card in cards])
    vehicles = [
        (("members", i, "vehicles", j), vin)
        for i, member in enumerate(document.members)
        for j, vin in enumerate(member.vehicles)
    ]
    yield from _repeated_at(marked, vehicles)


def _repeated(marked: Marked, where: tuple[str, str], names: Sequence[str]) -> Iterator[Problem]:
    section, key = where
    yield from _repeated_at(marked, [((section, index, key), name) for index, name in enumerate(names)])


def _repeated_at(marked: Marked, places: Iterable[tuple[Path, str]]) -> Iterator[Problem]:
    listed = list(places)
    often = {name for name, count in Counter(name for _, name in listed).items() if count > 1}
    seen: set[str] = set()
    for path, name in listed:
        if name in often and name in seen:
            yield marked.problem(path, f"重复 / {name} stands twice")
        seen.add(name)


def _unknown_operators(document: Document, marked: Marked) -> Iterator[Problem]:
    known = {operator.id for operator in document.operators}
    for index, station in enumerate(document.stations):
        if station.operator not in known:
            yield marked.problem(
                ("stations", index, "operator"),
                f"operators 中没有 {station.operator} / {station.operator} is not among `operators`",
            )


def _tariffs_that_do_not_fit(document: Document, marked: Marked) -> Iterator[Problem]:
    declared = {tariff.code: (index, tariff) for index, tariff in enumerate(document.tariffs)}
    for code in sorted({s.tariff for s in document.stations if any(p.protocol == "ykc" for p in s.piles)}):
        if code in declared:
            index, tariff = declared[code]
            for kind, reason in why_piles_cannot(tariff.spec().plan):
                yield marked.problem(("tariffs", index, *day_path(kind)), reason)


def why_piles_cannot(plan: TariffPlan) -> Iterator[tuple[str, str]]:
    """Kinds of day that a YKC 1.5/1.6 pile cannot hold, each with the reason in words (DECISIONS 13)."""
    for kind, error in plan.unfit_for_piles():
        yield kind, f"云快充桩无法使用此计费模型 / a YKC pile cannot hold this tariff: {error}"


def day_path(kind: str) -> tuple[str, ...]:
    """Where the periods of a kind of day stand in a tariff of the file."""
    return ("periods",) if kind == BASE_DAY else ("days", kind)


def read_tariffs(path: FilePath) -> list[TariffSection]:
    """The `tariffs` of a file, whatever else it holds. Raises `ApplyError`."""
    marked = parse(_text(path))
    value = marked.value
    wanted = {"tariffs": value.get("tariffs") if isinstance(value, dict) else None}
    if not wanted["tariffs"]:
        raise ApplyError([Problem(0, "tariffs", f"{path} 中没有 tariffs / holds no tariffs")])
    try:
        return _Tariffs.model_validate(wanted).tariffs
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise ApplyError([_in_words(marked, dict(item)) for item in found]) from error


class _Tariffs(Section):
    tariffs: list[TariffSection]
