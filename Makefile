# EncodeOnce: `make help` lists the targets.
VENV     := .venv
PYTHON   := $(VENV)/bin/python
PORT     ?= 3000
BUNDLE   ?= bundles/support_desk
STAMP    := $(VENV)/.installed
# An index with CPU-only (or another CUDA's) builds of torch, where the default one is not wanted.
TORCH_INDEX_URL ?=
export BENTOML_DO_NOT_TRACK := 1
export TOKENIZERS_PARALLELISM := true

.DEFAULT_GOAL := help
.PHONY: help install quickstart serve test check audit format bench bench-peers clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## create .venv and install everything

# torch comes first and pinned: pulled in by another package it would be a build with gigabytes of CUDA.
$(STAMP): pyproject.toml constraints.txt clients/python/pyproject.toml
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --upgrade pip
	$(PYTHON) -m pip install --quiet -c constraints.txt torch $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL))
	$(PYTHON) -m pip install --quiet -c constraints.txt -e '.[train,dev]' -e clients/python
	touch $@

quickstart: bundles/support_desk ## train and export examples/support_desk, if not done yet

# Only a verified bundle ever has this name, so its existence is enough. An interrupted training resumes.
bundles/support_desk: | $(STAMP)
	$(PYTHON) -m training fit examples/support_desk/support_desk.yaml --output runs/support_desk --resume
	$(PYTHON) -m export runs/support_desk --output $@

serve: $(BUNDLE) | $(STAMP) ## serve BUNDLE on PORT (the quickstart's, on 3000)
	ENCODEONCE_BUNDLE=$(BUNDLE) $(VENV)/bin/bentoml serve . --port $(PORT)

# By file: what a file's tests share is made once, and real processes of one file never run beside each other.
test: | $(STAMP) ## run the whole test suite
	$(PYTHON) -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

check: | $(STAMP) ## lint, types and import directions
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

audit: | $(STAMP) ## check what is installed: requirements, licences, known vulnerabilities (needs a network)
	$(PYTHON) .ci/audit.py

format: | $(STAMP) ## format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: | $(STAMP) ## measure the service against the bare loop (docs/results/)
	$(PYTHON) -m loadtests.bench --results .peers/results

# QUICK=--quick takes about twelve minutes once everything is installed, and not some hours.
bench-peers: | $(STAMP) ## measure the service beside other servers, each in its own environment (docs/results/serving.md)
	$(PYTHON) -m loadtests.peers install
	$(PYTHON) -m loadtests.peers measure $(QUICK)
	$(PYTHON) -m loadtests.peers report

clean: ## remove the environment, runs, bundles and caches
	rm -rf $(VENV) runs bundles build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
