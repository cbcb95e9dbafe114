# Everything a person or a robot runs here. `make run` and `make test` need Python 3.11 or newer and nothing else.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
PIP_FLAGS := --quiet --disable-pip-version-check --no-input

.PHONY: run worker test lint bench screenshots lock
.DEFAULT_GOAL := run

# With BROKER_URL, what several machines need is installed too.
run: .venv/run.stamp $(if $(BROKER_URL)$(BROKER_URL_FILE),.venv/scale.stamp)
	@exec $(BIN)/python manage.py serve

# A machine that only delivers: see docs/scaling.md.
worker: .venv/run.stamp $(if $(BROKER_URL)$(BROKER_URL_FILE),.venv/scale.stamp)
	@exec $(BIN)/python manage.py outbound

# All tests, on every core. Set DATABASE_URL=postgresql://… to run them on PostgreSQL, ARGS="…" to pass pytest more.
test: .venv/test.stamp
	@$(PYTHON) tests/programs.py
	@$(BIN)/python -m pytest -n auto $(ARGS)

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --deploy --fail-level WARNING

# Measures and prints figures; never part of the tests.
bench: .venv/test.stamp
	@test -f bench/run.py || { echo "There is no benchmark yet."; exit 1; }
	@$(BIN)/python bench/run.py $(ARGS)

# Every page, desktop and phone, light and dark, into screenshots/ (not kept in git).
screenshots: .venv/test.stamp
	@$(PYTHON) tests/programs.py
	@$(BIN)/python -m pytest -q tests/browser/screenshots.py
	@echo "See screenshots/."

# Pins the requirements anew, with hashes, for every platform and Python from 3.11.
lock: .venv/test.stamp
	@$(BIN)/python -m pip install $(PIP_FLAGS) uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements-scale.in -o requirements-scale.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements-dev.in -o requirements-dev.txt

.venv/run.stamp: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "This needs Python 3.11 or newer; %s is %s. Set PYTHON=… to a newer one." % (sys.executable, sys.version.split()[0]))'
	@echo "Setting up .venv (once; about a minute) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "Python's venv module is missing. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install $(PIP_FLAGS) --require-hashes -r requirements.txt
	@touch $@

.venv/scale.stamp: requirements-scale.txt .venv/run.stamp
	@$(BIN)/python -m pip install $(PIP_FLAGS) --require-hashes -r requirements-scale.txt
	@touch $@

.venv/test.stamp: requirements-dev.txt .venv/run.stamp
	@echo "Setting up what the tests need …"
	@$(BIN)/python -m pip install $(PIP_FLAGS) --require-hashes -r requirements-dev.txt
	@touch $@
