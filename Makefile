# One-line help: make help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench clean

help: ## Say what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

demo: $(VENV)/.installed ## Install, run the study on the shipped photographs, write the report
	$(BIN)/snellen study examples
	$(BIN)/snellen report snellen-out

test: $(VENV)/.tested lint ## Install with the test extra, then lint, types and tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.tested ## Formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.tested ## Measure what the README claims: DATA=folder CHECKPOINT=file, on an idle machine
	$(BIN)/python benchmarks/all.py $(DATA) --checkpoint $(CHECKPOINT)

clean: ## Remove the virtual environment and what the demo wrote
	rm -rf $(VENV) snellen-out

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@
