# The targets that `make help` lists. Everything runs in a virtual environment of its own, .venv.
PYTHON ?= python3
IMAGE ?= examples/photos/coffee.jpg
BIN := .venv/bin

.PHONY: help run test lint types protos clean pictures weights compare-foreground compare-refinement

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: .venv/installed  ## cut out a sample photo, or IMAGE=photo.jpg, into out/
	$(BIN)/tensorhop run "$(IMAGE)" --out out

test: .venv/tested  ## run the tests
	$(BIN)/pytest --numprocesses auto

lint: .venv/tested  ## check style, and the protos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code

types: .venv/tested  ## check types
	$(BIN)/mypy

protos: .venv/tested  ## generate tensorhop/v1 from protos/
	$(BIN)/python hatch_build.py

pictures: .venv/tested  ## make the pictures of the README again
	$(BIN)/python tools/make_pictures.py

compare-foreground: .venv-compare/installed  ## compare decontaminate with other methods; takes some minutes
	PYTHONPATH=. .venv-compare/bin/python tools/compare_foreground.py

compare-refinement: .venv-compare/installed  ## compare masks before and after refine
	PYTHONPATH=. .venv-compare/bin/python tools/compare_refinement.py

clean:  ## remove everything that was made here
	rm -rf .venv .venv-compare build dist out tensorhop/v1

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tensorhop needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv

# An editable install also generates the stubs.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

.venv/installed: .venv/bin/python pyproject.toml hatch_build.py $(wildcard protos/tensorhop/v1/*.proto)
	@echo "installing into .venv; the first time takes about a minute"
	@$(INSTALL) .
	@touch $@

.venv/tested: .venv/bin/python pyproject.toml hatch_build.py $(wildcard protos/tensorhop/v1/*.proto)
	@echo "installing into .venv, with the tools for tests; the first time takes about a minute"
	@$(INSTALL) '.[dev]'
	@touch $@ .venv/installed

# What the comparisons need is not for anything else.
.venv-compare/installed: pyproject.toml hatch_build.py $(wildcard protos/tensorhop/v1/*.proto)
	$(PYTHON) -m venv .venv-compare
	@echo "installing into .venv-compare; the first time takes about a minute"
	@.venv-compare/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[compare]'
	@touch $@
