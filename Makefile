PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: audit demo generate test peers chaos bench bench-check bench-clients lint format lock dist dist-check docs clean

demo: $(VENV)/.ready
	$(BIN)/clickhouse-rerank demo

# TESTS names some of them, or other options of pytest.
test: $(VENV)/.ready
	$(BIN)/pytest $(TESTS)

# All that is written from the code: tables in pages, their outputs, sql/functions, the fault matrix and copies.
generate: $(VENV)/.ready
	for file in project/test_readme project/test_cost project/test_docs project/test_dependencies project/test_demo_picture commands/test_cli \
	    commands/test_bundle commands/test_masking test_structure support/faults; do PYTHONPATH=tests:tests/support $(BIN)/python tests/$$file.py || exit 1; done

# Real rerank servers on loopback, in environments of their own outside the repository; PEERS names some of them.
peers: $(VENV)/.ready
	PYTHONPATH=tests:tests/support $(BIN)/python -m peers $(PEERS)

# 100,000 rows through SQL against a provider that is slow, resets, refuses and truncates; ROWS=N for another number.
chaos: $(VENV)/.ready
	$(BIN)/python bench/chaos.py $(if $(ROWS),--rows $(ROWS))

# Against the limit and against what people use today; writes bench/RESULTS.md. BENCH="--quick" shows that it runs.
bench: $(VENV)/.ready .venv-bench/.ready .venv-bench-local/.ready
	$(BIN)/python -m bench $(BENCH)

# HTTP clients alone: ours and the libraries that it could be. It prints the figures and writes nothing.
bench-clients: $(VENV)/.ready .venv-bench/.ready
	$(BIN)/python -m bench.clients

# Instructions of codec and planning against bench/instructions.json; needs valgrind. BENCH="--update" counts anew.
bench-check: $(VENV)/.ready
	$(BIN)/python -m bench.instructions $(BENCH)

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/actionlint -shellcheck= -pyflakes= .github/workflows/*.yml
	$(BIN)/hadolint docker/Dockerfile
	@compose=$$(docker compose version >/dev/null 2>&1 && echo docker compose || command -v docker-compose) || \
	  { echo "compose files: SKIPPED, for neither docker compose nor docker-compose is installed"; exit 0; }; \
	for file in docker/compose*.yaml; do $$compose --file $$file config --quiet || exit 1; done; \
	echo "compose files: valid"

format: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv-bench/.ready: requirements/bench.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --no-deps -r requirements/bench.txt
	touch $@

# torch alone and first: any CPU build will do.
.venv-bench-local/.ready: requirements/bench-local.txt
	$(PYTHON) -m venv .venv-bench-local
	.venv-bench-local/bin/pip install --quiet torch==2.13.0
	.venv-bench-local/bin/pip install --quiet --no-deps -r requirements/bench-local.txt
	touch $@

# Known vulnerabilities of what is pinned. Not part of CI: it asks a service on the network.
audit: .venv-audit/bin/pip-audit
	.venv-audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/dev.txt || \
	  { echo "audit: vulnerabilities, or a service that does not answer: see above" >&2; exit 1; }

.venv-audit/bin/pip-audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet pip-audit || \
	  { echo "audit: pip-audit cannot be installed here; it is not in the lock file" >&2; rm -rf .venv-audit; exit 1; }

# Pins for every supported Python at once: development with every extra, a server, which needs none, one with models, the
# pages; needs uv.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
lock:
	$(COMPILE) --all-extras --group dev pyproject.toml -o requirements/dev.txt
	$(COMPILE) --constraint requirements/dev.txt pyproject.toml -o requirements/server.txt
	$(COMPILE) --constraint requirements/dev.txt --extra local pyproject.toml -o requirements/local.txt
	$(COMPILE) --group docs -o requirements/docs.txt

dist: $(VENV)/.ready
	rm -rf dist
	$(BIN)/hatchling build -d dist

# The pages as a site, in site/; a link that leads nowhere is an error. To read it: python3 -m http.server --directory site
docs: .venv-docs/.ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build

.venv-docs/.ready: requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --require-hashes -r requirements/docs.txt
	touch $@

# Each archive in an empty environment: the command, one row through the worker, the sentence for an extra that is missing;
# then the demonstration from the wheel. It asks the package registry for the dependencies.
dist-check: dist
	for archive in dist/*.tar.gz dist/*.whl; do \
	  rm -rf .venv-dist && $(PYTHON) -m venv .venv-dist && .venv-dist/bin/pip install --quiet $$archive && \
	  .venv-dist/bin/clickhouse-rerank --version && \
	  printf '1\nb\t%s\t1\tBM25\t\t\t\n' "['a','b']" | \
	    .venv-dist/bin/clickhouse-rerank worker --format TabSeparated | grep --quiet "(1,'b'," && \
	  .venv-dist/bin/clickhouse-rerank demo 2>&1 | grep --fixed-strings "'.[embedded]'" || exit 1; \
	done
	.venv-dist/bin/pip install --quiet "$$(ls dist/*.whl)[embedded]"
	.venv-dist/bin/clickhouse-rerank demo | grep 'answers the question'

clean:
	rm -rf $(VENV) .venv-audit .venv-bench .venv-bench-local .venv-dist .venv-docs dist site build .pytest_cache .mypy_cache .ruff_cache
