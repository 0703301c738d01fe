# Two commands do everything on a fresh Debian or Ubuntu machine with Python 3.11:
#   make demo    analyze the example recording and say where the report is
#   make test    everything that must pass
#   make docs    the documentation, in out/docs
#   make test-portable    what depends on the processor, at three levels of instructions
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Processes that run tests; each has one thread and wants about 1 GB of memory. One more than the two
# cores that they are measured on: a fifth of the time of a test goes by waiting for programs it starts.
WORKERS ?= 3
# Programs that tests start find the package compiled, also where the environment forbids it.
TEST_ENV := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: docs demo test test-portable lint types layers unit bench system axe clean

demo: $(VENV)/.installed
	$(BIN)/ubereport demo --out out/demo

test: lint types layers unit

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy --num-workers 2

layers: $(VENV)/.installed-dev
	$(BIN)/lint-imports

unit: $(VENV)/.installed-dev
	$(TEST_ENV) $(BIN)/pytest -q -n $(WORKERS) --dist worksteal --durations=15

# What depends on how a processor multiplies, under three sets of instructions: AVX2, AVX-512
# without bf16, and all that this machine has (bf16 and AMX where it has them).
PORTABLE := tests/segmentation tests/laboratory/training tests/analysis/test_adaptive_recordings.py tests/batch/test_equality.py
test-portable: $(VENV)/.installed-dev
	$(TEST_ENV) ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/pytest -q -n $(WORKERS) $(PORTABLE)
	$(TEST_ENV) ATEN_CPU_CAPABILITY=avx512 ONEDNN_MAX_CPU_ISA=AVX512_CORE $(BIN)/pytest -q -n $(WORKERS) $(PORTABLE)
	$(TEST_ENV) $(BIN)/pytest -q -n $(WORKERS) $(PORTABLE)

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.perf.bench

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --quiet

system:
	bash .ci/install-system

# What checks the review page for people who use keyboards and screen readers; needs npm.
axe:
	npm install --silent --no-audit --no-fund --prefix .axe axe-core@4

$(VENV)/bin/python: | system
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ubereport needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
# A newer pip takes less time to find what to install; the one that Python brings finds it, too.
	-$(PIP) --upgrade pip

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable .
	touch $@

# Python compiles what tests load when they load it; all that is installed would take a minute more.
$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) --no-compile --editable '.[dev,docs,train,dicom,ray,review]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .axe out dist build
