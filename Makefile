PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast check lint types format bench docs clean

help: ## List these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## Make .venv and install hofsteer with everything that tests need

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("hofsteer needs Python 3.11 to 3.13, this is " + sys.version.split()[0]) if not (3, 11) <= sys.version_info[:2] <= (3, 13) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

demo: $(READY) ## Steer the bundled model towards China and show what moved
	$(BIN)/hofsteer survey --model mini --target CHN
	$(BIN)/hofsteer survey --model mini --as CHN
	$(BIN)/hofsteer align --model mini --target CHN --budget 640

test: $(READY) ## Run all tests
	$(BIN)/pytest

test-fast: $(READY) ## Run the tests that take a minute
	$(BIN)/pytest -m 'not slow'

check: lint types ## Lint and check types

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

format: $(READY) ## Format the code and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## Run the default search and the paper's preset on mini for five countries
	$(BIN)/python benchmarks/align_mini.py

docs: $(READY) ## Run the code blocks of the documentation
	$(BIN)/pytest tests/test_docs.py

clean: ## Remove the virtual environment and caches; runs stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
