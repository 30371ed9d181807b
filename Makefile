# make run     set up and run the whole platform on this machine
# make test    set up and run all tests
# make check   set up and look for mistakes without running: lint, format, types
# make bench   set up and run the benchmarks
# make campaigns  set up and run the long proofs of exactness, of which the tests are slices (half an hour)
# make lock    write requirements.lock anew from pyproject.toml
# make clean   remove what the others made, except the platform's state (var/)

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
COMPILED := $(VENV)/.compiled
UV := $(shell command -v uv 2>/dev/null)

# The first Python of 3.11 to 3.13; `make PYTHON=/path/to/python` takes another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)

.PHONY: run test check bench campaigns lock clean
.DELETE_ON_ERROR:

run: $(COMPILED)
	@exec $(BIN)/tracker up

test: $(COMPILED)
	$(BIN)/python -m pytest -n 2 -q

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(COMPILED)
	$(BIN)/python -m bench

# Each prints its seed, with which it can be repeated alone.
campaigns: $(COMPILED)
	$(BIN)/python -m tests.campaigns.sessions
	$(BIN)/python -m tests.campaigns.refresh_theft
	$(BIN)/python -m tests.campaigns.silent_login
	$(BIN)/python -m tests.campaigns.http_fuzz
	$(BIN)/python -m tests.campaigns.udp_fuzz 1000000
	$(BIN)/python -m tests.campaigns.contention
	$(BIN)/python -m tests.campaigns.kills
	$(BIN)/python -m tests.campaigns.outage
	$(BIN)/python -m tests.campaigns.disk_full
	$(BIN)/python -m tests.campaigns.io_errors
	$(BIN)/python -m tests.campaigns.rights_unknown
	$(BIN)/python -m tests.campaigns.followers
	$(BIN)/python -m tests.campaigns.rebuilds
	$(BIN)/python -m tests.campaigns.tampering
	$(BIN)/python -m tests.campaigns.restore_drill
	$(BIN)/python -m tests.campaigns.real_clients
	$(BIN)/python -m tests.campaigns.pictures
	$(BIN)/python -m tests.campaigns.markup

lock: $(STAMP)
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		--no-header --strip-extras --allow-unsafe --extra analysts --extra dev -o requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed again only when the lock or the project file changed. A Debian without python3-venv has no ensurepip:
# then the system's pip fills the environment.
$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed" >&2; exit 1; }
ifneq ($(UV),)
	test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps -e .
else
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m venv --without-pip $(VENV)
	test -x $(BIN)/pip || $(PYTHON) -m pip --python $(BIN)/python install --quiet pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
endif
	@touch $@

# The announce edge is compiled where there is a C compiler, and runs as plain Python, slower, where there is none.
$(COMPILED): $(STAMP) $(wildcard tracker_edge/*.py tracker_edge/*/*.py)
	@$(BIN)/python -m tracker_edge.compiled
	@touch $@
