# Every target does its own set-up: a fresh machine needs Python >= 3.11 and make, nothing else.
.DEFAULT_GOAL := help
.PHONY: help setup demo space docs test test-fast test-robustness test-floors test-space quality fix build clean

PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
FLOORS := .venv-floors
SPACE := .venv-space
BIN := $(VENV)/bin
ROOMS := modeling_brainllm trainers dataset_builders brainllm
CODE := $(ROOMS) $(wildcard docs examples tests)
# The stamp's name is a checksum of what is to be installed: an unchanged set is never installed twice.
READY := $(VENV)/.ready-$(shell cat pyproject.toml constraints.txt | cksum | tr ' ' '-')
SPACE_READY := $(SPACE)/.ready-$(shell cat pyproject.toml | cksum | tr ' ' '-')
FLOORS_READY := $(FLOORS)/.ready-$(shell cat pyproject.toml constraints-floors.txt | cksum | tr ' ' '-')
# Workers do not share cores through thread pools: tests/conftest.py gives each one thread.
PYTEST := -m pytest -n $(WORKERS) --dist loadfile

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## leave a ready .venv

demo: $(READY)  ## train, decode and judge on a synthetic corpus
	$(BIN)/python examples/demo.py

space: $(SPACE_READY)  ## the page of examples/space on the demo's checkpoint, on this machine
	test -e outputs/demo/signal/twin/model.safetensors || $(SPACE)/bin/python examples/demo.py
	$(SPACE)/bin/python examples/space/app.py

docs: $(READY)  ## the guide and the API reference in site/; every link is checked
	$(BIN)/python docs/blocks.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

test: $(READY)  ## the whole test suite
	$(BIN)/python $(PYTEST)

test-fast: $(READY)  ## the test suite without the tests marked slow
	$(BIN)/python $(PYTEST) -m "not slow"

test-robustness: $(READY)  ## thousands of broken files, dozens of killed runs
	$(BIN)/python $(PYTEST) -m robustness

test-floors: $(FLOORS_READY)  ## the whole test suite on the oldest releases that we admit
	$(FLOORS)/bin/python $(PYTEST)

test-space: $(SPACE_READY)  ## the page of examples/space in a headless Chromium
	$(SPACE)/bin/python -m pytest tests/examples/test_space.py

quality: $(READY)  ## lint, format, model conventions, layers, types, spelling
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mlinter --no-progress --no-cache modeling_brainllm
	$(BIN)/lint-imports --no-cache
	$(BIN)/ty check --python $(VENV)
	$(BIN)/codespell

fix: $(READY)  ## let ruff mend what it can
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

build: $(READY)  ## wheel and source archive in dist/
	$(BIN)/python -m build

clean:  ## forget environments, builds and caches
	rm -rf $(VENV) $(FLOORS) $(SPACE) build dist site ./*.egg-info .pytest_cache .ruff_cache .import_linter_cache

$(READY):
	$(call install,$(VENV),constraints.txt,$@)

$(FLOORS_READY):
	$(call install,$(FLOORS),constraints-floors.txt,$@)

$(SPACE_READY):
	$(call install,$(SPACE),/dev/null,$@,space-dev)

define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python >= 3.11 is needed, $$($(PYTHON) -V) was found: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(1)/bin/python -m pip install --quiet -c $(2) -e ".[$(or $(4),dev)]"
	rm -f $(1)/.ready-*
	touch $(3)
endef
