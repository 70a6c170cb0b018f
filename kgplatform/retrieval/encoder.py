"""What turns images and texts into vectors of one space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Encoder(Protocol):
    """An image encoder and a text encoder whose vectors are compared by their cosine."""

    @property
    def name(self) -> str:
        """What results are marked with: kind and the first digits of the hash."""
        ...

    @property
    def sha256(self) -> str:
        """The hash of all that decides the vectors."""
        ...

    @property
    def width(self) -> int:
        """Of the vectors."""
        ...

    @property
    def sees(self) -> bool:
        """Whether it has an image encoder; one of texts alone has none."""
        ...

    def images(self, paths: Sequence[Path]) -> NDArray[np.float32]:
        """The vectors of radiographs, (n, width), of length 1. Raises `InputError` naming the file that is damaged or
        missing, and `UsageError` where there is no image encoder.
        """
        ...

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of texts, (n, width), of length 1."""
        ...
