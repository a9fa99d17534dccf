PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# How long `make soak` lasts, in seconds of load for each database.
SOAK ?= 600

# How many tests run side by side: many wait for processes and time limits.
TESTS ?= 3

# How many crash tests run side by side: they wait more than they work.
CRASH ?= 4

.PHONY: help demo run test crash soak bench check format clean

help:                   ## show what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[postgres,dev]'
	touch $@

demo: $(VENV)/.installed      ## the whole bridge on this machine, with a sandbox Aha! and made-up Jira traffic
	$(BIN)/aha-bridge demo

run: $(VENV)/.installed       ## receive and deliver, with the settings of the environment
	$(BIN)/aha-bridge serve

test: $(VENV)/.installed      ## the tests
	$(BIN)/python -m pytest -q --numprocesses $(TESTS) --dist worksteal

crash: $(VENV)/.installed     ## kill the bridge at every point of its path, on both databases, and check its promises
	$(BIN)/python -m pytest -q -m crash --numprocesses $(CRASH) --dist worksteal tests/crash

soak: $(VENV)/.installed      ## kill web, worker and database at random for ten minutes each (SOAK=60: one)
	PYTHONPATH=tests $(BIN)/python -m crash --seconds $(SOAK)

bench: $(VENV)/.installed      ## measure it on this machine, in minutes (POSTGRES=postgresql://... for both databases)
	$(BIN)/python bench/run.py $(if $(POSTGRES),--postgres $(POSTGRES))

check: $(VENV)/.installed     ## the gates and the tests with coverage
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/vulture
	$(BIN)/deptry .
	$(BIN)/python -m pytest -q --numprocesses $(TESTS) --dist worksteal --cov --cov-report=term-missing:skip-covered
	$(BIN)/coverage report --include='bridge/core/*' --fail-under=100 --skip-covered

format: $(VENV)/.installed    ## format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:                  ## remove what make made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
