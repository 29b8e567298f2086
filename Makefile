# `make run` starts the server, `make test` runs all checks and tests. Each command does its own set-up.

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check
UV := uv==0.13.9
UV_INSTALL := $(VENV)/bin/uv pip install --quiet --python $(PYTHON)
CLIENTS := tests/system/js/node_modules/.package-lock.json
PAGE := web/node_modules/socket.io-client/package.json
AXE := web/node_modules/axe-core/package.json
WORKERS := --numprocesses=4 --dist=worksteal

.PHONY: run test check suite test-browser test-nginx test-many test-metrics bench pins clean

run: $(VENV)/.run .env $(PAGE)
	@exec $(PYTHON) main.py

# Both halves at once, for most tests wait rather than compute; what the checks say is shown when they are done.
test:
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target check suite

check: $(VENV)/.dev
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	PYTHONPATH=. $(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/mypy

# The tests start hundreds of Pythons, and one that has to compile what it imports needs a second more.
suite: export PYTHONDONTWRITEBYTECODE :=

# The + keeps this output from being held back until the end.
suite: $(VENV)/.dev $(CLIENTS) $(PAGE)
	+COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml $(PYTHON) -m pytest $(WORKERS)
	$(PYTHON) -m coverage combine --quiet
	$(PYTHON) -m coverage report

test-browser: $(VENV)/.browser $(CLIENTS) $(AXE)
	sh tools/need-chromium.sh
	$(VENV)/bin/mypy $(wildcard tests/browser/*.py)
	$(PYTHON) -m pytest tests/browser

# Tests deploy/, then runs every system test through a real nginx.
test-nginx: $(VENV)/.dev $(CLIENTS) $(PAGE)
	sh tools/need-deploy.sh
	$(PYTHON) -m pytest tests/deploy
	CHATIO_TESTS_NGINX=1 $(PYTHON) -m pytest tests/system $(WORKERS)

# The contracts and the chat with two servers on one PostgreSQL, the clients spread over both by nginx.
MANY := chat clients python_clients recovery presence many_servers
test-many: $(VENV)/.dev $(CLIENTS) $(PAGE)
	sh tools/need-deploy.sh
	CHATIO_TESTS_SERVERS=2 $(PYTHON) -m pytest tests/contract/test_postgres.py tests/contract/test_postgres_servers.py \
		tests/deploy/test_many_kills.py $(MANY:%=tests/system/test_%.py) $(WORKERS)

# Checks the metrics and deploy/alerts.yml with Prometheus' own promtool.
test-metrics: $(VENV)/.dev
	sh tools/need-promtool.sh $(CURDIR)/$(VENV)/bin
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PYTHON) -m pytest tests/promtool

bench: $(VENV)/.dev
	sh tools/need-node.sh
	npm ci --prefix benchmarks --silent
	$(PYTHON) -m benchmarks

# Renews requirements.txt from requirements.in: each package by version and hash, for every supported Python and machine.
pins: $(PYTHON)
	@$(PIP) $(UV)
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
		--custom-compile-command "make pins" requirements.in --output-file requirements.txt

clean:
	rm -rf $(VENV) tests/system/js/node_modules benchmarks/node_modules web/node_modules .coverage .coverage.* .*_cache .hypothesis

# --- set-up: a step runs again only after its source has changed

$(PYTHON):
	@sh tools/make-venv.sh $(VENV)

$(VENV)/.run: requirements.txt | $(PYTHON)
	@$(PIP) --require-hashes -r requirements.txt
	@touch $@

# uv does in 9 s what takes pip 43. Where it cannot, for instance behind a mirror that only pip knows, pip does it.
# --no-compile: the tests import a part of these packages only, and Python compiles that.
$(VENV)/.dev: requirements.txt requirements-dev.txt | $(PYTHON)
	@$(PIP) $(UV) && $(UV_INSTALL) --require-hashes -r requirements.txt && $(UV_INSTALL) -r requirements-dev.txt || \
		{ $(PIP) --no-compile --require-hashes -r requirements.txt && $(PIP) --no-compile -r requirements-dev.txt; }
	@touch $(VENV)/.run $@

$(VENV)/.browser: requirements-browser.txt $(VENV)/.dev
	@$(PIP) -r requirements-browser.txt
	@touch $@

$(CLIENTS): tests/system/js/package-lock.json
	sh tools/need-node.sh
	npm ci --prefix tests/system/js --silent
	@touch $@

# The server also runs without the page's client; / then says what is missing.
$(PAGE): web/package-lock.json
	@sh tools/get-client.sh
	@if [ -e $@ ]; then touch $@; fi

$(AXE): web/package-lock.json
	npm ci --prefix web --silent
	@touch $@ $(PAGE)

.env: | $(PYTHON)
	@$(PYTHON) tools/make_env.py .env.example .env
