"""Schema migrations (alembic). Every change follows expand, migrate, contract: none needs a stop of the program."""
