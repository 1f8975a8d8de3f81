# make book   build the book: book/_build/html/index.html     (PARAMS="-p seed 1 -p width 96" for another one)
# make slides build the slides of a lesson: book/_build/html/slides/index.html (make book does so, too)
# make test   lint, tests, notebooks, and the book's pages
# make quick  lint and the fast tests, for while you work
# Each target prepares .venv by itself, once.

PYTHON ?= python3
BIN = .venv/bin

.PHONY: book slides test quick lint lock clean

# a chapter a core, one thread in each: the networks of the chapters are too small to share
book: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python book/build.py $(PARAMS)

slides: .venv/ready
	$(BIN)/python book/slides.py

# a process a core, one thread in each: the networks of the tests are too small to share
# (bytecode is kept, whatever the environment says: without it each process compiles anew)
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadgroup

test: lint
	@# notebooks and tests train anew, in a folder of their own: a stored run must not hide a change of the code
	@runs=$$(mktemp -d) && trap 'rm -rf "$$runs"' EXIT && export SSF_RUNS="$$runs" && $(PYTEST) tests

quick: lint
	$(PYTEST) -m "not slow" tests

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python book/strip.py --verify

# torch and torchvision: versions known to work together (the package itself also runs with torch 2.11)
lock: .venv/ready
	printf 'torch==2.13.0\ntorchvision==0.28.0\n' > .venv/constraints
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --constraint .venv/constraints --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet \
	  -o requirements.lock

clean:
	rm -rf .venv runs sweeps book/_build book/*.ipynb book/_[a-z]*.md book/_config_with_numbers.yml

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ssf needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps -e .
	touch $@
