# Everything below runs the same on a laptop and in continuous integration.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml constraints.txt

# The exact versions for the packages installed and for what builds them.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
INSTALL := $(BIN)/python -m pip install --quiet

.PHONY: demo test check bench clean
.NOTPARALLEL:

demo: $(VENV)/.light  ## complete the bundled photograph with the light package
	$(BIN)/finefill demo

test: $(VENV)/.test  ## all tests
	$(BIN)/python -m pytest

check: $(VENV)/.check  ## lint, types, import contracts, size of the clone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check-weight.py

bench: $(VENV)/.test  ## one image by every method: time, memory, work; other packages (half an hour)
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/peers.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "finefill needs Python 3.11 to 3.13: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Stamps: installing happens again only when the requirements change.
$(VENV)/.light: $(INPUTS) | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/.test: $(INPUTS) | $(BIN)/python
	$(INSTALL) -e '.[reproduce,formats,stream,cluster,web,browser,test]'
	@touch $(VENV)/.light $@

# With the training half, or mypy could not see PyTorch's types.
$(VENV)/.check: $(INPUTS) | $(BIN)/python
	$(INSTALL) -e '.[reproduce,formats,stream,cluster,web,browser,test,dev]'
	@touch $(VENV)/.light $(VENV)/.test $@
