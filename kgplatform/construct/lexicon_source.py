"""Lexicons on disk, by plug-in: which one reads a path is decided by the path itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from kgplatform import plugins
from kgplatform.batches import Reject
from kgplatform.construct.lexicon import Concept

TABLE: Final = "table"  # reads what no other plug-in reads


class LexiconSource(Protocol):
    """A file or folder with names of concepts. Its class is registered in the group ``kgplatform.lexicons``, and takes
    the path. One that also has `files` and `relations`, as UMLS, is a `kgplatform.construct.source.Ontology`.
    """

    @staticmethod
    def reads(path: Path) -> bool:
        """Whether this is what reads that path."""
        ...

    def concepts(self) -> Iterator[Concept | Reject]:
        """The concepts under their names, and the rows that are none. Raises `InputError` for an unusable file."""
        ...


def lexicon_source(path: Path) -> LexiconSource:
    """The lexicon at a path: the first plug-in that reads it, else a table."""
    special_names = (name for name in plugins.registered_names("lexicons") if name != TABLE)
    special_readers = (plugins.load_plugin("lexicons", name, "lexicon") for name in special_names)
    reader = next((reader for reader in special_readers if reader.reads(path)), None)
    source: LexiconSource = (reader or plugins.load_plugin("lexicons", TABLE, "lexicon"))(path)
    return source
