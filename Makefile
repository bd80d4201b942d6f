# `make` lists the targets. Each sets up what it needs, and installs nothing twice.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EXTENSION := $(wildcard tests/extension/pyproject.toml)

# Stamps: newer than what they were made from when it is installed.
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
PEERS := .cache/bench-venv/.installed

COVERAGE := --cov --cov-branch --cov-fail-under=95

.DEFAULT_GOAL := help
.PHONY: help run test check bench torture lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUN) ## start the daemon on 127.0.0.1:8080 with config/vestnik.yaml; its inbox is on 127.0.0.1:8090
	exec $(BIN)/vestnik serve

test: $(DEV) ## run every test that needs no service; says what was skipped and why
	$(BIN)/python -m pytest

check: $(DEV) ## what CI runs: format, lint, types, import contracts, all tests with the services required
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci .gitlab-ci.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	VESTNIK_REQUIRE_SERVICES=1 $(BIN)/python -m pytest $(COVERAGE)

bench: $(RUN) $(PEERS) ## how fast it is, beside what it is built on and its peers; BENCH="--quick" for a rough look
	$(BIN)/python -m benchmarks $(BENCH)

torture: $(DEV) ## kill, cut, fill, flip and stop a loaded daemon for half an hour; prints what was lost
	VESTNIK_TORTURE=1 $(BIN)/python -m pytest tests/torture

lock: $(DEV) ## resolve the dependencies anew: requirements*.txt, Pipfile.lock
	BIN=$(BIN) deploy/lock

clean: ## remove the virtual environment and what the tools left; var/ stays
	rm -rf $(VENV) build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .cache
	find src tests -name __pycache__ -prune -exec rm -rf {} +
	rm -rf src/vestnik.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Vestnik needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11 …" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN): requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV), about a minute the first time."
	$(PIP) install --require-hashes --requirement requirements.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# What the benchmark measures against has an environment of its own: nothing of it belongs to the project.
$(PEERS): benchmarks/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement $<
	@touch $@

# Holds all of requirements.txt, in the same versions.
$(DEV): requirements-dev.txt pyproject.toml $(EXTENSION) | $(BIN)/python
	@echo "Installing into $(VENV), a minute or two the first time."
	$(PIP) install --require-hashes --requirement requirements-dev.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	$(if $(EXTENSION),$(PIP) install --no-deps --no-build-isolation --editable $(dir $(EXTENSION)))
	@touch $@ $(RUN)
