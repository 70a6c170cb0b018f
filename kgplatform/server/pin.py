"""``python -m kgplatform.server.pin``: resolve Neo4j's jars again with jgo and write their pins.

For developers, when `VERSION` in ``jars.py`` changes; read what changed in ``jars.sha256`` before you commit it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kgplatform.server.jars import COORDINATES, PINS, file_sha256


def resolve(coordinates: tuple[str, ...] = COORDINATES) -> dict[str, str]:
    """Path in a Maven repository -> sha256, for the jars and all they depend on at run time."""
    from jgo.maven import MavenContext

    context = MavenContext()
    direct, transitive = context.resolver.resolve([context.create_dependency(name) for name in coordinates])
    artifacts = [dependency.artifact for dependency in (*direct, *transitive) if dependency.type == "jar"]
    pinned_hashes = {}
    for artifact in artifacts:
        name = Path(artifact.component.path_prefix, artifact.filename).as_posix()
        pinned_hashes[name] = file_sha256(artifact.resolve())
    return pinned_hashes


def main() -> None:
    """Write the pins, sorted by path."""
    pinned_hashes = resolve()
    PINS.write_text(
        "".join(f"{sha256}  {jar_path}\n" for jar_path, sha256 in sorted(pinned_hashes.items())), encoding="utf-8"
    )
    sys.stderr.write(f"{len(pinned_hashes)} jars pinned in {PINS}\n")


if __name__ == "__main__":
    main()
