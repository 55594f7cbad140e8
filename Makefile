# Every target sets up what it needs: a virtual environment in .venv with the versions in requirements.lock.
# Takes plain pip, or uv where it is installed. Another Python: make PYTHON=python3.12 setup

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed-from-lock
UV     := $(shell command -v uv 2>/dev/null)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Empty: compiled files are kept. Without them every test process compiles the tests and the package again.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo check test matrix bench samples readme lock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1|\2/' | \
		while IFS='|' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

setup: $(STAMP) ## Make .venv with the locked versions; does nothing when it is up to date

demo: $(STAMP) ## Compress a sample model and print the comparison report
	@mkdir -p build
	$(BIN)/nncompress quantize sample_models/digits_cnn.onnx -o build/digits_cnn.int8.onnx --force \
		--data sample_models/data/image_evaluation.npz

check: $(STAMP) ## Formatting, lint, types and the quick tests: under two minutes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto --dist worksteal --maxprocesses 8 -m "not slow"

test: $(STAMP) ## All tests
	$(BIN)/pytest -n auto --dist worksteal --maxprocesses 8

matrix: $(STAMP) ## The quick tests on the oldest and newest versions, on every Python there is (uv; 10 minutes)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python tests/matrix.py

bench: $(STAMP) ## Measure compression, speed, memory, growth, and how often a file is slower than itself (bench/)
	$(BIN)/python bench/bench.py
	$(BIN)/python -m bench.scaling
	$(BIN)/python -m bench.calibrated
	$(BIN)/python -m bench.same_file

samples: $(STAMP) ## Train the sample models again (downloads torch)
	$(BIN)/python -m pip install --quiet -e '.[samples]'
	$(BIN)/python sample_models/make_samples.py

readme: $(STAMP) ## Put what the commands print now into the README and docs/
	$(BIN)/python -m tests.readme

lock: ## Resolve requirements.lock again, for all Pythons and platforms (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --extra dev pyproject.toml -o requirements.lock

clean: ## Remove .venv, caches and build results
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Some systems have venv without ensurepip; then the pip that is there installs into the new environment.
$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"nncompress needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": try make PYTHON=python3.12")'
ifneq ($(UV),)
	$(UV) venv --quiet --allow-existing --seed --python $(PYTHON) $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
else
	$(PYTHON) -m venv $(VENV) || $(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements.lock
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --no-deps -e .
endif
	@touch $@
