"""What a loader yields: graph elements of consecutive source rows, with the rows it had to reject."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

Properties: TypeAlias = Mapping[str, Any]
NodeRef: TypeAlias = tuple[str, str]  # (label, value of the label's key), e.g. ("Concept", "C0032285")
EdgeRef: TypeAlias = tuple[NodeRef, str, NodeRef]  # (head, relation, tail)


@dataclass(frozen=True, slots=True)
class Reject:
    """A source row that cannot be loaded. `reason` never quotes report text."""

    path: Path
    row: int  # 1-based line of a text file, 1-based record of a Parquet file
    reason: str


@dataclass(slots=True)
class GraphBatch:
    """Elements of consecutive source rows; a node or edge stands once, however many rows name it.

    Each edge comes with both its nodes. With `enrich`, the nodes only complete nodes that are in the graph already
    (an image mapping lists more images than the graph has) and there are no edges.
    """

    read: int = 0  # source rows consumed, rejected ones included
    nodes: dict[NodeRef, Properties] = field(default_factory=dict)
    edges: dict[EdgeRef, Properties] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    enrich: bool = False
    stated_edges: int | None = None  # edges that the rows give, where a row is not one edge
    left_out: dict[str, int] = field(default_factory=dict)  # what is neither rejected nor loaded, counted by reason
    remarks: dict[str, int] = field(default_factory=dict)  # what is loaded, but perhaps not as it was meant, counted

    @property
    def asserted(self) -> int:
        """How many edges (with `enrich`: nodes) the rows assert, repeated ones included."""
        return self.read - len(self.rejects) if self.stated_edges is None else self.stated_edges


class Source(Protocol):
    """A loader bound to its files. `batches` is pure: the same files give the same batches."""

    @property
    def kind(self) -> str:
        """The loader's entry-point name, e.g. ``medmkg``."""
        ...

    @property
    def version(self) -> int:
        """Raised when the same files would give another graph."""
        ...

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything but the files' content that decides the outcome; JSON."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read."""
        ...

    def batches(self, size: int) -> Iterator[GraphBatch]:
        """Yield batches of at most `size` source rows. Raises `InputError` where the whole file is unusable."""
        ...
