"""Where a tower's weights are, as settings and options name it: ``KIND`` or ``KIND:FOLDER``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class TowerSpec(NamedTuple):
    """A kind of tower, and the folder of its weights: None where the kind has none, or it is left out."""

    kind: str
    folder: str | None = None

    @classmethod
    def parse(cls, text: str) -> TowerSpec:
        """The parts of ``KIND`` or ``KIND:FOLDER``."""
        kind, colon, folder = text.partition(":")
        return cls(kind, folder if colon else None)

    def below(self, base: Path) -> TowerSpec:
        """The spec with a relative folder taken from `base`."""
        return self if self.folder is None else self._replace(folder=str(base / self.folder))

    def relative_to(self, folder: Path) -> TowerSpec:
        """The spec with its folder as a path relative to `folder`, so that both may move together."""
        return self if self.folder is None else self._replace(folder=os.path.relpath(self.folder, folder))

    def __str__(self) -> str:
        """``KIND`` or ``KIND:FOLDER``."""
        return self.kind if self.folder is None else f"{self.kind}:{self.folder}"
