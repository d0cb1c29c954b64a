# What a newcomer and the CI type. Needs make and a Python of 3.11 or newer with venv; all else is put into $(VENV).

PYTHON  ?= python3
PYTHONS ?= python3.12 python3.13
VENV    ?= .venv
ROOT    ?=
COMMANDS ?= 10000000
EVENTS  ?= 1000000
SEED    ?= $(or $(DRIVEN_STRESS_SEED),1)

PY    := $(VENV)/bin/python
STAMP := $(VENV)/.installed-from-pyproject

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-pythons stress stress-durable test-cpython-executor check lint types imports docs-check wheel-check bench bench-quick rebuild soak format clean

help: ## this list
	@echo 'make <target>, where <target> is one of'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-22s %s\n", $$1, $$2 }' Makefile
	@echo 'variables: PYTHON=$(PYTHON) VENV=$(VENV) PYTHONS="$(PYTHONS)" SEED=$(SEED)'

# Brought up to date when pyproject.toml changed. An environment that is there and runs is kept, whoever made it.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "$(PYTHON) is missing or older than Python 3.11; name a newer one: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv: install it (often a package named python3-venv), or name another: make PYTHON=/path/to/python"; exit 1; }
	@$(PY) -c '' 2>/dev/null || { echo 'making $(VENV), once: a minute or two, for what is to be downloaded'; $(PYTHON) -m venv --clear $(VENV); }
	@$(PY) -m pip --disable-pip-version-check -qq install -e '.[dev]'
	@touch $@

demo: $(STAMP) ## survey the Python files under ROOT=path (default: the standard library)
	@PYTHONPATH=examples $(PY) -m census $(if $(ROOT),'$(ROOT)')

test: $(STAMP) ## unit, integration and end-to-end tests, in parallel
	@$(PY) -m pytest -q -n auto --maxprocesses 4

test-pythons: ## the tests on each of PYTHONS that is installed
	@for python in $(PYTHONS); do \
		if $$python -c '' 2>/dev/null; then \
			echo "== $$python"; \
			$(MAKE) --no-print-directory PYTHON=$$python VENV=.venv-$$(echo $${python#/} | tr / -) test || exit 1; \
		else \
			echo "== $$python skipped: it does not run here"; \
		fi; \
	done

stress: $(STAMP) ## workers in every trouble for ten minutes, and the other stress tests; SEED=n begins at that seed
	@DRIVEN_STRESS_SEED=$(SEED) $(PY) -m pytest -q -m stress --hypothesis-profile=thorough --timeout=1800 -o faulthandler_timeout=1790 \
		--ignore=tests/stress/test_durable_for_long.py

stress-durable: $(STAMP) ## kill processes over a log in a file: SEED=n begins at that seed; many minutes
	@DRIVEN_STRESS_SEED=$(SEED) $(PY) -m pytest -q -s -n 2 -m stress --timeout=0 -o faulthandler_timeout=0 tests/stress/test_durable_for_long.py

test-cpython-executor: $(STAMP) ## CPython 3.13's own tests of executors, on ours and then on its own; minutes
	@$(PY) tests/executor/environment.py driven
	@$(PY) tests/executor/environment.py control

check: lint types imports docs-check wheel-check ## everything but the tests: lint, types, imports, links, wheel

lint: $(STAMP)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: $(STAMP)
	@$(PY) -m mypy --strict

imports: $(STAMP)
	@$(VENV)/bin/lint-imports --no-logo
	@$(PY) -m pytest -q tests/unit/test_architecture.py

docs-check: $(STAMP)
	@$(PY) tools/check_links.py

wheel-check: $(STAMP)
	@$(PY) tools/check_wheel.py

bench: $(STAMP) ## single figures of every contender, with pytest-benchmark; minutes
	@$(PY) -m pytest -q -o addopts='--import-mode=importlib' --benchmark-disable-gc --benchmark-sort=name benchmarks

bench-quick: $(STAMP) ## everything beside its rivals, in less than 90 s; writes driven-bench/report.md
	@$(PY) -m driven bench --quick

rebuild: $(STAMP) ## EVENTS=n events rebuilt beside what is read, killed half way and resumed; its memory and pace
	@$(PY) -m benchmarks.rebuilding --events $(EVENTS)

soak: $(STAMP) ## COMMANDS=n commands through workers, and the memory of all processes; writes soak/
	@$(PY) -m benchmarks.soak --commands $(COMMANDS)

format: $(STAMP) ## fix what can be fixed safely, and format the code
	@$(PY) -m ruff check --fix-only .
	@$(PY) -m ruff format .

clean: ## remove what the tools left, keep the environment
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	@find src workers tests examples benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +
