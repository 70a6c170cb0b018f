"""Neo4j's jars, each checked against the sha256 that ``jars.sha256`` pins for it.

The pins are file names in Maven's layout, so every jar is fetched by its exact coordinates: no dependency is resolved
on a user's machine, and nothing that is not pinned can get on the class path.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from kgplatform.errors import ServerError
from kgplatform.files import atomic_file
from kgplatform.server import state
from kgplatform.settings import Settings

logger = logging.getLogger(__name__)
VERSION: Final = "5.26.30"
COORDINATES: Final = (
    f"org.neo4j:neo4j:{VERSION}",
    f"org.neo4j.app:neo4j-server:{VERSION}",
    "org.neo4j.client:neo4j-browser:5.24.0",
)
PINS: Final = Path(__file__).with_name("jars.sha256")
AT_ONCE = 4  # downloads; 4 took 20 s, one by one 43 s, and 8 were slowed down by the far end to 53 s


@dataclass(frozen=True)
class Pin:
    """One jar: its sha256 and its path in a Maven repository (``group/…/artifact/version/file``)."""

    sha256: str
    path: PurePosixPath

    @property
    def name(self) -> str:
        """The file name, unique among the pins."""
        return self.path.name

    @property
    def coordinates(self) -> tuple[str, str, str, str]:
        """Group, artifact, version and classifier (often empty)."""
        *group, artifact, version, file_name = self.path.parts
        classifier = file_name.removeprefix(f"{artifact}-{version}").removesuffix(".jar").removeprefix("-")
        return ".".join(group), artifact, version, classifier


def read_pins(path: Path = PINS) -> list[Pin]:
    """The pins, in class path order."""
    pin_lines = path.read_text(encoding="utf-8").splitlines()
    return [
        Pin(sha256, PurePosixPath(jar_path)) for sha256, jar_path in (pin_line.split("  ", 1) for pin_line in pin_lines)
    ]


def neo4j_folder(settings: Settings) -> Path:
    """Where the jars lie; other versions get other folders."""
    return settings.cache / f"neo4j-{VERSION}"


def class_path(settings: Settings, pins: list[Pin] | None = None) -> list[Path]:
    """All jars, present and checked. Hashes are computed when a jar's size or time differs from the last check.

    Raises `ServerError` naming the jar that is wrong, missing or not pinned.
    """
    pins = read_pins() if pins is None else pins
    jar_folder = neo4j_folder(settings)
    jar_folder.mkdir(parents=True, exist_ok=True)
    if _missing(jar_folder, pins):
        with state.hold_lock(
            jar_folder.with_name(f"{jar_folder.name}.lock")
        ):  # servers of several homes may share the jars
            _fetch(_copied(_missing(jar_folder, pins), jar_folder), jar_folder)
    return check_jars(settings, pins)


def _missing(jar_folder: Path, pins: Iterable[Pin]) -> list[Pin]:
    return [pin for pin in pins if not (jar_folder / pin.name).is_file()]


def check_jars(settings: Settings, pins: list[Pin] | None = None) -> list[Path]:
    """`class_path` for jars that are there; fetches nothing."""
    pins = read_pins() if pins is None else pins
    jar_folder = neo4j_folder(settings)
    stamp_path = jar_folder / "checked.json"
    if _stamped(stamp_path) != _fingerprint(jar_folder, pins):
        _verify(jar_folder, pins)
        _write_stamp(stamp_path, _fingerprint(jar_folder, pins))
    return [jar_folder / pin.name for pin in pins]


def file_sha256(path: Path) -> str:
    """The file's sha256 in hex."""
    with path.open("rb") as binary_file:
        return hashlib.file_digest(binary_file, "sha256").hexdigest()


def _verify(jar_folder: Path, pins: list[Pin]) -> None:
    for pin in pins:
        jar_path = jar_folder / pin.name
        if not jar_path.is_file():
            raise ServerError(f"the jar {pin.name} is missing from {jar_folder}", "`kgp db start` fetches it again.")
        if file_sha256(jar_path) != pin.sha256:
            raise ServerError(
                f"the jar {jar_path} is not the one that was pinned (its sha256 differs)",
                "It was damaged or changed. Delete it; `kgp db start` fetches it again.",
            )
    extra_names = {present_jar.name for present_jar in jar_folder.glob("*.jar")} - {pin.name for pin in pins}
    if extra_names:
        raise ServerError(f"the jar {jar_folder / min(extra_names)} does not belong to Neo4j {VERSION}", "Delete it.")


def _copied(missing: list[Pin], jar_folder: Path) -> list[Pin]:
    """Take what the user's own Maven repository holds with the right hash; returns what it does not."""
    repository = Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")
    still_missing = []
    for pin in missing:
        source_path = repository / pin.path
        if source_path.is_file() and file_sha256(source_path) == pin.sha256:
            _link(source_path, jar_folder / pin.name)
        else:
            still_missing.append(pin)
    return still_missing


def _link(source_path: Path, target_path: Path) -> None:
    try:
        target_path.hardlink_to(source_path)
    except OSError:  # another file system, or one without links
        with atomic_file(target_path) as partial_path:
            shutil.copyfile(source_path, partial_path)


def _fetch(pins: list[Pin], jar_folder: Path) -> None:
    """Download with jgo next to the final place, so that a jar cut short never lies under its own name."""
    if not pins:
        return
    logger.info(f"fetching Neo4j {VERSION}: {len(pins)} jars, 155 MB in all, once")
    download_folder = jar_folder / "fetching"
    shutil.rmtree(download_folder, ignore_errors=True)
    with ThreadPoolExecutor(AT_ONCE) as executor:
        downloads = [executor.submit(_download, pin, download_folder) for pin in pins]
        try:
            for finished_count, future in enumerate(as_completed(downloads), 1):
                downloaded_path, jar_name = future.result()
                downloaded_path.replace(jar_folder / jar_name)
                if finished_count % 50 == 0 or finished_count == len(pins):
                    logger.info(f"  {finished_count} of {len(pins)} jars")
        finally:
            executor.shutdown(cancel_futures=True)
    shutil.rmtree(download_folder, ignore_errors=True)


def _download(pin: Pin, repository: Path) -> tuple[Path, str]:
    from jgo.maven import MavenContext

    group, artifact, version, classifier = pin.coordinates
    context = MavenContext(repo_cache=repository, local_repos=[], timeout=30)
    try:
        jar_path = context.project(group, artifact).at_version(version).artifact(classifier).resolve()
    except (RuntimeError, OSError) as error:  # jgo's "not found", and everything that a network can do
        raise ServerError(
            f"cannot fetch the jar {pin.name}: {type(error).__name__}",
            "Neo4j's jars come from the network once. Check the connection and proxy and run it again; "
            f"or copy the jars of Neo4j {VERSION} into {repository.parent}.",
        ) from error
    return Path(jar_path), pin.name


def _fingerprint(jar_folder: Path, pins: Iterable[Pin]) -> dict[str, object]:
    """What must be unchanged for the last check to hold: the pins, and every jar's size and time."""
    pins_sha256 = hashlib.sha256("".join(f"{pin.sha256} {pin.name}\n" for pin in pins).encode()).hexdigest()
    jar_stats = {jar_path.name: jar_path.stat() for jar_path in sorted(jar_folder.glob("*.jar"))}
    return {
        "pins": pins_sha256,
        "jars": {jar_name: [jar_stat.st_size, jar_stat.st_mtime_ns] for jar_name, jar_stat in jar_stats.items()},
    }


def _stamped(stamp_path: Path) -> object:
    with contextlib.suppress(OSError, ValueError):
        return json.loads(stamp_path.read_text(encoding="utf-8"))
    return None


def _write_stamp(stamp_path: Path, fingerprint: dict[str, object]) -> None:
    with atomic_file(stamp_path) as partial_path:
        partial_path.write_text(json.dumps(fingerprint), encoding="utf-8")
