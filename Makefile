# Needs python3 with venv, and nothing else. Each lane of dependencies gets its own virtual environment, made once and
# made again when setup.cfg or the pins change.
PYTHON ?= python3
ARGS ?=

extras := extra,plots,contrib,ray,minari,huggingface,minatar,mazes,box2d,zoo,tests
current_extras := $(extras),atari,highway,dev
imitation_extras := $(extras),imitation

current := .venv/bin/python
imitation := .venv-imitation/bin/python
pytest := -m pytest -n auto --maxprocesses 8 --dist worksteal

export OMP_NUM_THREADS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# pip does not compile what it installs; Python does that for the small part that is used, and keeps it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-imitation lint format type install install-imitation constraints clean

help:  ## Show this help
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-18s %s\n' "$$name" "$$text"; done

demo: install  ## Record an expert, train DQN and DIIQN, print the table and draw the plots
	$(current) -m benchmarks run demo --out benchmark_results/demo
	$(current) -m benchmarks report --out benchmark_results/demo

test: install  ## Run all tests; options for pytest: make test ARGS="-k resume"
	$(current) $(pytest) $(ARGS)

test-imitation: install-imitation  ## Run all tests beside imitation 1.0.1, stable-baselines3 2.2 and gymnasium 0.29
	$(imitation) $(pytest) $(ARGS)

lint: install  ## Check format and style
	$(current) -m ruff format --check .
	$(current) -m ruff check .

format: install  ## Correct format and style
	$(current) -m ruff check --fix .
	$(current) -m ruff format .

type: install  ## Check types (mypy --strict)
	$(current) -m mypy

install: .venv/installed  ## Make the virtual environment .venv
install-imitation: .venv-imitation/installed  ## Make the virtual environment .venv-imitation

.venv/installed: setup.cfg setup.py constraints/current.txt
	$(call make_environment,.venv,current)

.venv-imitation/installed: setup.cfg setup.py constraints/imitation.txt
	$(call make_environment,.venv-imitation,imitation)

define make_environment
	@echo "Installing the $(2) lane into $(1): some minutes, 2 GB, once"
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip install -qq --no-compile -c constraints/$(2).txt -e '.[$($(2)_extras)]'
	@touch $@
endef

constraints:  ## Resolve both lanes anew: constraints/*.in and setup.cfg -> constraints/*.txt
	$(PYTHON) constraints/resolve.py current '$(current_extras)' > current.tmp && mv current.tmp constraints/current.txt
	$(PYTHON) constraints/resolve.py imitation '$(imitation_extras)' > imitation.tmp && mv imitation.tmp constraints/imitation.txt

clean:  ## Remove the virtual environments and everything else that is made again
	rm -rf .venv .venv-imitation build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find sb3_diiqn benchmarks tests examples constraints -name __pycache__ -prune -exec rm -rf {} +
