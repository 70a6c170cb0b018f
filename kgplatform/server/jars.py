"""Neo4j's jars, each checked against the sha256 that ``jars.sha256`` pins for it.

The pins are file names in Maven's layout, so every jar is fetched by its exact coordinates: no dependency is resolved
on a user's machine, and nothing that is not pinned can get on the class path.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from kgplatform.errors import ServerError
from kgplatform.server import state
from kgplatform.settings import Settings

VERSION: Final = "5.26.30"
COORDINATES: Final = (
    f"org.neo4j:neo4j:{VERSION}",
    f"org.neo4j.app:neo4j-server:{VERSION}",
    "org.neo4j.client:neo4j-browser:5.24.0",
)
PINS: Final = Path(__file__).with_name("jars.sha256")
AT_ONCE = 4  # downloads; 4 took 20 s, one by one 43 s, and 8 were slowed down by the far end to 53 s

Told = Callable[[str], None]


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
        *group, artifact, version, name = self.path.parts
        classifier = name.removeprefix(f"{artifact}-{version}").removesuffix(".jar").removeprefix("-")
        return ".".join(group), artifact, version, classifier


def read_pins(path: Path = PINS) -> list[Pin]:
    """The pins, in class path order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Pin(sha256, PurePosixPath(name)) for sha256, name in (line.split("  ", 1) for line in lines)]


def folder(settings: Settings) -> Path:
    """Where the jars lie; other versions get other folders."""
    return settings.cache / f"neo4j-{VERSION}"


def class_path(settings: Settings, told: Told = lambda _: None, pins: list[Pin] | None = None) -> list[Path]:
    """All jars, present and checked. Hashes are computed when a jar's size or time differs from the last check.

    Raises `ServerError` naming the jar that is wrong, missing or not pinned.
    """
    pins = read_pins() if pins is None else pins
    home = folder(settings)
    home.mkdir(parents=True, exist_ok=True)
    if _missing(home, pins):
        with state.held(home.with_name(f"{home.name}.lock")):  # servers of several homes may share the jars
            _fetch(_copied(_missing(home, pins), home), home, told)
    return check(settings, pins)


def _missing(home: Path, pins: Iterable[Pin]) -> list[Pin]:
    return [pin for pin in pins if not (home / pin.name).is_file()]


def check(settings: Settings, pins: list[Pin] | None = None) -> list[Path]:
    """`class_path` for jars that are there; fetches nothing."""
    pins = read_pins() if pins is None else pins
    home = folder(settings)
    stamp = home / "checked.json"
    if _stamped(stamp) != _fingerprint(home, pins):
        _verify(home, pins)
        _write_stamp(stamp, _fingerprint(home, pins))
    return [home / pin.name for pin in pins]


def sha256(path: Path) -> str:
    """The file's sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(home: Path, pins: list[Pin]) -> None:
    for pin in pins:
        jar = home / pin.name
        if not jar.is_file():
            raise ServerError(f"the jar {pin.name} is missing from {home}", "`kgp db start` fetches it again.")
        if sha256(jar) != pin.sha256:
            raise ServerError(
                f"the jar {jar} is not the one that was pinned (its sha256 differs)",
                "It was damaged or changed. Delete it; `kgp db start` fetches it again.",
            )
    extra = {path.name for path in home.glob("*.jar")} - {pin.name for pin in pins}
    if extra:
        raise ServerError(f"the jar {home / min(extra)} does not belong to Neo4j {VERSION}", "Delete it.")


def _copied(missing: list[Pin], home: Path) -> list[Pin]:
    """Take what the user's own Maven repository holds with the right hash; returns what it does not."""
    repository = Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")
    still = []
    for pin in missing:
        source = repository / pin.path
        if source.is_file() and sha256(source) == pin.sha256:
            _link(source, home / pin.name)
        else:
            still.append(pin)
    return still


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without links
        part = target.with_suffix(".part")
        shutil.copyfile(source, part)
        part.replace(target)


def _fetch(pins: list[Pin], home: Path, told: Told) -> None:
    """Download with jgo beside the final place, so that a jar cut short never lies under its own name."""
    if not pins:
        return
    told(f"fetching Neo4j {VERSION}: {len(pins)} jars, 155 MB in all, once")
    parts = home / "fetching"
    shutil.rmtree(parts, ignore_errors=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(_download, pin, parts) for pin in pins]
        try:
            for done, future in enumerate(as_completed(running), 1):
                path, name = future.result()
                path.replace(home / name)
                if done % 50 == 0 or done == len(pins):
                    told(f"  {done} of {len(pins)} jars")
        finally:
            pool.shutdown(cancel_futures=True)
    shutil.rmtree(parts, ignore_errors=True)


def _download(pin: Pin, repository: Path) -> tuple[Path, str]:
    from jgo.maven import MavenContext

    group, artifact, version, classifier = pin.coordinates
    context = MavenContext(repo_cache=repository, local_repos=[], timeout=30)
    try:
        path = context.project(group, artifact).at_version(version).artifact(classifier).resolve()
    except (RuntimeError, OSError) as error:  # jgo's "not found", and everything that a network can do
        raise ServerError(
            f"cannot fetch the jar {pin.name}: {type(error).__name__}",
            "Neo4j's jars come from the network once. Check the connection and proxy and run it again; "
            f"or copy the jars of Neo4j {VERSION} into {repository.parent}.",
        ) from error
    return Path(path), pin.name


def _fingerprint(home: Path, pins: Iterable[Pin]) -> dict[str, object]:
    """What must be unchanged for the last check to hold: the pins, and every jar's size and time."""
    pinned = hashlib.sha256("".join(f"{pin.sha256} {pin.name}\n" for pin in pins).encode()).hexdigest()
    stats = {path.name: path.stat() for path in sorted(home.glob("*.jar"))}
    return {"pins": pinned, "jars": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}}


def _stamped(stamp: Path) -> object:
    with contextlib.suppress(OSError, ValueError):
        return json.loads(stamp.read_text(encoding="utf-8"))
    return None


def _write_stamp(stamp: Path, fingerprint: dict[str, object]) -> None:
    part = stamp.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(fingerprint), encoding="utf-8")
    part.replace(stamp)
