# erpcrm-bridge: install, test, demo, bench, soak, clean.
# Everything goes into .venv; a second call finds it there. BENCH holds options of bench/run.py (BENCH=--full). SOAK_SECONDS says how long `make soak` lasts, SOAK_SEED where its stories begin.

SHELL = /bin/sh
PYTHON = .venv/bin/python
PIP = $(PYTHON) -m pip --disable-pip-version-check
SOAK_SECONDS ?= 3600
SOAK_SEED ?= 1
MADE_OF = pyproject.toml constraints.txt

.PHONY: install test demo bench soak clean

install: .venv/.installed

demo: .venv/.installed
	.venv/bin/erpcrm-bridge demo

test: .venv/.installed-dev
	$(PYTHON) -m pytest -n auto --dist worksteal

bench: .venv/.installed-bench
	$(PYTHON) bench/run.py $(BENCH)

soak: .venv/.installed-dev
	SOAK_SECONDS=$(SOAK_SECONDS) $(PYTHON) -m pytest -m soak -s
	SOAK_SECONDS=$$(($(SOAK_SECONDS) * 55 / 100)) SOAK_SEED=$(SOAK_SEED) $(PYTHON) -m erpcrm_bridge.testing.stories.soak

clean:
	rm -rf .venv .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: .venv/.made $(MADE_OF)
	$(PIP) install --quiet -c constraints.txt -e .
	@touch $@

.venv/.installed-dev: .venv/.made $(MADE_OF)
	$(PIP) install --quiet -c constraints.txt -e '.[dev]'
	@touch $@ .venv/.installed

.venv/.installed-bench: .venv/.made $(MADE_OF)
	$(PIP) install --quiet -c constraints.txt -e '.[dev,bench]'
	@touch $@ .venv/.installed-dev .venv/.installed

# A folder .venv that is there already is taken as it is, if it holds Python 3.11; nobody's folder is thrown away unasked.
.venv/.made:
	@if [ -e .venv ]; then \
		.venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && exec touch $@; \
		echo "The folder .venv holds no Python 3.11 with pip. Remove it (make clean), then run this again." >&2; \
		exit 1; \
	fi; \
	for python in python3.11 python3; do \
		if $$python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Python 3.11 is needed; neither python3.11 nor python3 ($$(python3 --version 2>&1)) is one." >&2; \
		echo "On Debian 12 and its kin: sudo apt-get install python3 python3-venv" >&2; \
		exit 1; \
	fi; \
	if ! $$found -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "Python's venv is missing. On Debian and its kin: sudo apt-get install python3-venv (or python3.11-venv)" >&2; \
		exit 1; \
	fi; \
	$$found -m venv .venv && touch $@
