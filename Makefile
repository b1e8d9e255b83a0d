# Persona Platform. Each target sets up what it needs; `make help` lists them.

PYTHON ?= $(shell for v in python3 python3.13 python3.12 python3.11; do \
	$$v -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 13)))' 2>/dev/null && echo $$v && break; done)
BIN := .venv/bin
DEMO ?= .demo
PERSONA := $(BIN)/persona
# Boosting stalls when OpenMP threads outnumber free cores: tests run on all cores, one thread each.
TEST_ENV := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
PYTEST_ARGS ?= -n auto --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install demo up test check format clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: .venv/.installed dbt/target/manifest.json ## build .venv with uv and the constraints file

.venv/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found: install one, or run make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "The venv module is missing: on Debian and Ubuntu, apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev,postgres]'
	@touch $@

dbt/target/manifest.json: .venv/.installed $(shell find dbt -name '*.sql' -o -name '*.yml' 2>/dev/null | grep -v dbt/target)
	@PERSONA_WAREHOUSE=:memory: PERSONA_MARTS=. $(BIN)/dbt --quiet parse --project-dir dbt --profiles-dir dbt --target-path target --log-path dbt/target
	@touch $@

demo: install ## history in, personas, forecast, plan, a simulated cluster provisioned ahead of demand, a report
	$(PERSONA) demo --out $(DEMO)

up: install ## Dagster web UI, daemon and both code locations over the demonstration (made first when missing)
	@test -f $(DEMO)/persona.toml || $(PERSONA) demo --out $(DEMO)
	PERSONA_HOME=$(DEMO) $(PERSONA) up

test: install ## all tests
	$(TEST_ENV) $(BIN)/pytest $(PYTEST_ARGS)

check: install ## ruff, formatting, pyright, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: install ## let ruff fix and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment, caches and the demonstration
	rm -rf .venv .demo build *.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis dbt/target dbt/logs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
