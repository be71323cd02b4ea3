# Everything starts here. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
PYTEST_ARGS ?=
CHALLENGES ?= $(notdir $(patsubst %/challenge.toml,%,$(wildcard challenges/*/challenge.toml)))
VERIFY_ARGS ?=
REPEAT ?= 20

.PHONY: help run test setup bench docs lint verify verify-long clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## Start the whole platform on this machine (SERVE_ARGS="--port 8080")
	@$(BIN)/offsetzero serve $(SERVE_ARGS)

test: $(VENV)/.dev ## Run the tests (PYTEST_ARGS="-k gateway")
	$(BIN)/offsetzero setup
	$(BIN)/pytest $(PYTEST_ARGS)

setup: $(VENV)/.run ## Download, verify and build what the platform needs, without starting it
	$(BIN)/offsetzero setup

lint: $(VENV)/.dev ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: $(VENV)/.dev ## Measure; prints numbers, asserts none
	$(BIN)/offsetzero setup
	@for b in bench/*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

docs: $(VENV)/.dev ## Write docs/checks.md from the checks
	$(BIN)/python -m graders.checks > docs/checks.md

verify: $(VENV)/.dev ## Known solutions of every challenge against the checks, once
	$(BIN)/offsetzero setup
	@failed=0; for name in $(CHALLENGES); do echo "== $$name"; $(BIN)/offsetzero verify $$name $(VERIFY_ARGS) || failed=1; done; exit $$failed

verify-long: $(VENV)/.dev ## The same, REPEAT=20 times, counting flips; then the long tests (many hours)
	$(BIN)/offsetzero setup
	@failed=0; for name in $(CHALLENGES); do echo "== $$name"; $(BIN)/offsetzero verify $$name --repeat $(REPEAT) $(VERIFY_ARGS) || failed=1; done; $(BIN)/pytest -m long || failed=1; exit $$failed

clean: ## Remove what the build made in this folder (not the platform's data)
	rm -rf $(VENV) webapp/static/dist webapp/frontend/node_modules *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; '$(PYTHON)' is older. Try: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python has no venv module here. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/.run: requirements/run.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the Python packages (about a minute the first time)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.run
	@echo "Installing the packages for development"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@
