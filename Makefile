# `make demo` and `make test` are all that a newcomer needs; each makes .venv when it is not there or out of date.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check clean

demo: .venv/.installed
	$(BIN)/continual-mt demo

test: .venv/.installed-test
	$(BIN)/python -m pytest --numprocesses 2

check: .venv/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) --editable .
	touch $@

.venv/.installed-test: .venv/.installed
	$(INSTALL) --editable '.[test]'
	touch $@

clean:
	rm -rf .venv
