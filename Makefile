# The developer's commands. README names two of them, `make run` and `make test`; each does all its own set-up.

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: lock

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# What runs the server, from the lock; `make run` needs no more.
$(VENV)/run.stamp: requirements.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# What checks and tests it, from its own lock.
$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/run.stamp
	$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	touch $@

# Writes both locks anew from pyproject.toml.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock: $(VENV)/dev.stamp
	$(LOCK) --group build pyproject.toml --output-file requirements.txt
	$(LOCK) --group build --group dev --constraint requirements.txt pyproject.toml --output-file requirements-dev.txt
