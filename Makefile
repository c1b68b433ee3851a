# Everything runs in .venv with the locked versions; the first target that needs it makes it.
PYTHON ?= python3
# The folder itself on the path: setuptools' own finder costs every process that starts 0.04 s.
EDITABLE := --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
STORE := runs
# Every worker of a sweep imports Ray and torch anew, which takes three times as long without their bytecode in .venv.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart test test-slow test-newest test-oldest chaos cluster lint reference pictures ui lock clean

quickstart: $(VENV)/.installed
	$(BIN)/zetasweep run experiments/quickstart.yaml -o storage=$(STORE)

# Two files at a time, however many cores there are: some start a whole Ray cluster. In the order of tests/conftest.py.
TWO_AT_A_TIME := --numprocesses=2 --dist=loadfile --no-loadscope-reorder

test: lint
	$(BIN)/python -m pytest $(TWO_AT_A_TIME)

# What takes half an hour more: a job submitted to a cluster of its own, sweeps that go on after a signal, large images
# in the interpreter, benchmarks.
test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

# The fast tests and the quickstart with the newest and with the oldest versions that pyproject.toml allows.
test-newest: RESOLUTION := --upgrade
test-oldest: RESOLUTION := --resolution lowest-direct
test-newest test-oldest: test-%: $(VENV)/.uv
	$(PYTHON) -m venv --clear $(VENV)-$*
	$(BIN)/uv pip compile --quiet $(RESOLUTION) --group dev --python $(VENV)-$*/bin/python --no-emit-index-url \
		--no-emit-find-links pyproject.toml --output-file $(VENV)-$*/requirements.txt
	$(BIN)/uv pip install --quiet --python $(VENV)-$*/bin/python --requirement $(VENV)-$*/requirements.txt
	$(BIN)/uv pip install --quiet --python $(VENV)-$*/bin/python $(EDITABLE)
	$(VENV)-$*/bin/python -m pytest $(TWO_AT_A_TIME)
	$(VENV)-$*/bin/zetasweep run experiments/quickstart.yaml -o storage=$(VENV)-$*/runs

# Faults on purpose, for hours. Another ZETASWEEP_CHAOS_SEED hits others at other moments; the table of what it
# did and cost goes to ZETASWEEP_CHAOS_TABLE, too, if that names a file.
chaos: $(VENV)/.installed
	$(BIN)/python -m pytest -m chaos tests/chaos

# Ray clusters of several hosts, which are network namespaces here: takes root. A fast part is in make test.
cluster: $(VENV)/.installed
	$(BIN)/python -m pytest -m cluster tests/cluster

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --allow-untyped-calls --no-warn-return-any --implicit-reexport benchmarks/*.py
	$(BIN)/lint-imports --no-cache

# After a change of what a user can write, call or read: keys, commands, metrics, names in MLflow, exit codes, variables.
reference: $(VENV)/.installed
	$(BIN)/python -m tools.reference

# After a change of an augmentation: what docs/augmentations.md shows.
pictures: $(VENV)/.installed
	$(BIN)/python -m tools.pictures

ui: $(VENV)/.installed
	$(BIN)/zetasweep ui experiments/quickstart.yaml -o storage=$(STORE)

# After a change of the dependencies in pyproject.toml.
lock: $(VENV)/.uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --group dev --generate-hashes \
		--no-header --no-emit-index-url --no-emit-find-links pyproject.toml --output-file requirements.lock

$(VENV)/.uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is $$($(PYTHON) --version); zetasweep needs 3.11 or newer: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	touch $@

$(VENV)/.installed: $(VENV)/.uv requirements.lock pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(EDITABLE)
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-newest $(VENV)-oldest .mypy_cache .pytest_cache .ruff_cache *.egg-info
