# Two commands on a fresh machine: `make quickstart` and `make test`. Running a target twice does not reinstall.
PYTHON ?= python3
BIN := .venv/bin
ifeq ($(shell uname -s),Linux)
export MUJOCO_GL ?= egl
endif

.PHONY: setup quickstart test test-avx2 lint bench oracle peers evidence reproduce fuzz devcluster-up devcluster-down clean

setup: .venv/.installed

# requirements.lock holds the exact versions; pyproject.toml only ranges, so that CUDA users can install their own torch.
# dm_control goes in without its dependencies, which the lock file lists: it asks for labmaze, which has no wheel from Python
# 3.13 on, and of which its suite makes no use.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dreamproof needs Python >= 3.11 ($$($(PYTHON) --version 2>&1) found): install it and give make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; $(PYTHON) -c 'import sys; print("Python has no venv here: apt-get install python%d.%d-venv" % sys.version_info[:2])'; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null 2>&1 || { echo "The environment .venv has no pip: uv pip install --python $(BIN)/python pip, or remove .venv"; exit 1; }
	@test "$$(uname -s)" != Linux || $(BIN)/python -c 'import ctypes.util, sys; sys.exit(not ctypes.util.find_library("EGL"))' || echo "No EGL library: dmc_vision needs it for rendering (apt-get install libegl1 libgl1-mesa-dri); everything else works without."
	@kept=$$($(BIN)/python -c 'from importlib.metadata import version; print(version("torch"))' 2>/dev/null); \
	  case "$$kept" in ""|*+cpu) kept=;; *) echo "torch $$kept is kept: it is not the CPU build of requirements.lock.";; esac; \
	  grep -v '^dm_control==' requirements.lock | grep -v "^$${kept:+torch==}$${kept:-#}" >.venv/requirements.txt
	$(INSTALL) -r .venv/requirements.txt
	@grep '^dm_control==' requirements.lock >.venv/requirements.txt
	$(INSTALL) --no-deps -r .venv/requirements.txt
	PYTHONWARNINGS=ignore $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

quickstart: setup
	$(BIN)/dreamproof run quickstart
	$(BIN)/dreamproof table robustness runs/quickstart
	$(BIN)/dreamproof plot robustness runs/quickstart --out figures/quickstart.png
	$(BIN)/dreamproof report runs/quickstart --out figures/quickstart.html

test: setup
	$(BIN)/python -m pytest -n auto --dist loadgroup

# The numeric tests again as other x86-64 machines compute: with AVX2 and no AVX-512, and with neither. SETTINGS and TESTS pick.
TESTS ?= numeric and not oracle
SETTINGS ?= ATEN_CPU_CAPABILITY=avx2,ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=AVX2
test-avx2: setup
	for setting in $(SETTINGS); do \
	  echo "numeric tests with $$setting" && \
	  env $$(echo $$setting | tr , ' ') $(BIN)/python -m pytest -m '$(TESTS)' -n auto --dist loadgroup || exit 1; done

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Slow: about 20 minutes on two idle cores. Other work on the machine spoils the figures; the page says so where there was.
bench: setup
	$(BIN)/dreamproof bench all --out docs/performance.md

# Optional: an independent implementation (torchrl) as a second opinion. It lies in an environment of its own on top of .venv.
ORACLE := .venv-oracle/bin/python
oracle: setup
	@test -x $(ORACLE) || $(PYTHON) -m venv .venv-oracle
	@$(BIN)/python -c 'import site; print(*site.getsitepackages(), sep="\n")' > $$($(ORACLE) -c 'import site; print(site.getsitepackages()[0])')/base.pth
	$(ORACLE) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-oracle.lock
	$(ORACLE) -m pytest -m oracle tests/test_torchrl.py

# Optional: public peers beside ours, their code cloned and called, each in an environment of its own. About 12 minutes.
PEERS := .peers
peers: setup
	@mkdir -p $(PEERS)
	@test -d $(PEERS)/r2dreamer || { git clone --quiet https://github.com/NM512/r2dreamer $(PEERS)/r2dreamer && git -C $(PEERS)/r2dreamer checkout --quiet 546e4fab8146ea4b14e1d7726bbc1a8a1d50322f; }
	@test -d $(PEERS)/dreamerv3 || { git clone --quiet https://github.com/danijar/dreamerv3 $(PEERS)/dreamerv3 && git -C $(PEERS)/dreamerv3 checkout --quiet e3f02248693a79dc8b0ebd62c93683888ddaccfe; }
	@test -x $(PEERS)/torch/bin/python || $(PYTHON) -m venv $(PEERS)/torch
	@$(BIN)/python -c 'import site; print(*site.getsitepackages(), sep="\n")' > $$($(PEERS)/torch/bin/python -c 'import site; print(site.getsitepackages()[0])')/base.pth
	$(PEERS)/torch/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-peers-torch.lock
	@test -x $(PEERS)/jax/bin/python || $(PYTHON) -m venv $(PEERS)/jax
	$(PEERS)/jax/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-peers-jax.lock
	$(BIN)/python tests/peers.py

# Slow: about three and a half hours on two cores. The official curve is drawn where its file is at hand (docs/learning.md).
OFFICIAL := $(wildcard ../shared/published/dmc_proprio-dreamerv3.json.gz)
evidence: setup
	$(BIN)/dreamproof run learning
	$(BIN)/dreamproof export stored runs/learning --out results/stored/learning.csv.gz
	$(BIN)/dreamproof plot curves runs/learning $(OFFICIAL:%=--reference %) --out docs/learning.png
	$(BIN)/dreamproof table curves runs/learning $(OFFICIAL:%=--reference %) --out docs/learning-table.md
	$(BIN)/dreamproof run precision
	$(BIN)/dreamproof export stored runs/precision --out results/stored/precision.csv.gz
	$(BIN)/dreamproof table ablations runs/precision --margin 0.1 --out docs/precision.md
	for study in repo-stress repo-failure; do \
	  $(BIN)/dreamproof run $$study && \
	  $(BIN)/dreamproof export archive runs/$$study --out results/stored/$$study.tar.gz && \
	  $(BIN)/dreamproof table repo runs/$$study --out docs/$$study.md && \
	  $(BIN)/dreamproof plot repo runs/$$study --out docs/$$study.png || exit 1; done
	$(BIN)/dreamproof run repo-helps
	$(BIN)/dreamproof export stored runs/repo-helps --out results/stored/repo-helps.csv.gz
	$(BIN)/dreamproof table robustness runs/repo-helps --out docs/repo-helps.md
	$(BIN)/dreamproof plot curves runs/repo-helps --out docs/repo-helps.png
	$(BIN)/python tests/campaign.py --seconds 180 --learners 6 --steps 800 --out docs/campaign.json

# Thousands of mutated inputs; fails where one gives a traceback, hangs, writes beside its target or is taken for what it is not.
CASES ?= 5000
SEED ?= 0
fuzz: setup
	$(BIN)/python tests/fuzz.py --cases $(CASES) --seed $(SEED)

# A real SLURM on this machine, for trials and tests. It says which Debian packages are missing.
devcluster-up devcluster-down: devcluster-%: setup
	$(BIN)/dreamproof devcluster $*

# The docs' figures and tables from results/stored/, in seconds; fails where the stored rows are not those of figures/docs.yaml.
reproduce: setup
	$(BIN)/dreamproof reproduce figures/docs.yaml --out docs $(OFFICIAL:%=--reference %)

clean:
	rm -rf .venv .venv-oracle .peers build *.egg-info
