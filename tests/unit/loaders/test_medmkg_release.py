"""The authors' release: fetched, checked against its hash, cached; and one plain line where it cannot be had."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kgp_loaders.medmkg_release import RELEASE, Released, fetch
from kgplatform.errors import InputError

CONTENT = b"Head,Relation,Tail,Head_Name,Tail_Name\r\n"


class _Files(http.server.BaseHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012  one server a test

    def do_GET(self) -> None:
        self.requests.append(self.path)
        is_available = self.path.startswith("/abc/")
        self.send_response(200 if is_available else 404)
        self.end_headers()
        if is_available:
            self.wfile.write(CONTENT)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def host() -> Iterator[str]:
    """A loopback server that has every file of the commit abc."""
    _Files.requests = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _released_files(commit: str = "abc", content: bytes = CONTENT) -> dict[str, Released]:
    return {"MedMKG.csv": Released(commit, hashlib.sha256(content).hexdigest())}


def test_it_is_fetched_once_and_then_cached(host: str, tmp_path: Path) -> None:
    release_folder = fetch(tmp_path, host, _released_files())
    assert (release_folder / "MedMKG.csv").read_bytes() == CONTENT
    fetch(tmp_path, host, _released_files())
    assert _Files.requests == ["/abc/MedMKG.csv"]


def test_another_content_is_refused_and_leaves_nothing(host: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the known release") as raised:
        fetch(tmp_path, host, _released_files(content=b"something else"))
    assert "By hand" in raised.value.hint
    assert list((tmp_path / "medmkg").iterdir()) == []


def test_a_damaged_cache_is_fetched_anew(host: str, tmp_path: Path) -> None:
    release_folder = fetch(tmp_path, host, _released_files())
    (release_folder / "MedMKG.csv").write_bytes(b"damaged")
    assert (fetch(tmp_path, host, _released_files()) / "MedMKG.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("source", ["http://127.0.0.1:9", None])
def test_without_a_network_it_says_how_to_get_it_by_hand(host: str, tmp_path: Path, source: str | None) -> None:
    with pytest.raises(InputError, match="cannot be fetched") as raised:
        fetch(tmp_path, source or host, _released_files(commit="gone"))
    assert "kgp ingest medmkg DIR" in raised.value.hint


@pytest.mark.data
def test_the_known_hashes_are_those_of_the_released_files(data_dir: Path) -> None:
    for file_name, release in RELEASE.items():
        assert hashlib.sha256((data_dir / "medmkg" / file_name).read_bytes()).hexdigest() == release.sha256
