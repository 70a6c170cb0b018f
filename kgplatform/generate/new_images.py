"""Images that the graph does not have yet, as a source of nodes: what is predicted of them needs their nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from kgplatform.batches import GraphBatch, NodeRef, Properties
from kgplatform.generate.inputs import Input

KIND: Final = "images"
VERSION: Final = 1


class NewImages:
    """Image nodes of pictures, without an edge; a `kgplatform.batches.Source`."""

    kind: Final = KIND
    version: Final = VERSION

    def __init__(self, images: Sequence[Input]) -> None:
        self._images = [image for image in images if image.path is not None]
        self.parameters: Mapping[str, Any] = {}
        self.files: tuple[Path, ...] = tuple(image.path for image in self._images if image.path is not None)

    def batches(self, size: int) -> Iterator[GraphBatch]:
        """The nodes, at most `size` in a batch."""
        for start in range(0, len(self._images), size):
            part = self._images[start : start + size]
            nodes: dict[NodeRef, Properties] = {("Image", image.id): dict(image.properties) for image in part}
            yield GraphBatch(len(part), nodes, stated_edges=0)
