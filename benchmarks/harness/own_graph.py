"""A Neo4j of a benchmark's own, and synthetic studies for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kgplatform
from kgp_loaders.phantom import study_set
from kgplatform import server
from kgplatform.cli.output import note
from kgplatform.library import KnowledgeGraph
from kgplatform.settings import Settings


@contextmanager
def own_graph(home: Path) -> Iterator[KnowledgeGraph]:
    """The graph of a Neo4j that lives in `home` and runs as long as this context; its jars are the user's."""
    own_settings = Settings(home=home)
    own_settings.home.mkdir(parents=True, exist_ok=True)
    shared_cache = Settings.from_env().cache
    shared_cache.mkdir(parents=True, exist_ok=True)
    if not (own_settings.home / "cache").exists():
        (own_settings.home / "cache").symlink_to(shared_cache)
    try:
        with kgplatform.start(own_settings) as graph:
            yield graph
    finally:
        server.stop(own_settings)


def prepare_studies(folder: Path, count: int, seed: int) -> Path:
    """Synthetic studies, drawn unless they exist."""
    readme_path = folder / "README.txt"
    if not (readme_path.is_file() and f"Studies {count}, seed {seed}." in readme_path.read_text(encoding="utf-8")):
        note(f"drawing {count:,} studies into {folder}")
        study_set.build_study_set(folder, count, seed, workers=os.cpu_count() or 1)
    return folder
