"""The local server for real: one server in its own home, used by all tests of this file."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import neo4j
import psutil
import pytest
from neo4j.exceptions import AuthError, ClientError

from kgplatform import server
from kgplatform.errors import ConnectionFailed, ServerError
from kgplatform.server import state
from kgplatform.settings import Settings

pytestmark = pytest.mark.server
CANARY = "canary-4f1d0c9e-never-to-be-seen"


@pytest.fixture(scope="module")
def separate_home_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A separate home, with the jars of the user's and a password that is easy to search for."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    shared_cache = Settings.from_env({"KGP_HOME": os.environ.get("KGP_HOME", "")}).cache
    shared_cache.mkdir(parents=True, exist_ok=True)
    settings.cache.symlink_to(shared_cache)
    state.make_folders(settings.server_home)
    state.write_private(state.password_file(settings.server_home), CANARY + "\n")
    yield settings
    server.stop(settings)


@pytest.fixture
def running_server(separate_home_settings: Settings) -> server.Server:
    return server.start(separate_home_settings)


def driver(settings: Settings) -> neo4j.Driver:
    server_uri, username, password = server.connection(settings)
    return neo4j.GraphDatabase.driver(server_uri, auth=(username, password))


def _kgp_process(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        variable_name: variable
        for variable_name, variable in os.environ.items()
        if not variable_name.startswith("NEO4J_")
    }
    return subprocess.run(
        [sys.executable, "-c", "from kgplatform.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        env={**environment, "KGP_HOME": str(settings.home)},
    )


def test_starting_twice_is_starting_once(separate_home_settings: Settings, running_server: server.Server) -> None:
    assert running_server.running
    assert server.start(separate_home_settings) == running_server == server.status(separate_home_settings)
    completed = _kgp_process(separate_home_settings, "db", "start", "--json")
    assert completed.returncode == 0
    document = json.loads(completed.stdout)
    assert document["uri"] == running_server.uri
    assert document.keys() >= {"uri", "browser", "user", "home"}


def test_the_default_password_is_refused(running_server: server.Server) -> None:
    with (
        neo4j.GraphDatabase.driver(running_server.uri, auth=("neo4j", "neo4j")) as wrong_driver,
        pytest.raises(AuthError),
    ):
        wrong_driver.verify_connectivity()


def test_nobody_else_can_read_what_it_keeps(separate_home_settings: Settings, running_server: server.Server) -> None:
    assert stat.S_IMODE(running_server.home.stat().st_mode) == 0o700
    file_paths = [file_path for file_path in running_server.home.rglob("*") if file_path.is_file()]
    exposed_paths = [file_path for file_path in file_paths if stat.S_IMODE(file_path.stat().st_mode) & 0o077]
    assert file_paths
    assert not exposed_paths


def test_it_listens_on_loopback_only(running_server: server.Server) -> None:
    connections = psutil.Process(running_server.pid).net_connections(kind="inet")
    listening_addresses = {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}
    assert listening_addresses <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert listening_addresses


def test_queries_read_no_file_and_reach_no_address(
    separate_home_settings: Settings, running_server: server.Server
) -> None:
    requests: list[str] = []

    class Canary(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"a,b\n")

        def log_message(self, *arguments: object) -> None:
            pass

    canary_server = HTTPServer(("127.0.0.1", 0), Canary)
    threading.Thread(target=canary_server.serve_forever, daemon=True).start()
    canary_port = canary_server.server_port
    (running_server.home / "import" / "x.csv").write_text("1,2\n")
    csv_urls = [
        f"file://{state.password_file(running_server.home)}",
        "file:///../password",
        "file:///../../../../../../../../etc/passwd",
        "file:///etc/passwd",
        "file:///x.csv",
        f"http://127.0.0.1:{canary_port}/a.csv",
        f"http://localhost:{canary_port}/b.csv",
        f"http://[::1]:{canary_port}/c.csv",
        f"http://0.0.0.0:{canary_port}/d.csv",
        f"http://2130706433:{canary_port}/e.csv",
        f"ftp://127.0.0.1:{canary_port}/f.csv",
        "http://kgp-canary.example/g.csv",
    ]
    with (
        driver(separate_home_settings) as graph_driver,
        graph_driver.session(default_access_mode=neo4j.READ_ACCESS) as session,
    ):
        for csv_url in csv_urls:
            with pytest.raises(ClientError):
                session.run("LOAD CSV FROM $url AS line RETURN line", url=csv_url).consume()
    canary_server.shutdown()
    canary_server.server_close()
    assert requests == []


def test_neo4j_browser_is_served_and_may_reach_nothing_outside(running_server: server.Server) -> None:
    with urllib.request.urlopen(running_server.browser) as response:  # noqa: S310 (our own server)
        content_policy = response.headers["Content-Security-Policy"]
        assert "neo4j" in response.read().decode().lower()
    assert running_server.uri.removeprefix("bolt") in content_policy
    assert "http" not in content_policy


def test_doctor_finds_a_fresh_server_well(separate_home_settings: Settings, running_server: server.Server) -> None:
    completed = _kgp_process(separate_home_settings, "doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(completed.stdout)["findings"]}
    assert [finding_name for finding_name, finding in findings.items() if finding["level"] == "fail"] == []
    assert findings["security"]["level"] == "ok"
    assert findings["default password"]["level"] == "ok"
    assert completed.returncode == 0


def test_another_password_in_the_file_says_how_to_mend(
    separate_home_settings: Settings, running_server: server.Server
) -> None:
    password_path = state.password_file(running_server.home)
    state.write_private(password_path, "another one\n")
    try:
        with pytest.raises(ServerError, match="does not accept the password") as raised:
            server.start(separate_home_settings)
        assert "kgp db reset" in raised.value.hint
    finally:
        state.write_private(password_path, CANARY + "\n")


def test_neo4j_admin_keeps_off_a_running_server(
    separate_home_settings: Settings, running_server: server.Server
) -> None:
    with pytest.raises(ServerError, match="is running"):
        server.admin(separate_home_settings, "database", "info", "neo4j")


def test_a_killed_server_starts_again_with_its_data_and_ports(
    separate_home_settings: Settings, running_server: server.Server
) -> None:
    with driver(separate_home_settings) as graph_driver:
        graph_driver.execute_query("MERGE (:Kept {id: 1})")
    os.kill(running_server.pid or 0, signal.SIGKILL)
    psutil.wait_procs(
        [psutil.Process(running_server.pid)] if psutil.pid_exists(running_server.pid or 0) else [], timeout=10
    )
    assert not server.status(separate_home_settings).running
    with pytest.raises(ConnectionFailed):
        server.connection(separate_home_settings)
    restarted_server = server.start(separate_home_settings)
    assert (restarted_server.uri, restarted_server.browser) == (running_server.uri, running_server.browser)
    with driver(separate_home_settings) as graph_driver:
        assert len(graph_driver.execute_query("MATCH (n:Kept) RETURN n").records) == 1


def test_two_starts_at_once_end_in_one_server(separate_home_settings: Settings, running_server: server.Server) -> None:
    assert not server.stop(separate_home_settings).running
    completed_starts: list[subprocess.CompletedProcess[str]] = []
    threads = [
        threading.Thread(
            target=lambda: completed_starts.append(_kgp_process(separate_home_settings, "db", "start", "--json"))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [completed.returncode for completed in completed_starts] == [0, 0]
    assert len({json.loads(completed.stdout)["pid"] for completed in completed_starts}) == 1
    process_argument = state.home_argument(separate_home_settings.server_home)
    server_processes = [
        system_process
        for system_process in psutil.process_iter(["cmdline"])
        if process_argument in (system_process.info["cmdline"] or [])
    ]
    assert len(server_processes) == 1
    assert os.getsid(server_processes[0].pid) == server_processes[0].pid, "it outlives the terminal"
    assert CANARY not in " ".join(server_processes[0].cmdline())
    assert CANARY not in str(server_processes[0].environ())


def test_neo4j_admin_runs_and_other_ports_are_chosen_when_ours_are_taken(
    separate_home_settings: Settings, running_server: server.Server
) -> None:
    ports_before = state.load_state(running_server.home).ports
    assert not server.stop(separate_home_settings).running
    assert "neo4j" in server.admin(separate_home_settings, "database", "info", "neo4j")
    with pytest.raises(ServerError, match=r"neo4j-admin database nonsense failed: .*nonsense"):
        server.admin(separate_home_settings, "database", "nonsense")
    with socket.create_server(("127.0.0.1", ports_before.bolt)), socket.create_server(("127.0.0.1", ports_before.http)):
        moved_server = server.start(separate_home_settings)
        ports_after = state.load_state(running_server.home).ports
        with driver(separate_home_settings) as graph_driver:
            graph_driver.verify_connectivity()
    assert {ports_after.bolt, ports_after.http}.isdisjoint({ports_before.bolt, ports_before.http})
    assert moved_server.running


def test_the_password_is_told_by_one_command_only(
    separate_home_settings: Settings, running_server: server.Server
) -> None:
    assert _kgp_process(separate_home_settings, "db", "password").stdout == CANARY + "\n"
    other_commands = [
        ("db", "status", "--json"),
        ("db", "browser"),
        ("db", "start", "--json"),
        ("doctor",),
        ("db", "stop"),
    ]
    full_output = "".join(
        completed.stdout + completed.stderr
        for completed in (_kgp_process(separate_home_settings, *command) for command in other_commands)
    )
    assert CANARY not in full_output
    assert _kgp_process(separate_home_settings, "db", "status").returncode == 1, "stopped by the last of them"
    paths_with_password = [
        file_path
        for file_path in Path(running_server.home).rglob("*")
        if file_path.is_file() and CANARY.encode() in file_path.read_bytes()
    ]
    assert paths_with_password == [state.password_file(running_server.home)]


def test_reset_deletes_the_graph_and_makes_a_new_password(separate_home_settings: Settings) -> None:
    assert server.store_exists(separate_home_settings)
    assert _kgp_process(separate_home_settings, "db", "reset").returncode == 1, "asks, and nobody answers"
    assert server.store_exists(separate_home_settings)
    assert _kgp_process(separate_home_settings, "db", "reset", "--yes").returncode == 0
    assert not server.store_exists(separate_home_settings)
    assert not state.password_file(separate_home_settings.server_home).exists()
    assert separate_home_settings.cache.is_dir()
