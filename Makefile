# make run    starts the portal with sample companies: http://127.0.0.1:8000
# make test   runs every check and test
# Both set up what they need; a second start takes seconds.

PYTHON := .venv/bin/python
PORT ?=
ARGS ?=
# So many processes share the tests; one file's tests stay together. Three suit two
# processors: some tests mostly wait for workers that were killed, or for a clock.
JOBS ?= 3
SOURCES := syncengine portal tests manage.py

.PHONY: setup setup-test setup-chaos run dev test lint types e2e screenshots bench chaos check

setup:
	@scripts/setup

setup-test:
	@scripts/setup test

setup-chaos:
	@scripts/setup chaos

run: setup
	@$(PYTHON) -m portal.supervisor --end-with-parent $(if $(PORT),--port "$(PORT)")

# The portal with templates and code read anew, and errors shown in full.
dev: export DEBUG = true
dev: setup
	@$(PYTHON) -m portal.supervisor --end-with-parent --reload $(if $(PORT),--port "$(PORT)")

lint: setup
	@$(PYTHON) -m ruff check $(SOURCES)
	@$(PYTHON) -m ruff format --check $(SOURCES)
	@.venv/bin/lint-imports

types: setup
	@$(PYTHON) -m mypy

# Lint, types and all tests. ARGS goes to pytest: make test ARGS="-k filters -x"
test: setup-test lint types
	@$(PYTHON) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

e2e: setup-test
	@$(PYTHON) -m pytest tests/e2e $(ARGS)

# Random faults under a random workload, then a verdict; then properties with new
# examples (docs/howto/chaos.md).
chaos: export HYPOTHESIS_PROFILE ?= search
chaos: setup-chaos
	@$(PYTHON) -m tests.chaos $(ARGS)
	@CONVERGENCE_EXAMPLES=$${CONVERGENCE_EXAMPLES:-100} $(PYTHON) -m pytest -q \
		tests/engine/test_convergence.py
	@WORKLOAD_SECONDS=$${WORKLOAD_SECONDS:-60} $(PYTHON) -m pytest -q \
		tests/jobs/test_two_ways.py
	@$(PYTHON) -m pytest -q -m hypothesis --timeout 3600 \
		tests/mapping tests/connectors tests/engine

# Pictures of every page into docs/screenshots, from a portal of their own.
screenshots: setup-test
	@$(PYTHON) -m tests.screenshots $(ARGS)

bench: setup-test
	@$(PYTHON) -m tests.bench $(ARGS)

check: lint types
	@DUALWRITE_DATA=$${DUALWRITE_DATA:-var} $(PYTHON) manage.py check
	@$(PYTHON) manage.py makemigrations --check --dry-run
