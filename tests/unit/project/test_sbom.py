"""The bill of materials: Neo4j's jars as CycloneDX has them, their licences; images that a digest can replace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from kgplatform.server import jars
from tests import ROOT
from tests.scripts import docs_module


@pytest.fixture(scope="module")
def make_sbom() -> ModuleType:
    return docs_module("make_sbom")


def test_every_jar_is_a_component_with_its_hash(make_sbom: ModuleType) -> None:
    pins = jars.read_pins()
    components = [make_sbom.component(pin, "MIT") for pin in pins]
    assert [entry["hashes"][0]["content"] for entry in components] == [pin.sha256 for pin in pins]
    assert len({entry["bom-ref"] for entry in components}) == len(pins)
    server = next(entry for entry in components if entry["name"] == "neo4j-server")
    assert server["purl"] == f"pkg:maven/org.neo4j.app/neo4j-server@{jars.VERSION}"
    assert "licenses" not in make_sbom.component(pins[0], make_sbom.UNKNOWN)


def test_a_licence_is_what_the_jar_states(make_sbom: ModuleType, tmp_path: Path) -> None:
    cases = {
        "manifest": {"META-INF/MANIFEST.MF": "Bundle-License: Apache\r\n -2.0\r\nX: y\r\n"},
        "pom": {"META-INF/maven/g/a/pom.xml": "<licenses><license><name>The\n MIT License</name></license></licenses>"},
        "nothing": {"a.class": ""},
    }
    licences = []
    for case_name, files in cases.items():
        with zipfile.ZipFile(tmp_path / f"{case_name}.jar", "w") as archive:
            for member_path, content in files.items():
                archive.writestr(member_path, content)
        licences.append(make_sbom.jar_licence(tmp_path / f"{case_name}.jar"))
    assert licences == ["Apache-2.0", "The MIT License", make_sbom.UNKNOWN]
    assert make_sbom.jar_licence(tmp_path / "missing.jar") == make_sbom.UNKNOWN


def test_images_are_exact_and_a_digest_can_replace_them(tmp_path: Path) -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert f'image: "${{NEO4J_IMAGE:-neo4j:{jars.VERSION}-community}}"' in compose
    assert "FROM ${PYTHON_IMAGE}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    docker_path = tmp_path / "bin" / "docker"  # a stand-in: no registry is reached by tests
    docker_path.parent.mkdir()
    docker_path.write_text("#!/bin/sh\necho sha256:0123\n", encoding="utf-8")
    docker_path.chmod(0o755)
    environment = {**os.environ, "PATH": f"{docker_path.parent}:{os.environ['PATH']}"}
    command: list[str | Path] = ["make", "--file", ROOT / "Makefile", "--directory", tmp_path, "pin-images"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert (tmp_path / ".env").read_text(encoding="utf-8").splitlines() == [
        f"NEO4J_IMAGE=neo4j:{jars.VERSION}-community@sha256:0123",
        "PYTHON_IMAGE=python:3.11-slim@sha256:0123",
    ]


@pytest.mark.long
def test_make_sbom_writes_both_files(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    subprocess.run([sys.executable, "-m", "venv", tools], check=True)
    install: list[str | Path] = [tools / "bin" / "python", "-m", "pip", "install", "-q"]
    install += ["--constraint", ROOT / "constraints.txt", "cyclonedx-bom", "pip-licenses"]
    subprocess.run(install, check=True)
    make: list[str | Path] = [
        sys.executable,
        ROOT / "docs" / "make_sbom.py",
        sys.executable,
        tools / "bin",
        tmp_path / "out",
    ]
    subprocess.run(make, check=True, cwd=ROOT)
    document = json.loads((tmp_path / "out" / "sbom.cdx.json").read_text(encoding="utf-8"))
    names = {component["name"] for component in document["components"]}
    assert document["bomFormat"] == "CycloneDX"
    assert {"neo4j", "neo4j-server", "typer"} <= names
    assert "cyclonedx-bom" not in names
    assert "| typer" in (tmp_path / "out" / "licences.md").read_text(encoding="utf-8")
