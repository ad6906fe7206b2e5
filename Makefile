# Every target sets up what it needs: all that a bare machine must have is Python 3.10 or later
# with venv and pip. `make PYTHON=python3.12 demo` uses another interpreter.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# How many processes share the tests: as many as suit this machine.
PROCESSES ?= auto

.PHONY: demo test check bench format docs lock setup

demo: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh

test: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python docs/build_site.py

# `make bench QUICK=1` is over in minutes and shows no more than that the benchmarks run.
bench: setup
	$(BIN)/python benchmarks/summary.py $(if $(QUICK),--quick)

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The site, after the pages that are written from the training options and the service's operations.
docs: setup
	$(BIN)/python docs/write_options_page.py
	$(BIN)/python docs/write_compatibility_page.py
	$(BIN)/python docs/build_site.py

# After a change of the dependencies: pins that still fit are kept.
lock: setup
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.10 --quiet \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--output-file requirements/locked.txt

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml requirements/locked.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "Clary needs Python 3.10 or later: name one, as in make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module: install it (on Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	@echo "Setting up $(VENV): once, a few minutes, mostly the download of torch"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
		--constraints requirements/locked.txt --editable '.[dev]'
	@touch $@
