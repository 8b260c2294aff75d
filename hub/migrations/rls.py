"""Row-level security: the second wall behind the session's tenant scope (DECISIONS 24). PostgreSQL only.

A migration that adds a tenant's table calls `protect`; `hub migrate` calls `protect_all` after every upgrade, so that none is forgotten.
The policy reads two settings of the transaction that `charging_core.db` sets: `hub.tenant` and `hub.system`.
"""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

APP_ROLE = "hub_app"
POLICY = "hub_tenant"
ALLOWED = "tenant_id = current_setting('hub.tenant', true) OR current_setting('hub.system', true) = 'on'"


def protect_all(connection: Connection, tables: list[str]) -> None:
    """Turn the policy on for those of `tables` that exist, and grant the program's role what it needs."""
    if connection.dialect.name != "postgresql":
        return
    present = set(inspect(connection).get_table_names())
    for table in tables:
        if table in present:
            protect(connection, table)
    grant(connection)


def protect(connection: Connection, table: str) -> None:
    """ENABLE and FORCE row-level security on one table with the tenant policy; safe to repeat."""
    name = connection.dialect.identifier_preparer.quote(table)
    for statement in (
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS {POLICY} ON {name}",
        f"CREATE POLICY {POLICY} ON {name} USING ({ALLOWED}) WITH CHECK ({ALLOWED})",
    ):
        connection.execute(text(statement))


def grant(connection: Connection) -> None:
    """Let the program's role read and write rows, and nothing else. Does nothing where that role does not exist."""
    known = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": APP_ROLE}).scalar()
    if not known:
        return
    for statement in (
        f"GRANT USAGE ON SCHEMA public TO {APP_ROLE}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {APP_ROLE}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {APP_ROLE}",
    ):
        connection.execute(text(statement))
