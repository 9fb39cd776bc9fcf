# Every goal does its own set-up in .venv; a second run reuses it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.installed
DEMO := out/av_digits_loihi2
# It declares torchvision, which is not needed for it and may bring another build of torch.
NORSE := norse==1.1.0

.PHONY: demo gate test test-core check lava clean

demo: $(DONE) lava
	$(BIN)/avnir export examples/av_digits.pt --target loihi2 --out $(DEMO)
	$(BIN)/avnir verify examples/av_digits.pt --target loihi2 --backend cpu --backend lava
	@echo "The exported folder is $(DEMO); open $(DEMO)/report.html in a browser."

# The networks here against their budgets, in Lava too; the verdict in out/gate.md, JUnit in out/gate.xml.
gate: $(DONE) lava
	$(BIN)/avnir verify --budget examples/avnir.toml --junit out/gate.xml --summary out/gate.md

# A process for each core, up to four; a file's tests stay in one, with what they set up.
test: $(DONE) lava
	AVNIR_REQUIRE_LAVA=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

# The core without torch, on every other Python that is here.
test-core:
	.ci/test-core 3.12 3.13

check: $(DONE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lava: $(DONE)
	$(BIN)/avnir lava setup --netx

# torch first, under the constraints: nothing that follows can then choose another build of it.
$(DONE): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test,check]"
	$(BIN)/python -m pip install --quiet --no-deps $(NORSE)
	touch $(DONE)

clean:
	rm -rf $(VENV) .venv-core-* out build *.egg-info
