"""Knows every module that declares tables, so that migrations, row-level security and tests see the whole schema."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from sqlalchemy import MetaData

from charging_core.db import Base, TenantScoped
from worker.history import is_partition

ROOMS = ("charging_core", "worker", "partners", "parking", "municipal")
_MARK = b"__tablename__"


@cache
def load_models() -> MetaData:
    """Import every module that declares a table and return the whole metadata."""
    for room in ROOMS:
        package = importlib.import_module(room)
        for name in _declaring(list(package.__path__), f"{room}."):
            importlib.import_module(name)
    return Base.metadata


def scoped_tables() -> list[str]:
    """Names of the tables whose rows belong to a tenant, sorted."""
    load_models()
    return sorted(
        str(mapper.local_table) for mapper in Base.registry.mappers if issubclass(mapper.class_, TenantScoped)
    )


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Whether a table of the database is one that a model declares; the partitions of one are not (alembic's `include_name`)."""
    return kind != "table" or name is None or not is_partition(name)


def _declaring(folders: list[str], prefix: str) -> Iterator[str]:
    # Looks at the source before importing: most modules, the fakes and the simulator among them, are not imported for this.
    for found in pkgutil.iter_modules(folders, prefix):
        inner = found.name.rpartition(".")[2]
        if found.ispkg:
            yield from _declaring([str(Path(folder) / inner) for folder in folders], f"{found.name}.")
        elif any(_MARK in path.read_bytes() for path in (Path(f) / f"{inner}.py" for f in folders) if path.is_file()):
            yield found.name
