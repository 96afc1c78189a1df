# Every target sets up what it needs. What is assumed: Python 3.11 or newer, g++, make, perl, git.

PYTHON ?= python3
JOBS ?= 2
N ?= 200000
SEED ?= 0

VENV := .venv
BIN := $(VENV)/bin
SOURCES := hdl sim boards tests

.PHONY: help demo test lint soak synth bench clean icarus
.DELETE_ON_ERROR:
.NOTPARALLEL: # one pip at a time

help:
	@echo "make demo       Linux super-packets through both paths, plain and in NVGRE, judged independently"
	@echo "make test       all tests, under Verilator and Icarus, and the proofs"
	@echo "make lint       ruff and mypy"
	@echo "make soak N=n   n random requests and frames against the model (SEED=s starts elsewhere)"
	@echo "make bench      throughput and latency in cycles"
	@echo "make synth      area and clock on an ECP5, with free tools"
	@echo "make clean      remove everything that was built, but not $(VENV)"

demo: $(VENV)/sim
	@$(BIN)/offramp demo

# The proofs and both simulators' system tests are among the tests.
test: $(VENV)/test icarus
	$(BIN)/pytest -n $(JOBS) --dist loadgroup

lint: $(VENV)/sim $(VENV)/lint
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy

soak: $(VENV)/sim
	$(BIN)/offramp soak $(N) --seed $(SEED) --jobs $(JOBS)

bench: $(VENV)/sim
	$(BIN)/offramp bench send
	$(BIN)/offramp bench receive

synth: $(VENV)/synth
	$(BIN)/offramp synth

clean:
	rm -rf .cache build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "offramp needs Python 3.11 or newer; $(PYTHON) is older: make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# One stamp a set of dependencies, renewed when they change.
$(VENV)/sim: EXTRAS = sim
$(VENV)/test: EXTRAS = sim,test,formal,synth
$(VENV)/lint: EXTRAS = lint
$(VENV)/synth: EXTRAS = sim,synth

$(VENV)/sim $(VENV)/test $(VENV)/lint $(VENV)/synth: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@

# The tests that need Icarus skip, loudly, where it is missing and we may not install it.
icarus:
	@command -v iverilog >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing Icarus Verilog"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq iverilog >/dev/null; \
	fi; \
	command -v iverilog >/dev/null || \
		echo "ICARUS IS MISSING: its half of the tests is skipped; install it with: apt-get install iverilog" >&2
