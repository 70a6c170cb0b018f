"""What turns images and texts into vectors of one space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kgplatform.trained_on import TrainedOn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Reading:
    """How an encoder reads a text: its tokens, how many are read at a time, and the parts that it is read in."""

    tokens: int
    longest: int
    parts: tuple[str, ...]

    @property
    def note(self) -> str:
        """What the user reads; nothing where the text is read as a whole."""
        if len(self.parts) == 1:
            return ""
        return (
            f"the text has {self.tokens:,} tokens, and the model reads {self.longest} at a time: it is read in "
            f'{len(self.parts):,} parts, whose vectors are averaged; the first ends with "… {_end(self.parts[0])}"'
        )


def _end(text_part: str) -> str:
    return " ".join(text_part.split()[-3:])[-40:]


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

    @property
    def trained_on(self) -> TrainedOn:
        """The data sets of its training."""
        ...

    def images(self, paths: Sequence[Path]) -> NDArray[np.float32]:
        """The vectors of radiographs, (n, width), of length 1. Raises `InputError` naming the file that is damaged or
        missing, and `UsageError` where there is no image encoder.
        """
        ...

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of texts, (n, width), of length 1. No word of a text is left out (see `reading`)."""
        ...

    def reading(self, text: str) -> Reading:
        """How a text is read; one that is longer than the encoder reads at a time, in parts."""
        ...
