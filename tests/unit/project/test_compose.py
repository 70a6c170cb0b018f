"""docker-compose.yml: no default password, loopback only, the local server's security settings."""

from __future__ import annotations

import os
import shutil
import subprocess

from kgplatform.server import config
from tests import ROOT

COMPOSE = ROOT / "docker-compose.yml"


def text() -> str:
    return COMPOSE.read_text(encoding="utf-8")


def test_there_is_no_default_password() -> None:
    assert text().count("${NEO4J_PASSWORD:?") == text().count("${NEO4J_PASSWORD") == 2


def test_ports_are_published_on_loopback_alone() -> None:
    published_ports = [
        compose_line.strip()
        for compose_line in text().splitlines()
        if compose_line.strip().startswith('- "') and ":7" in compose_line
    ]
    assert published_ports == ['- "127.0.0.1:7687:7687"', '- "127.0.0.1:7474:7474"']


def test_it_has_the_local_servers_security_settings() -> None:
    for setting_name, setting in config.SECURITY.items():
        if setting_name != "dbms.security.auth_enabled":  # NEO4J_AUTH sets that
            variable = "NEO4J_" + setting_name.replace("_", "__").replace(".", "_")
            assert f"{variable}: " in text()
            assert setting in text()


def test_docker_accepts_it_where_its_client_is_there() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        return  # no client with compose: the tests above are all that can be said
    environment = {**os.environ, "NEO4J_PASSWORD": "not-a-secret"}
    command = [docker, "compose", "--file", str(COMPOSE), "config", "--quiet"]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
    del environment["NEO4J_PASSWORD"]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode != 0
