# make tour   sets up, trains and measures on scikit-learn's digits, writes runs/tour/report.html
# make test   sets up, checks everything
# make mutants  puts small errors into the code one at a time and names those that no test notices
# make gpu    trains and measures at full scale on a GPU, for MINUTES=60 at most; go on by the same command
# make bench  sets up beside other libraries' attacks, times epslab's against them
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help tour test test-full mutants gpu bench lint clean

help:
	@sed -n 's/^# //p' Makefile

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "epslab needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

tour: .venv/.ready
	$(BIN)/epslab tour --out runs/tour --overwrite

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile -m 'not full'

# Slow checks on real data: set EPSLAB_DATA to a folder that holds it; what is missing is skipped by name.
test-full: lint
	$(BIN)/pytest -rs

# Ten minutes on two cores. MUTANTS="attacks --number 200 --seed 1", or "--all": an hour or two
mutants: .venv/.ready
	PYTHONPATH=tests $(BIN)/python -m mutants $(MUTANTS)

MINUTES ?= 60
gpu: .venv/.ready
	$(BIN)/python benchmarks/full_scale.py --minutes $(MINUTES)

# The other libraries have an environment of their own: nothing of theirs is needed here.
.venv-bench/.ready: pyproject.toml constraints.txt benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . \
		-r benchmarks/requirements.txt
	@touch $@

bench: .venv-bench/.ready
	.venv-bench/bin/python benchmarks/pgd.py

clean:
	rm -rf .venv .venv-bench runs
