"""The months of the delivery attempts' history (PostgreSQL): their functions, the first of them, and row-level security on each.

`worker/history.py` says what they are for. The functions belong to the owner of the tables and run with its rights, because the program's
own role may only read and write rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, inspect, text

from hub.migrations.rls import ALLOWED, APP_ROLE, POLICY
from worker.history import ADD_MONTH, ATTEMPTS, DROP_MONTH, REST, months_ahead

_LOCK_KEY = 0x48415454  # any fixed number: two that make the same month wait for each other
_PROTECT = f"""
  EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', part);
  EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', part);
  EXECUTE format('CREATE POLICY {POLICY} ON %I USING (%s) WITH CHECK (%s)', part, allowed, allowed);
"""
_NAMED = f"part text := '{ATTEMPTS}_' || to_char(month, '\"y\"YYYY\"m\"MM');"
_RIGHTS = "LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '10s'"

# What the month has in the rest moves over first; nobody adds to the rest meanwhile.
_ADD = f"""
CREATE OR REPLACE FUNCTION {ADD_MONTH}(month date) RETURNS boolean {_RIGHTS} AS $$
DECLARE
  {_NAMED}
  low timestamptz := date_trunc('month', month::timestamp) AT TIME ZONE 'UTC';
  high timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
  allowed text := $policy${ALLOWED}$policy$;
  was text := coalesce(current_setting('hub.system', true), '');
BEGIN
  PERFORM pg_advisory_xact_lock({_LOCK_KEY});
  IF to_regclass(part) IS NOT NULL THEN RETURN false; END IF;
  PERFORM set_config('hub.system', 'on', true);
  LOCK TABLE {REST} IN ACCESS EXCLUSIVE MODE;
  EXECUTE format('CREATE TABLE %I (LIKE {ATTEMPTS} INCLUDING ALL)', part);
  EXECUTE format('WITH moved AS (DELETE FROM {REST} WHERE started_at >= %L AND started_at < %L RETURNING *) '
    'INSERT INTO %I SELECT * FROM moved', low, high, part);
  EXECUTE format('ALTER TABLE {ATTEMPTS} ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, low, high);
  {_PROTECT}
  {{grant}}
  PERFORM set_config('hub.system', was, true);
  RETURN true;
END $$
"""  # noqa: S608 - constants only
_DROP = f"""
CREATE OR REPLACE FUNCTION {DROP_MONTH}(month date) RETURNS void {_RIGHTS} AS $$
DECLARE
  {_NAMED}
BEGIN
  EXECUTE format('DROP TABLE IF EXISTS %I', part);
END $$
"""
_GRANT = f"EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO {APP_ROLE}', part);"


def prepare_history(connection: Connection, now: datetime) -> None:
    """Install the functions, the rest and the months that should exist at `now`; safe to repeat. Does nothing on SQLite."""
    if connection.dialect.name != "postgresql" or not inspect(connection).has_table(ATTEMPTS):
        return
    app = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": APP_ROLE}).scalar()
    _execute(connection, [f"CREATE TABLE IF NOT EXISTS {REST} PARTITION OF {ATTEMPTS} DEFAULT"])
    _execute(connection, [_ADD.replace("{grant}", _GRANT if app else ""), _DROP])
    for function in (ADD_MONTH, DROP_MONTH):
        _execute(connection, [f"REVOKE ALL ON FUNCTION {function}(date) FROM PUBLIC"])
        if app:
            _execute(connection, [f"GRANT EXECUTE ON FUNCTION {function}(date) TO {APP_ROLE}"])
    for month in months_ahead(now):
        connection.execute(text(f"SELECT {ADD_MONTH}(:month)"), {"month": month.first})


def _execute(connection: Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement.replace("%", "%%"))  # the driver takes a single one for a parameter
