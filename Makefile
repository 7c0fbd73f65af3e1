# The targets that `make help` lists. Everything runs in a virtual environment of its own, .venv.
PYTHON ?= python3
IMAGE ?= examples/photos/coffee.jpg
# What pip is asked for first; other builds of PyTorch: make TORCH="torch==2.13.0 --index-url ..." test-models
TORCH ?= torch==2.13.0
# For groundingdino-py, which needs torchvision too.
TORCHVISION ?= torch==2.14.1 torchvision==0.29.1
BIN := .venv/bin

.PHONY: help run test test-models test-rembg test-groundingdino lint types protos clean pictures chaos
.PHONY: compare-hop compare-foreground compare-refinement

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: .venv/installed  ## cut out a sample photo, or IMAGE=photo.jpg, into out/
	$(BIN)/tensorhop run "$(IMAGE)" --out out

test: .venv/tested  ## run the tests
	$(BIN)/pytest --numprocesses auto

test-models: .venv-models/tested  ## run the tests of the models that need PyTorch, in .venv-models
	.venv-models/bin/pytest tests/models

test-rembg: .venv-rembg/installed  ## compare masks with those of the package rembg
	.venv-rembg/bin/python -m pytest --capture no tests/peers/test_rembg.py

test-groundingdino: .venv-groundingdino/tested  ## run the tests of groundingdino-py, in .venv-groundingdino
	.venv-groundingdino/bin/pytest tests/models/peers

lint: .venv/tested  ## check style, and the protos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code

types: .venv/tested  ## check types
	$(BIN)/mypy

protos: .venv/tested  ## generate tensorhop/v1 from protos/
	$(BIN)/python hatch_build.py

chaos: .venv/tested  ## kill, stop, cut off and overload the services, and count what is lost; takes about 10 minutes
	$(BIN)/python tools/chaos

pictures: .venv/tested  ## make the pictures of the documentation again
	$(BIN)/python tools/make_pictures.py

compare-hop: .venv-hop/installed  ## time a hop between processes against what people use today
	.venv-hop/bin/tensorhop bench hop --against

compare-foreground: .venv-compare/installed  ## compare decontaminate with other methods; takes some minutes
	PYTHONPATH=. .venv-compare/bin/python tools/compare_foreground.py

compare-refinement: .venv-compare/installed  ## compare masks before and after refine
	PYTHONPATH=. .venv-compare/bin/python tools/compare_refinement.py

clean:  ## remove everything that was made here
	rm -rf .venv .venv-* build dist out tensorhop/v1

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

.venv-hop/installed: pyproject.toml
	$(PYTHON) -m venv .venv-hop
	.venv-hop/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

.venv/tested: .venv/bin/python pyproject.toml hatch_build.py $(wildcard protos/tensorhop/v1/*.proto)
	@echo "installing into .venv, with the tools for tests; the first time takes about a minute"
	@$(INSTALL) '.[dev]'
	@touch $@ .venv/installed

# PyTorch comes first and alone: it decides which builds the rest must fit.
.venv-models/tested: pyproject.toml hatch_build.py $(wildcard protos/tensorhop/v1/*.proto)
	@echo "installing into .venv-models, with PyTorch; the first time takes some minutes"
	@test -x .venv-models/bin/python || $(PYTHON) -m venv .venv-models
	@.venv-models/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@.venv-models/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,models]' onnx
	@touch $@

.venv-rembg/installed: pyproject.toml hatch_build.py $(wildcard protos/tensorhop/v1/*.proto)
	$(PYTHON) -m venv .venv-rembg
	@.venv-rembg/bin/python -m pip install --quiet --disable-pip-version-check pytest 'rembg[cpu]==2.0.86' --editable .
	@touch $@

# What the comparisons need is not for anything else.
.venv-compare/installed: pyproject.toml hatch_build.py $(wildcard protos/tensorhop/v1/*.proto)
	$(PYTHON) -m venv .venv-compare
	@echo "installing into .venv-compare; the first time takes about a minute"
	@.venv-compare/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[compare]'
	@touch $@

# Without its requirements, groundingdino-py leaves the headless OpenCV alone.
.venv-groundingdino/tested: pyproject.toml hatch_build.py services/detect/requirements-groundingdino.txt $(wildcard protos/tensorhop/v1/*.proto)
	@echo "installing into .venv-groundingdino, with PyTorch; the first time takes some minutes"
	@test -x .venv-groundingdino/bin/python || $(PYTHON) -m venv .venv-groundingdino
	@.venv-groundingdino/bin/python -m pip install --quiet --disable-pip-version-check $(TORCHVISION)
	@.venv-groundingdino/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' \
		--requirement services/detect/requirements-groundingdino.txt
	@.venv-groundingdino/bin/python -m pip install --quiet --disable-pip-version-check --no-deps groundingdino-py==0.4.0
	@touch $@
