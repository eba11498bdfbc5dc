# Two commands do everything on a fresh machine with Python and make:  make run,  make test.
PYTHON ?= python3
VENV ?= .venv
SEEDS ?= 20
WORKERS ?= 2
PYTEST = $(PY) -m pytest -q -n $(WORKERS) --dist loadfile
PY = $(VENV)/bin/python
PIP = $(PY) -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt
QUICK = $(XLA_FLAGS) --xla_backend_optimization_level=0
EXPERIMENTS = $(wildcard experiments/*.py)
EXAMPLES = $(wildcard experiments/examples/*.py)
BENCHMARKS = imports stepping archive go_explore quality_diversity ppo craftax_ppo bonuses bandits

EVERYWHERE = contract or runner_run or test_package or test_nets or test_algorithm or test_cli or test_hang

.PHONY: run test test-all contract-test lint smoke notebooks reproduce kill-test bench clean

run: $(VENV)/.run
	$(PY) experiments/hard_exploration.py --seeds $(SEEDS)

# LLVM's optimisations are left out, of smoke runs too: most of the time of the tests is compilation.
test: $(VENV)/.test
	XLA_FLAGS="$(QUICK)" $(PYTEST) -m "not slow and not reproduction"

# With optimisation, and also the slow ones: every environment of every suite, and second forms of what `make test` has
# in one.
test-all: $(VENV)/.test
	$(PYTEST)

# What another interpreter, with another jax, must pass: the contracts of all algorithms and worlds, and the runner.
contract-test: $(VENV)/.test
	XLA_FLAGS="$(QUICK)" $(PYTEST) -m "not slow and not reproduction" -k "$(EVERYWHERE)" --ignore=tests/envs/test_suites.py

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .

smoke: $(VENV)/.test
	mkdir -p $(VENV)/smoke
	printf '%s\n' $(EXPERIMENTS) | xargs -P $(WORKERS) -I{} sh -c 'log=$(VENV)/smoke/$$(basename {} .py).log; \
		XLA_FLAGS="$(QUICK)" $(PY) {} --smoke --results $(VENV)/smoke > $$log 2>&1 || { cat $$log; echo "failed: {}"; exit 1; }; echo "ran {}"'
	set -e; for example in $(EXAMPLES); do echo "== $$example"; XLA_FLAGS="$(QUICK)" $(PY) $$example --smoke; done

notebooks: $(VENV)/.dev
	$(PY) -m pytest -q --nbmake --nbmake-timeout=600 notebooks

# FAMILY=rnd runs tests/reproduction/test_rnd*.py; without it, all.
reproduce: $(VENV)/.test
	$(PY) -m pytest -q -s --timeout 7200 -m reproduction tests/reproduction $(if $(FAMILY),-k $(FAMILY))

kill-test: $(VENV)/.test
	$(PY) tests/runner/kill_resume.py

# Peers live in an environment of their own.
bench: .venv-bench/.installed
	set -e; for name in $(BENCHMARKS); do .venv-bench/bin/python experiments/benchmarks/$$name.py; done

.venv-bench/.installed: pyproject.toml experiments/benchmarks/requirements.txt .ci/constraints.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt \
		--editable ".[suites]" --requirement experiments/benchmarks/requirements.txt
	touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml .ci/constraints.txt
	$(PIP) --editable ".[suites]"
	touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml .ci/constraints.txt
	$(PIP) --editable ".[test]"
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml .ci/constraints.txt
	$(PIP) --editable ".[dev]"
	touch $@

clean:
	rm -rf .jax_cache .ruff_cache .hypothesis
