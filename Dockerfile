# The `kgp` command alone; the server is the other service of docker-compose.yml.
# `make pin-images` pins it by digest, for docker compose; by hand: --build-arg PYTHON_IMAGE=python:3.11-slim@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim
FROM ${PYTHON_IMAGE}

WORKDIR /app
COPY pyproject.toml README.md constraints.txt ./
COPY kgplatform kgplatform
COPY loaders loaders
COPY models models
COPY cypher cypher
RUN pip install --no-cache-dir --constraint constraints.txt . && useradd --create-home kgp

USER kgp
WORKDIR /home/kgp
ENTRYPOINT ["kgp"]
CMD ["--help"]
