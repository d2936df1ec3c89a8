# Every habit of this project is one command here; people and CI use the same ones.
# `make demo` and `make test` set up everything they need by themselves.
SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := $(VENV)/.demo
READY := $(VENV)/.ready
TOOLS := $(VENV)/.tools
PYTEST_ARGS ?=
ENV_FILE ?= .env.real
REAL_TESTS := tests/client/test_contract.py tests/example/test_signing_in.py tests/example/test_using_it.py
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 2))) # two more than cores: many tests wait

# Workers, and the servers that tests start, share compiled modules even if the environment asks for none.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test coverage test-real test-all test-lowest test-newest bench dist-check release-check dist sbom check screenshots interop drills soak mcp-mix docs catalogs format lock clean fuzz audit env

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(DEMO): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python could not build a virtual environment. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[cli,emulator,pages,redis]' --group example
	@touch $@

$(READY): $(DEMO)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group dev
	@touch $@

$(TOOLS): $(READY) tests/install_tools.py
	@$(BIN)/python -m tests.install_tools
	@touch $@

demo: $(DEMO) ## run the example app on an embedded auth server
	@exec $(BIN)/python -m example_app

env: ## write .env, with secrets of its own, for docker-compose.yml
	@$(PYTHON) compose_env.py

test: $(TOOLS) ## run every test
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

coverage: $(TOOLS) ## run every test, and list what of the package no test runs (branches, too)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist worksteal --timeout 600 $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-real: $(TOOLS) ## run the tests that any auth server must pass against the one of ENV_FILE (.env.real)
	$(BIN)/python -m pytest -r fE --real "$(ENV_FILE)" $(REAL_TESTS) $(PYTEST_ARGS)

test-all: ## run every test on each Python from 3.11 to 3.14 that this machine has
	@for python in $$($(PYTHON) -m tests.interpreters); do echo "== $$python"; \
	  $(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$(basename $$python) || exit 1; done

# what old releases of others warn of when they meet new ones: uvicorn's WebSockets, Starlette's TestClient
OLD_WARNINGS := -W "ignore:websockets.legacy:DeprecationWarning" -W "ignore:websockets.server.WebSocketServerProtocol:DeprecationWarning" -W "ignore:The anyio.abc.BlockingPortal alias:DeprecationWarning"

test-lowest: .venv-lowest/.ready ## run the tests with the lowest version of each dependency that is allowed
	.venv-lowest/bin/python -m pytest -n $(WORKERS) --dist worksteal --ignore tests/docs --ignore tests/browser --ignore tests/example --ignore tests/typing $(OLD_WARNINGS) $(PYTEST_ARGS)

.venv-lowest/.ready: pyproject.toml tests/lowest.py
	rm -rf .venv-lowest && $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(PYTHON) -m tests.lowest > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --constraint .venv-lowest/constraints.txt --editable '.[cli,emulator,mcp,pages,redis]' --group test --group example --group build --group contract
	@touch $@

test-newest: ## run every test with the newest version of each dependency
	rm -rf .venv-newest && $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	.venv-newest/bin/python -m pip install --quiet --editable '.[cli,emulator,mcp,pages,redis]' --group dev
	.venv-newest/bin/python -m tests.install_tools
	.venv-newest/bin/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

bench: .venv-bench/.ready ## measure speed, memory and imports beside the peers, and write docs/benchmarks.* (BENCH_ARGS=--help)
	.venv-bench/bin/python -m tests.benchmarks $(BENCH_ARGS)

.venv-bench/.ready: pyproject.toml tests/benchmarks/install_tools.py
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	.venv-bench/bin/python -m pip install --quiet --editable '.[emulator,redis]' --group bench
	.venv-bench/bin/python tests/benchmarks/install_tools.py
	@touch $@

dist-check: $(READY) ## build sdist and wheel, and try them without the source tree
	$(BIN)/python -m tests.dist_check

.venv-release/.ready: pyproject.toml
	test -x .venv-release/bin/python || $(PYTHON) -m venv .venv-release
	.venv-release/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	.venv-release/bin/python -m pip install --quiet --group release
	@touch $@

release-check: .venv-release/.ready ## say whether this commit can be released; build into dist/ what would be published, and try it
	.venv-release/bin/python -m tests.release_check

dist: .venv-release/.ready ## build sdist and wheel into dist/
	rm -rf dist && .venv-release/bin/python -m build --outdir dist

sbom: .venv-release/.ready ## list the dependencies of the wheel in dist/, as a CycloneDX bill of materials, in sbom/
	@test -e dist || $(MAKE) dist
	rm -rf .venv-sbom sbom && mkdir sbom && $(PYTHON) -m venv .venv-sbom
	.venv-sbom/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt dist/*.whl
	.venv-sbom/bin/python -m pip uninstall --quiet --yes pip setuptools
	.venv-release/bin/cyclonedx-py environment --output-file sbom/fastapi-stackauth.cdx.json .venv-sbom/bin/python

fuzz: $(READY) ## run the property tests with a thousand new examples each (ten minutes)
	$(BIN)/python -m pytest -m hypothesis -n auto --dist worksteal --hypothesis-profile=long --timeout=3600 $(PYTEST_ARGS)

check: $(READY) ## lint, formatting, types (ours, and as users see them), import ranks, words, workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.typing.check
	$(BIN)/python -m pytest -q tests/test_ranks.py
	$(BIN)/python -m tests.words
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(BIN)/zizmor --offline --quiet --config .github/zizmor.yml .github/workflows

screenshots: $(TOOLS) ## take pictures of the example's pages, for the docs
	$(BIN)/python -m tests.example.screenshots

catalogs: $(TOOLS) ## find the texts of the prebuilt pages, and compile their translations
	$(BIN)/python -m tests.pages.catalogs

audit: $(READY) ## look the pinned dependencies up in published advisories
	@$(BIN)/python -m tests.audit

interop: $(READY) ## run the vendor's JavaScript SDK, and clients made of our schema (needs Node)
	$(BIN)/python tests/interop/run.py

drills: $(READY) ## let the auth server fail in every way while people use an app of two workers (some minutes)
	$(BIN)/python -m pytest -q -s -o timeout_method=signal tests/drills/faults.py

mcp-mix: $(READY) ## 10,000 calls of MCP tools by 20 users at once; each gets its own answer
	$(BIN)/python -m tests.mcp.mixing 10000

soak: $(READY) ## mixed load for SOAK_SECONDS (600) on two workers; memory, sockets and tasks stay flat
	$(BIN)/python -m pytest -q -s -o timeout_method=signal tests/drills/soak.py

docs: $(READY) ## build the documentation site into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict # the variable silences an advertisement

format: $(READY) ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY) ## write constraints.txt from what is installed
	$(BIN)/python -m pip freeze --exclude-editable --exclude pip > constraints.txt

clean: ## remove what the other commands made
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build sbom site
