# `make demo` and `make test` work in a fresh clone: they need python3 (3.11 or newer), git and make.
# The environment holds the versions of uv.lock; pip installs them, so that a machine's own
# choice of PyTorch build (CPU or CUDA) is respected.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Tests start many processes: each would compile the package anew where Python keeps no bytecode.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo weights test test-bare test-slow bench lint docs clean setup
setup: $(READY)

$(READY): uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "headstart needs Python 3.11 or newer, found $$($(PYTHON) -V); set PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (once, a few minutes) ..."
	@$(BIN)/python -m pip install -q "pip>=25.1" "uv>=0.5"
	@$(BIN)/uv export -q --frozen --all-extras --all-groups --no-hashes --no-emit-project -o $(VENV)/locked.txt
	@$(BIN)/python -m pip install -q -c $(VENV)/locked.txt -e ".[all]" --group dev
	@touch $(READY)

demo: $(READY)
	$(BIN)/headstart demo

weights: $(READY)
	$(BIN)/headstart weights

test: $(READY)
	$(BIN)/python -m pytest -n 2 -m "not slow and not gpu"

# What holds without any extra: all tests are collected, and those of readers and nets run or are skipped.
test-bare: $(READY)
	$(BIN)/python .ci/bare.py $(VENV)/bare pytest pytest-xdist pytest-benchmark hypothesis torchjd torchmetrics polars
	$(VENV)/bare/bin/python -m pytest -qq --collect-only tests
	$(VENV)/bare/bin/python -m pytest -n 2 -m "not slow and not gpu" tests/datasets tests/models tests/tasks \
		--ignore tests/datasets/test_public_sets.py

test-slow: $(READY)
	$(BIN)/python -m pytest -m "slow"

bench: $(READY)
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-json=benchmarks/result.json -p no:xdist

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python -m sphinx -n -W -q -b dirhtml docs docs/_build

clean:
	rm -rf $(VENV) docs/_build runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
