# The commands of this repository. `make run` and `make test` set themselves up.

PYTHON ?= python3
VENV := .venv/bin
ARGS ?=

# Demo and suite start dozens of processes: without compiled modules each would read every source anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run test lint bench fuzz chaos soak servers lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: ## .venv with the locked packages and the hub command (again only when something changed)
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "需要 Python 3.11+ / Python 3.11 or newer is needed: '$(PYTHON)' was not found" >&2; exit 1; }
	@$(PYTHON) tests/support/setup_venv.py

run: setup ## play one charge through the whole house, then keep serving
	@$(VENV)/hub demo $(ARGS)

test: setup ## lint, the suite on SQLite, the database tests on PostgreSQL + Redis
	@$(VENV)/python -m tests.support.legs

lint: setup ## ruff, mypy, layers
	@$(VENV)/python -m tests.support.legs lint

bench: setup ## measurements, as ratios against reference runs
	@$(VENV)/python -m tests.bench $(ARGS)

fuzz: setup ## many inputs for the pile protocol's decoder (ARGS="--count 1000000"; 10 million by default)
	@test -d .venv/fuzz || $(VENV)/python -m pip install --quiet --no-deps --only-binary :all: --target .venv/fuzz 'atheris>=3,<4' 2>/dev/null \
		|| echo "atheris 无法安装, 仅用自带循环 / atheris cannot be installed here: own loop only"
	@PYTHONPATH=.venv/fuzz $(VENV)/python -m tests.fuzz $(ARGS)

chaos: setup ## ten minutes of kill -9, crashes and lies on both databases (ARGS='--minutes 3')
	@$(VENV)/python -m tests.chaos $(ARGS)

soak: setup ## 10 000 charges with random faults on each database (ARGS='--charges 1000 --leg sqlite')
	@$(VENV)/python -m tests.charging_core.soak $(ARGS)

servers: setup ## a PostgreSQL and a Redis to develop against; prints their settings
	@$(VENV)/python -m tests.support.servers

lock: setup ## pin the dependencies of pyproject.toml anew
	@$(VENV)/python -m uv --version >/dev/null 2>&1 || $(VENV)/python -m pip install --quiet uv
	@$(VENV)/python -m uv pip compile --universal --generate-hashes --group dev pyproject.toml -o requirements.lock

clean: ## remove what was made here, .venv included
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .hub-demo dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
