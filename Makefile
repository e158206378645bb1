# The developer's commands. README names two of them, `make run` and `make test`; each does all its own set-up.

PYTHON    ?= $(shell command -v python3.11 || echo python3)
MANIFESTS ?= configs/manifests
VENV      := .venv
BIN       := $(VENV)/bin
COMPILED  := $(VENV)/compiled
PIP       := $(BIN)/python -m pip --disable-pip-version-check
COMPILER  := $(VENV)/compiler/bin/python -m pip --disable-pip-version-check
LOCK      := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.DELETE_ON_ERROR:
.PHONY: run test test-quick check format lint types layers programs compiled bench bench-quick lock

# Serves a folder of manifests on 127.0.0.1:1053 and prints a line to paste. Neither make nor the shell reads the
# folder's name, so it may hold any character.
run: override MANIFESTS := $(or $(value MANIFESTS),configs/manifests)
run: override export MANIFESTS := $(if $(filter /%,$(firstword $(MANIFESTS))),,$(CURDIR)/)$(MANIFESTS)
run: $(VENV)/run.stamp
	@exec $(BIN)/python -m svcdns -conf configs/dev.Corefile

# Everything that a change must pass; what needs no other programs, compiled, too.
test: check programs compiled
	$(BIN)/python -m pytest
	PYTHONSAFEPATH=1 PYTHONPATH="$(CURDIR)/$(COMPILED):$(CURDIR)" $(BIN)/python -m pytest --import-mode=importlib -n auto \
		-m 'not programs' --expect-compiled

# The same without what needs other programs beside svcdns.
test-quick: check
	$(BIN)/python -m pytest -m 'not programs'

check: format lint types layers

format: $(VENV)/dev.stamp
	$(BIN)/ruff format --check

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check

types: $(VENV)/dev.stamp
	$(BIN)/mypy

layers: $(VENV)/dev.stamp
	$(BIN)/lint-imports

# The real programs that tests run beside svcdns, built or installed once.
programs: $(VENV)/dev.stamp
	$(BIN)/python -m tests.programs dig etcd etcdctl kube-apiserver coredns

# The package as the image has it, with what queries pass through compiled: `PYTHONPATH=.venv/compiled` takes it, where
# PYTHONSAFEPATH keeps the sources here from coming first.
compiled: $(VENV)/compiled.stamp

# Measures svcdns beside its peers, for fifty minutes, and writes bench/RESULTS.md; with SOAK=30 also half an hour of
# mixed load. The quick one takes two minutes, and only prints.
bench: programs compiled $(VENV)/bench.stamp
	$(BIN)/python -m bench $(if $(SOAK),--soak $(SOAK))

bench-quick: programs compiled
	$(BIN)/python -m bench --quick

# Writes the locks anew from pyproject.toml.
lock: $(VENV)/dev.stamp
	$(LOCK) pyproject.toml --output-file requirements.txt
	$(LOCK) --group build --output-file requirements-build.txt
	$(LOCK) --group compile --constraint requirements-build.txt --output-file requirements-compile.txt
	$(LOCK) --group dev --constraint requirements.txt --constraint requirements-build.txt \
		--constraint requirements-compile.txt pyproject.toml --output-file requirements-dev.txt
	$(LOCK) --group bench --constraint requirements-dev.txt --output-file requirements-bench.txt

$(BIN)/python:
	@echo 'Setting up $(VENV); this takes a minute, once.'
	@{ $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' && $(PYTHON) -m venv $(VENV); } || { \
		echo 'Python 3.11 or newer with its venv is needed, and "$(PYTHON)" is not that. On Debian, install' \
			'python3-venv; to take another Python, write for example PYTHON=python3.13 after the command.' >&2; exit 1; }

# What runs the server, from its lock, and what installs the checkout.
$(VENV)/run.stamp: requirements.txt requirements-build.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements.txt -r requirements-build.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# What checks and tests it, from its own.
$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/run.stamp
	$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

# What is compiled of it, which takes a minute or two: in an environment of its own, with what the image's has, and put
# together in a folder, so that no extension stands beside a source that was changed since.
$(VENV)/compiled.stamp: requirements-compile.txt hatch_build.py $(shell find svcdns -name '*.py') $(VENV)/dev.stamp
	$(BIN)/python -m tests.programs gcc python3-config
	@command -v gcc > /dev/null && test -e "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" || { \
		echo 'gcc and the headers of this Python are needed; on Debian, install build-essential and python3-dev.' >&2; exit 1; }
	@rm -rf $(COMPILED) $(VENV)/wheels
	$(BIN)/python -m venv $(VENV)/compiler
	$(COMPILER) install --quiet --require-hashes -r requirements.txt -r requirements-build.txt -r requirements-compile.txt
	HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 $(COMPILER) wheel --quiet --no-deps --no-build-isolation --wheel-dir $(VENV)/wheels .
	$(PIP) install --quiet --no-deps --target $(COMPILED) $(VENV)/wheels/*.whl
	@touch $@

# What draws pictures of it, from its own.
$(VENV)/bench.stamp: requirements-bench.txt $(VENV)/dev.stamp
	$(PIP) install --quiet --require-hashes -r requirements-bench.txt
	@touch $@
