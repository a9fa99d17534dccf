PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# How long `make soak` loads each database, in seconds.
SOAK ?= 600

# How many tests run in parallel; many of them wait for processes and timeouts.
TESTS ?= 3

# How many crash tests run in parallel; they mostly wait.
CRASH ?= 4

.PHONY: help demo run test crash soak bench check format clean

help:                   ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[postgres,dev]'
	touch $@

demo: $(VENV)/.installed      ## run the whole bridge on this machine, with a stand-in for Aha! and invented Jira traffic
	$(BIN)/aha-bridge demo

run: $(VENV)/.installed       ## receive and deliver, with settings from the environment
	$(BIN)/aha-bridge serve

test: $(VENV)/.installed      ## run the tests
	$(BIN)/python -m pytest -q --numprocesses $(TESTS) --dist worksteal

crash: $(VENV)/.installed     ## kill the bridge at every step of an event, on both databases, and check its guarantees
	$(BIN)/python -m pytest -q -m crash --numprocesses $(CRASH) --dist worksteal tests/crash

soak: $(VENV)/.installed      ## kill web, worker and database at random, ten minutes for each database (SOAK=60: one minute)
	PYTHONPATH=tests $(BIN)/python -m crash --seconds $(SOAK)

bench: $(VENV)/.installed      ## measure the speed on this machine; takes minutes (POSTGRES=postgresql://... for both databases)
	$(BIN)/python bench/run.py $(if $(POSTGRES),--postgres $(POSTGRES))

check: $(VENV)/.installed     ## run the gates, and the tests with coverage
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/vulture
	$(BIN)/deptry .
	$(BIN)/python .ci/audit.py
	$(BIN)/python -m pytest -q --numprocesses $(TESTS) --dist worksteal --cov --cov-report=term-missing:skip-covered
	$(BIN)/coverage report --include='bridge/core/*' --fail-under=100 --skip-covered

format: $(VENV)/.installed    ## format the code, and apply automatic fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:                  ## remove everything that make has created
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
