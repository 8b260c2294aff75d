"""What alembic runs. The connection comes from `hub.migrate`; there is no offline mode."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import types as sa_types

from hub.migrations.models import is_ours, load_models


def render_type(kind: str, item: Any, _autogen: object) -> str | Literal[False]:
    """A scaled or JSON column is written into a migration as the plain type the database stores."""
    if kind == "type" and isinstance(item, sa_types.TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    return False


def run() -> None:
    """Run the asked migrations in one transaction on the connection given by `hub.migrate`."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=load_models(),
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=render_type,
        compare_type=True,
        include_name=is_ours,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
