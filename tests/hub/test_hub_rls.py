"""Row-level security: the second wall behind the session's scope (DECISIONS 24), and the migrations that build it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from charging_core.db import Base
from hub import migrate
from hub.container import Container
from hub.migrations.models import load_models, scoped_tables
from tests.hub.hub_rig import example_text, other_tenant_text
from tests.support.databases import FreshDatabase


def test_every_table_of_a_tenant_is_known() -> None:
    load_models()
    with_tenant = {name for name, table in Base.metadata.tables.items() if "tenant_id" in table.columns}
    assert with_tenant - set(scoped_tables()) == {"refused_login"}  # a knock may belong to nobody


def test_upgrading_twice_changes_nothing_and_models_equal_the_schema(fresh_database: FreshDatabase) -> None:
    assert migrate.upgrade(fresh_database.owner_url) == migrate.head()
    engine = create_engine(fresh_database.owner_url)
    with engine.connect() as connection:
        assert migrate.differences(connection) == []
    engine.dispose()


@pytest.mark.postgresql("row-level security is PostgreSQL's")
def test_without_a_scope_no_row_is_seen_or_written(hub: Container, apply_text: Callable[..., object]) -> None:
    apply_text(example_text())
    apply_text(other_tenant_text())
    engine = create_engine(hub.settings.database_url)  # connections of its own: none has ever had a scope
    with engine.begin() as connection:
        for table in scoped_tables():
            assert connection.execute(text(f'SELECT count(*) FROM "{table}"')).scalar() == 0
    with engine.begin() as connection:
        connection.execute(text("SELECT set_config('hub.tenant', 'demo', true)"))
        assert connection.execute(text("SELECT count(DISTINCT tenant_id) FROM pile")).scalar() == 1
        assert connection.execute(text("UPDATE pile SET name = 'x' WHERE tenant_id = 'other'")).rowcount == 0
    with pytest.raises(DBAPIError, match="row-level security"):
        _give_away_every_pile(engine)
    engine.dispose()


def _give_away_every_pile(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("SELECT set_config('hub.tenant', 'demo', true)"))
        connection.execute(text("UPDATE pile SET tenant_id = 'other'"))
