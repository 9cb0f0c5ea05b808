# Needs python3 with venv, and nothing else. Each lane of dependencies gets its own virtual environment, made once and
# made again when setup.cfg or the pins change.
PYTHON ?= python3
ARGS ?=

extras := extra,plots,contrib,ray,minari,huggingface,minatar,mazes,box2d,zoo,tests
current_extras := $(extras),atari,grids,highway,docs,dev
imitation_extras := $(extras),imitation
demo_extras := plots
other_extras := extra,plots,contrib,minatar,tests

# The pins are those of Python 3.11 and newer; 3.10 has its own.
current_pins := $(shell $(PYTHON) -c "import sys; print('current' if sys.version_info >= (3, 11) else 'python-3.10')")

demo := .venv-demo/bin/python
current := .venv/bin/python
imitation := .venv-imitation/bin/python
pytest := -m pytest -n auto --maxprocesses 8 --dist worksteal

export OMP_NUM_THREADS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# pip does not compile what it installs; Python does that for the small part that is used, and keeps it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-fast test-imitation test-pythons lint format type docs notebooks install install-imitation constraints clean

help:  ## Show this help
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-18s %s\n' "$$name" "$$text"; done

demo: .venv-demo/installed  ## Record an expert, train DQN and DIIQN, print the table and draw the plots
	$(demo) -m benchmarks run demo --only 'Maze2D/*/default/*' --out benchmark_results/demo
	$(demo) -m benchmarks report --out benchmark_results/demo

test: install  ## Run all tests; options for pytest: make test ARGS="-k resume"
	$(current) $(pytest) $(ARGS)

test-fast: install  ## Run the tests that take at most a second or two each: a minute and a half on two cores
	$(current) $(pytest) -m "not slow and not learning" $(ARGS)

test-imitation: install-imitation  ## Run all tests beside imitation 1.0.1, stable-baselines3 2.2 and gymnasium 0.29
	$(imitation) $(pytest) $(ARGS)

test-pythons:  ## Run the quick tests with python3.10, 3.12 and 3.13, those that are there
	@for version in 3.10 3.12 3.13; do \
		python$$version -c '' 2>/dev/null || continue; \
		$(MAKE) --no-print-directory .venv-$$version/installed || exit 1; \
		.venv-$$version/bin/python $(pytest) -m "not slow and not learning" $(ARGS) || exit 1; \
	done

lint: install  ## Check format and style
	$(current) -m ruff format --check .
	$(current) -m ruff check .

format: install  ## Correct format and style
	$(current) -m ruff check --fix .
	$(current) -m ruff format .

type: install  ## Check types (mypy --strict)
	$(current) -m mypy

docs: install  ## Build the documentation site into docs/_build/html; nothing is fetched, and warnings are errors
	$(current) -m sphinx -q -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html

notebooks: install  ## Run the notebooks, and keep what they show in them (two minutes)
	$(current) docs/notebooks/run.py

install: .venv/installed  ## Make the virtual environment .venv
install-imitation: .venv-imitation/installed  ## Make the virtual environment .venv-imitation

.venv-demo/installed: setup.cfg setup.py constraints/$(current_pins).txt
	$(call make_environment,.venv-demo,$(current_pins),$(demo_extras))

.venv/installed: setup.cfg setup.py constraints/$(current_pins).txt
	$(call make_environment,.venv,$(current_pins),$(current_extras))

.venv-imitation/installed: setup.cfg setup.py constraints/imitation.txt
	$(call make_environment,.venv-imitation,imitation,$(imitation_extras))

.venv-3.%/installed: setup.cfg setup.py constraints/current.txt constraints/python-3.10.txt
	$(call make_environment,.venv-3.$*,$(if $(filter 10,$*),python-3.10,current),$(other_extras),python3.$*)

define make_environment
	@echo "Installing into $(1): some minutes, up to 2 GB, once"
	@$(or $(4),$(PYTHON)) -m venv $(1)
	@$(1)/bin/python -m pip install -qq --no-compile -c constraints/$(2).txt -e '.[$(3)]'
	@touch $@
endef

constraints:  ## Resolve all lanes anew (python3.10 for its own): constraints/*.in and setup.cfg -> constraints/*.txt
	$(PYTHON) constraints/resolve.py current '$(current_extras)' > current.tmp && mv current.tmp constraints/current.txt
	$(PYTHON) constraints/resolve.py imitation '$(imitation_extras)' > imitation.tmp && mv imitation.tmp constraints/imitation.txt
	python3.10 constraints/resolve.py python-3.10 '$(other_extras)' > 310.tmp && mv 310.tmp constraints/python-3.10.txt

clean:  ## Remove the virtual environments and everything else that is made again
	rm -rf .venv .venv-demo .venv-imitation .venv-3.* build dist docs/_build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find sb3_diiqn benchmarks tests examples constraints -name __pycache__ -prune -exec rm -rf {} +
