# `make demo` and `make test` are all that a newcomer needs; each makes .venv when it is not there or out of date.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-machines check dist docs clean

demo: .venv/.installed
	$(BIN)/continual-mt demo

test: .venv/.installed-test
	$(BIN)/python -m pytest --numprocesses 2

# As root: each machine of a cluster is made with its own network, processes and disk.
test-machines: .venv/.installed-test
	$(BIN)/python -m pytest -m machines

check: .venv/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The wheel and the source archive, checked as the package index checks them.
dist: .venv/.installed-release
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/python -m twine check --strict dist/*

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[dashboard,demo,hf]'
	touch $@

.venv/.installed-test: .venv/.installed
	$(INSTALL) --editable '.[test]'
	touch $@

.venv/.installed-docs: .venv/.installed
	$(INSTALL) --editable '.[docs]'
	touch $@

.venv/.installed-release: .venv/.installed-test
	$(INSTALL) --editable '.[release]'
	touch $@

clean:
	rm -rf .venv site dist build
