# Everything below sets itself up in .venv, from pinned and hashed packages, on a machine with python3 and make.

VENV := .venv
PY := $(VENV)/bin/python
# Two at a time: most tests wait for processes. Those of one file stay together, for they share what they set up.
# Those of test-all are one at a time: some build images anew that others use.
PYTEST := $(PY) -m pytest -n 2 --dist loadfile
PIP := $(PY) -m pip --disable-pip-version-check -qq
PROJECT := --no-deps --no-build-isolation --editable .
LOCK := $(VENV)/bin/uv pip compile --quiet --generate-hashes --no-header --no-annotate --universal \
	--python-version 3.11 $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-all prove check format docs lock clean

# Without .pyc files every start of a Python costs seconds more; a foreign search path brings foreign packages.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV

help: ## show this
	@echo "Launchbay: make TARGET"
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-10s %s\n", $$1, $$2 }'

venv: $(VENV)/.run ## set up .venv with bay in it, and nothing else

demo: $(VENV)/.run ## the whole experiment end to end; DATA=DIR for your own train/val/test CSV files
	@$(VENV)/bin/bay demo $(if $(DATA),--data "$(DATA)")
	@echo; echo "next: . $(VENV)/bin/activate, then: bay init my-experiment"

test: check ## checks and tests: half an hour on two processors
	$(PYTEST) $(ARGS)

test-all: test ## the above, then every recipe built, disk full, the built wheel
	$(PY) -m pytest -m all $(ARGS)

prove: $(VENV)/.dev ## campaigns and benchmarks; goes on where it stopped, AGAIN=1 starts over
	$(PY) -m tools.prove $(if $(AGAIN),--again)

check: $(VENV)/.dev ## ruff and mypy
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

format: $(VENV)/.dev ## let ruff lay out the code and mend what it can
	$(PY) -m ruff check --fix-only --quiet
	$(PY) -m ruff format

docs: $(VENV)/.dev ## write docs/reference anew from the code
	$(PY) -m tools.generate_reference

lock: $(VENV)/.run ## pin requirements/*.txt anew; UPGRADE=1 takes newer versions
	$(LOCK) pyproject.toml --extra aws --extra plot --extra solver --extra twin requirements/build.in --output-file requirements/run.txt
	$(LOCK) requirements/dev.in --constraint requirements/run.txt --output-file requirements/dev.txt

clean: ## remove what make made (images and runs lie in LAUNCHBAY_HOME and stay)
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache

# --- the environment --------------------------------------------------------------------------------------------

# The scripts in a venv hold its path: one that was moved, or whose Python is gone, is made again.
ifneq ($(shell $(PY) -c '' 2>/dev/null && cat $(VENV)/.made),$(CURDIR))
.PHONY: $(VENV)/.made
endif

$(VENV)/.made:
	@sh tools/make_venv.sh $(VENV)
	@printf '%s' "$(CURDIR)" > $@

$(VENV)/.run: $(VENV)/.made requirements/run.txt pyproject.toml
	@echo "installing what Launchbay runs on (about 80 MB, once)"
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install $(PROJECT)
	@$(PY) -m compileall -q src
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "installing what checks and tests need (about 40 MB, once)"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@
