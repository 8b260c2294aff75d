"""End-to-end tests share one stage; every test takes piles that no other uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.stage import Stage, shared_stage
from tests.support.databases import Databases


@pytest.fixture(scope="session")
def stage(
    pytestconfig: pytest.Config, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """A whole hub on a database of this leg, and everybody around it."""
    with shared_stage(pytestconfig, databases, tmp_path_factory) as stage:
        yield stage
