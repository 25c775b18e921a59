# On a machine with Python 3.11 or newer, make and a C compiler, `make train` and `make test` are all it takes: each sets
# up .venv first (once, about 2 GB with torch's CPU build), with the versions of constraints.txt.
#
#   PYTHON=python3.12   the Python that .venv is made from
#   PIP_ARGS="..."      more for pip. From PyPI, torch on Linux is the CUDA build (several GB); for the CPU build:
#                       make train PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
#   PY=python           use an environment of your own instead of .venv; nothing is installed
#   ARGS="..."          more for pytest (make test) or for the demonstration (make train)

PYTHON ?= python3
PIP_ARGS ?=
ARGS ?=
VENV := .venv
ifndef PY
PY := $(VENV)/bin/python
READY := $(VENV)/.installed
endif

# With more threads than free cores torch runs 5 to 20 times slower (its threads wait by spinning).
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help venv train test lint types format tiny tiny-sat tiny-python gpu clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1 \t/' | expand -t 18

venv: $(READY) ## set up .venv

train: $(READY) ## the demonstration: Delethink against LongCoT, on a CPU
	$(PY) -m benchmarks.demo $(ARGS)

test: $(READY) ## the tests, with branch coverage of reasongym/
	$(PY) -m pytest --cov $(ARGS)

lint: $(READY) ## ruff: rules and format
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(READY) ## mypy --strict on reasongym/
	$(PY) -m mypy

format: $(READY) ## let ruff mend what it can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

tiny: $(READY) ## rebuild the model inside the package from nothing: about a minute
	rm -rf runs/tiny
	$(PY) -m reasongym.agents.sft --env Delethink-v0 --env.chunk 32 --env.carry 12 --env.head 0 --env.low 1 --env.high 60 \
	  --env.demonstrator slip --model tiny --fresh --lr 3e-3 --out runs/tiny
	cp runs/tiny/step-001200/model.safetensors reasongym/policies/tiny/

# Formulas of three to five variables and few clauses: those of five have at most 6, where the ladder of the benchmark has
# up to 11. Each of the hardest three stands there twice. First the search as it should be, then as somebody careless
# writes it, so that there is something left for reinforcement learning to mend.
TINY_SAT := --env SAT-v0 --env.prompt short --level 1 --last 21 --env.levels "[[3,3,2],[3,3,3],[3,3,4],[3,3,5],[3,3,6],\
  [3,3,7],[3,4,2],[3,4,3],[3,4,4],[3,4,5],[3,4,6],[3,4,7],[3,4,8],[3,5,2],[3,5,3],[3,5,4],[3,5,5],[3,5,6],[3,5,4],\
  [3,5,5],[3,5,6]]"

tiny-sat: $(READY) ## rebuild the model that solves easy SAT, inside the package: about four minutes
	rm -rf runs/tiny-sat
	$(PY) -m reasongym.agents.sft $(TINY_SAT) --env.thinking "delethink(chunk=160, carry=112, head=0, max_chunks=20)" \
	  --model tiny --fresh --lr 3e-3 --steps 2600 --out runs/tiny-sat/careful
	$(PY) -m reasongym.agents.sft $(TINY_SAT) --env.thinking "delethink(chunk=240, carry=144, head=0, max_chunks=4)" \
	  --env.task benchmarks.careless_sat:Careless --env.overlook 0.5 \
	  --model runs/tiny-sat/careful/step-002600 --lr 1e-3 --steps 300 --out runs/tiny-sat/careless
	cp runs/tiny-sat/careless/step-000300/*.json runs/tiny-sat/careless/step-000300/model.safetensors \
	  reasongym/policies/tiny_sat/

# First both ways as they should be, then mostly by hand and by somebody careless, so that calling is rare and worth it.
# Demonstrations that call are played with the real tool: this needs a sandbox that works.
TINY_PYTHON := --env CodeInterpreter-v0 --env.task doubling --env.tools "[\"python(hint='')\"]" --batch 8 --row 200

tiny-python: $(READY) ## rebuild the model that may call Python, inside the package: about five minutes
	rm -rf runs/tiny-python
	$(PY) -m reasongym.agents.sft $(TINY_PYTHON) --env.calls 0.5 \
	  --model tiny --fresh --lr 3e-3 --steps 1200 --out runs/tiny-python/careful
	$(PY) -m reasongym.agents.sft $(TINY_PYTHON) --env.calls 0.5 \
	  --model runs/tiny-python/careful/step-001200 --lr 2e-3 --steps 600 --out runs/tiny-python/again
	$(PY) -m reasongym.agents.sft $(TINY_PYTHON) --env.calls 0.15 --env.careless True \
	  --model runs/tiny-python/again/step-000600 --lr 1e-3 --steps 250 --out runs/tiny-python/careless
	cp runs/tiny-python/careless/step-000250/*.json runs/tiny-python/careless/step-000250/model.safetensors \
	  reasongym/policies/tiny_python/

gpu: $(READY) ## the tests and the benchmark that need a CUDA device
	@$(PY) -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' \
	  || { echo "make gpu: torch finds no CUDA device here (nvidia-smi shows a driver; PIP_ARGS chooses torch's build)" >&2; exit 2; }
	$(PY) -m pytest -m gpu tests/gpu $(ARGS)
	$(PY) -m benchmarks.gpu --save

clean: ## remove .venv and everything that can be made again
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

stop = { echo "make: $(1)" >&2; exit 1; }
FIND_CC := import os, shutil, sys, sysconfig; cc = os.environ.get("CC") or sysconfig.get_config_var("CC"); sys.exit(not shutil.which(cc.split()[0]))
FIND_HEADER := import os, sys, sysconfig; sys.exit(not os.path.isfile(os.path.join(sysconfig.get_path("include"), "Python.h")))

$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || $(call stop,$(PYTHON) is missing: install Python 3.11 or newer or name one with PYTHON=)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || $(call stop,$(PYTHON) is older than Python 3.11: install that or newer or name one with PYTHON=)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(call stop,$(PYTHON) has no venv module: install it (Debian and Ubuntu: apt install python3-venv))
	@$(PYTHON) -c '$(FIND_CC)' || $(call stop,no C compiler and pycosat must be compiled: install one (Debian and Ubuntu: apt install gcc))
	@$(PYTHON) -c '$(FIND_HEADER)' || $(call stop,no Python.h and pycosat must be compiled: install it (Debian and Ubuntu: apt install python3-dev))
	@echo "make: installing into $(VENV), once; this takes some minutes"
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install --quiet -c constraints.txt -e ".[all,dev]" $(PIP_ARGS) || $(call stop,pip could not install the packages: its reason stands above (is PyPI reachable?))
	@touch $@
