# The two commands of the README, and what CI runs. Everything happens in .venv, made from pinned
# versions; nothing outside this folder is touched.
PYTHON ?= python3
# Where torch comes from. pip's own index holds CUDA builds for Linux; without an NVIDIA GPU there,
# TORCH_INDEX=https://download.pytorch.org/whl/cpu downloads a tenth as much.
TORCH_INDEX ?=
TORCH = torch==2.13.0
BIN = .venv/bin

# The projects that impasto's scores are compared with need torchvision, so they have an environment
# and a torch of their own. pip's own build of that torch is large for Linux: with CUDA, 6 GB when
# installed; TORCH_INDEX spares them as above.
PEERS_TORCH = torch==2.14.1 torchvision==0.29.1
PEERS_BIN = .venv-peers/bin

.PHONY: venv venv-peers venv-docs demo test test-processes test-peers docs web web-check test-web check pins clean

venv: .venv/.complete

.venv/.complete: requirements/pins.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("impasto needs Python 3.11 or newer; choose one with make PYTHON=python3.12 venv")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements/pins.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

venv-peers: .venv-peers/.complete

.venv-peers/.complete: requirements/peers.txt pyproject.toml
	$(PYTHON) -m venv .venv-peers
	$(PEERS_BIN)/pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(PEERS_TORCH)
	$(PEERS_BIN)/pip install --quiet --disable-pip-version-check -r requirements/peers.txt
	$(PEERS_BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# The documentation site needs neither torch nor impasto's other heavy dependencies.
venv-docs: .venv-docs/.complete

.venv-docs/.complete: requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check -r requirements/docs.txt
	touch $@

# The run of `make demo`, which goes on where it was interrupted; another name begins another run.
DEMO ?= runs/demo

demo: venv
	$(BIN)/impasto train --data masters --labels style --run $(DEMO)
	$(BIN)/impasto sample $(DEMO) --every-class style --seeds 0-3 --enlarge 4 --grid $(DEMO)/enlarged.png
	$(BIN)/impasto report $(DEMO)
	@echo "An evening (two hours on two CPU cores) with your own pictures makes such ones of 256 pixels, enlarged to 1024:"
	@echo "  impasto pack PICTURES my-collection --resolution 64,128,256"
	@echo "  impasto train --data my-collection --time 2h"
	@echo "  impasto enlarge RUN --by 4"

test: venv
	$(BIN)/python -m pytest -n 2 --dist worksteal

# All recipes on 1, 2 and 4 processes: minutes, so not among the others.
test-processes: venv
	$(BIN)/python -m pytest --timeout 1500 tests_processes

test-peers: venv-peers
	$(PEERS_BIN)/python -m pytest -n 2 --dist worksteal tests_peers

# The exported page and the studio in a browser: needs Chromium, by its usual name or as
# CHROMIUM=/path/to/it, and Node, for axe-core, which judges accessibility.
test-web: venv web/node_modules
	$(BIN)/python -m pytest -n 2 --dist worksteal --timeout 900 tests_web

# Warnings, links that lead nowhere and anything fetched from the network are errors.
docs: venv-docs
	PYTHONPATH=src NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build

# The pages of `impasto export --as html` and of the studio, from web/ into the package; needs Node 20.19 or newer.
web: web/node_modules
	npm --prefix web run build

# Types, tests, and whether the package has what web/ builds.
web-check: web/node_modules
	npm --prefix web run check

web/node_modules: web/package-lock.json
	npm --prefix web ci --no-audit --no-fund --ignore-scripts
	touch $@

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_architecture.py

pins: venv
	sed -n '/^#/p' requirements/pins.txt > requirements/.pins.new
	$(BIN)/pip freeze --exclude-editable --exclude torch --exclude impasto >> requirements/.pins.new
	mv requirements/.pins.new requirements/pins.txt

clean:
	rm -rf .venv .venv-peers .venv-docs web/node_modules web/built site .pytest_cache .mypy_cache .ruff_cache
