# make demo   sets everything up, runs SimpleQuery end to end, prints the result
# make test   sets everything up, runs the tests
SHELL := /bin/bash
ROWS ?= 100000
PYTEST_ARGS ?=
export FUZZ_SECONDS ?= 60
BIN := .venv/bin
LONG := tests/e2e/crash tests/e2e/own_airflow tests/e2e/scheduler tests/e2e/test_backfill.py \
	tests/e2e/test_connections.py tests/e2e/test_original.py tests/e2e/test_own_pipelines.py tests/e2e/test_restore.py tests/e2e/test_ui_killed.py
CLUSTER := tests/cluster

.DEFAULT_GOAL := help
.PHONY: help demo test test-cluster test-all lint format fuzz bench lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: ## set up, run SimpleQuery over encrypted data, show the result (ROWS=100000)
	@scripts/setup
	@trap '$(BIN)/ppml-ops services stop >/dev/null' EXIT; $(BIN)/ppml-ops run simple_query --rows $(ROWS)

test: ## set up and run the tests but the long ones (PYTEST_ARGS="-k manifest")
	@scripts/setup dev
	$(BIN)/python -m pytest -m "not long and not cluster" $(PYTEST_ARGS)

test-cluster: ## set up and run the tests that need a Kubernetes cluster (KUBECONFIG, docs/kubernetes.md)
	@scripts/setup dev
	$(BIN)/python -m pytest -m "cluster and not long" $(CLUSTER) $(PYTEST_ARGS)

test-all: test test-cluster ## set up and run all tests; each long suite on an installation of its own
	set -e; for suite in $(LONG); do $(BIN)/python -m pytest -m long $$suite $(PYTEST_ARGS); done
	$(BIN)/python -m pytest -m "cluster and long" $(CLUSTER) $(PYTEST_ARGS)

lint: ## formatting, lint, types, layers, dependencies
	@scripts/setup dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

format: ## format the code
	@scripts/setup dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: ## coverage-guided fuzzing of all parsers (FUZZ_SECONDS=60 for each)
	@scripts/setup dev
	$(BIN)/python -m tests.fuzz --jobs 2

bench: ## measure and print the tables of docs/benchmarks.md
	@scripts/setup dev
	$(BIN)/python -m tests.benchmarks

lock: ## renew the hashed lock files from the .in files
	@scripts/setup dev
	for name in requirements-bootstrap requirements requirements-dev requirements-spark requirements-sim; do \
	  $(BIN)/uv pip compile $$name.in --generate-hashes --universal --python-version 3.11 -q -o $$name.txt; done

clean: ## remove the virtual environment and the local state (.ppml, .fuzz)
	-$(BIN)/ppml-ops services stop
	rm -rf .venv .ppml .fuzz
