"""Writes triples to a folder in the form that a library reads, and makes a library's objects of them.

Every folder holds the id maps (`Triples.write`) and ``export.json`` (`Manifest`), and besides:

- ``pykeen``: what `pykeen.triples.TriplesFactory.from_path_binary` reads
- ``pyg``: ``graph.pt``, a dict of tensors for `torch.load` and `HeteroData.from_dict`; `read_pyg` does both
- ``csv``: ``triples.csv`` and ``nodes.csv``; ``parquet``: the same tables as ``edges.parquet`` and ``nodes.parquet``

A folder appears whole or not at all (`kgplatform.staging`).
"""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kgplatform import __version__, staging
from kgplatform.errors import InputError, UsageError
from kgplatform.export.triples import Triples
from kgplatform.extras import missing
from kgplatform.files import read_json, require_file
from kgplatform.spreadsheets import escaped
from kgplatform.suggest import did_you_mean

if TYPE_CHECKING:
    import networkx as nx
    from pykeen.triples import TriplesFactory
    from torch_geometric.data import HeteroData

MANIFEST: Final = "export.json"
PYG: Final = "graph.pt"
_EDGE_COLUMNS: Final = ("head", "relation", "tail", "head_type", "tail_type", "head_name", "tail_name")
_NODE_COLUMNS: Final = ("id", "label", "key", "type", "name", "subject")


@dataclass(frozen=True)
class Manifest:
    """What a folder holds: `format`, the selection that was made (`Selection.as_dict`), counts, the hash of the triples
    (`Triples.sha256`), the platform's version, and the names of the files.
    """

    format: str
    selection: Mapping[str, Any]
    entities: int
    relations: int
    triples: int
    sha256: str
    version: str = __version__
    files: list[str] = field(default_factory=list)


def write(
    triples: Triples,
    folder: Path,
    kind: str,
    selection: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write `triples` to `folder` in the format `kind`, in place of an earlier export there.

    Raises `UsageError` for an unknown format and for a folder that holds anything but an export, `SettingsError`
    without the format's library, and `InputError` for names that the library's files cannot hold.
    """
    if kind not in FORMATS:
        raise UsageError(f"there is no format {kind}", did_you_mean(kind, FORMATS, f"Formats: {', '.join(FORMATS)}."))
    triple_counts = (triples.num_entities, triples.num_relations, len(triples))
    manifest = Manifest(kind, selection or {}, *triple_counts, triples.sha256)
    with staging.staged_folder(folder, _written) as partial_folder:
        triples.write(partial_folder)
        FORMATS[kind](triples, partial_folder)
        manifest.files.extend(sorted([MANIFEST, *(file_path.name for file_path in partial_folder.iterdir())]))
        manifest_json = json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n"
        (partial_folder / MANIFEST).write_text(manifest_json, encoding="utf-8")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an export; raises `InputError` when the folder holds none."""
    try:
        manifest = Manifest(**read_json(folder / MANIFEST))
        return replace(manifest, files=[str(file_name) for file_name in manifest.files])
    except (InputError, TypeError):
        raise InputError("is not an export, or is damaged", "Export the graph again.", path=folder) from None


def _written(folder: Path) -> list[str]:
    """The files of an earlier export in a folder; none where there is no export."""
    try:
        return read_manifest(folder).files
    except InputError:
        return []


def to_pykeen(triples: Triples) -> TriplesFactory:
    """The triples as PyKEEN's, with the same ids. Needs the extra ``ml``."""
    with _needs("PyKEEN"):
        import torch
        from pykeen.triples import TriplesFactory
    return TriplesFactory(
        torch.from_numpy(np.ascontiguousarray(triples.ids)),
        entity_to_id={label: index for index, label in enumerate(triples.labels)},
        relation_to_id={relation_name: index for index, relation_name in enumerate(triples.relations)},
    )


def to_pyg(triples: Triples) -> HeteroData:
    """The triples as PyG's. Needs the extra ``ml``.

    Nodes are numbered from 0 within their type: `data["Image"].entity`, shape (number of images,), gives the entity of
    each, in ascending order. Edge types are (head's type, relation, tail's type): `data[...].edge_index`, shape
    (2, number of edges), and `data[...].triple`, the row in `Triples.ids` of each.
    """
    with _needs("PyG"):
        import torch
        from torch_geometric.data import HeteroData
    hetero_data = HeteroData()
    local_ids = np.zeros(triples.num_entities, dtype=np.int64)
    kind_names, entity_kinds = np.unique(triples.kinds, return_inverse=True)
    for kind_number, kind_name in enumerate(kind_names.tolist()):
        entity_ids = np.flatnonzero(entity_kinds == kind_number)
        local_ids[entity_ids] = np.arange(len(entity_ids))
        hetero_data[kind_name].num_nodes = len(entity_ids)
        hetero_data[kind_name].entity = torch.from_numpy(entity_ids)
    head_ids, relation_ids, tail_ids = triples.ids.T
    triple_types = np.stack([entity_kinds[head_ids], relation_ids, entity_kinds[tail_ids]], axis=1)
    edge_types, type_numbers = np.unique(triple_types, axis=0, return_inverse=True)
    type_order = np.argsort(type_numbers.reshape(-1), kind="stable")
    for (head_kind, relation_id, tail_kind), triple_rows in zip(
        edge_types, np.split(type_order, np.cumsum(np.bincount(type_numbers.reshape(-1)))[:-1]), strict=True
    ):
        edge_store = hetero_data[str(kind_names[head_kind]), triples.relations[relation_id], str(kind_names[tail_kind])]
        edge_store.edge_index = torch.from_numpy(local_ids[triples.ids[triple_rows][:, [0, 2]].T].copy())
        edge_store.triple = torch.from_numpy(triple_rows)
    return hetero_data


def to_networkx(triples: Triples) -> nx.MultiDiGraph:
    """The triples as a networkx graph: a node for each entity by its label, with `kind`, `key`, `name` and `subject`;
    an edge for each triple, keyed by its relation. Needs the extra ``ml``.
    """
    with _needs("networkx"):
        import networkx as nx
    graph = nx.MultiDiGraph()
    for label, node in zip(triples.labels, triples.nodes, strict=True):
        graph.add_node(label, kind=node.kind, key=node.key, name=node.name, subject=node.subject)
    graph.add_edges_from((head, tail, relation) for head, relation, tail in triples.named())
    return graph


def read_pyg(folder: Path) -> HeteroData:
    """The graph in a ``pyg`` export, as `to_pyg` made it; raises `InputError` where there is none or it is damaged."""
    with _needs("PyG"):
        import torch
        from torch_geometric.data import HeteroData
    try:
        hetero_data: HeteroData = HeteroData.from_dict(torch.load(require_file(folder / PYG), weights_only=True))
    except Exception as error:  # torch documents none of what it raises for a damaged file
        if isinstance(error, MemoryError):
            raise
        hint = "Export the graph again, in the format pyg."
        raise InputError("is missing or damaged", hint, path=folder / PYG) from None
    return hetero_data


def _write_pykeen(triples: Triples, folder: Path) -> None:
    """PyKEEN's own files, read back: pandas takes a name such as NA or null for a missing value."""
    factory = to_pykeen(triples)
    factory.to_path_binary(folder)
    reread_factory = type(factory).from_path_binary(folder)
    for map_name in ("entity_to_id", "relation_to_id"):
        written_ids, reread_ids = getattr(factory, map_name), getattr(reread_factory, map_name)
        lost_ids = [name_id for name, name_id in written_ids.items() if reread_ids.get(name) != name_id]
        if lost_ids:
            hint = "Use another format: after `Triples.read(DIR)`, `to_pykeen` makes the factory without these files."
            map_name = map_name.removesuffix("_to_id")
            raise InputError(
                f"PyKEEN's files cannot hold the name of {map_name} {lost_ids[0]} (and {len(lost_ids) - 1} more)", hint
            )


def _write_pyg(triples: Triples, folder: Path) -> None:
    hetero_data = to_pyg(triples)
    import torch

    torch.save(hetero_data.to_dict(), folder / PYG)


def _write_csv(triples: Triples, folder: Path) -> None:
    for file_name, column_names, table_rows in (
        ("triples.csv", _EDGE_COLUMNS, _edge_rows(triples)),
        ("nodes.csv", _NODE_COLUMNS, _node_rows(triples)),
    ):
        with (folder / file_name).open("w", encoding="utf-8", newline="") as file:
            csv_writer = csv.writer(file)
            csv_writer.writerow(column_names)
            csv_writer.writerows([escaped(cell_value) for cell_value in table_row] for table_row in table_rows)


def _write_parquet(triples: Triples, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file_name, column_names, table_rows in (
        ("edges.parquet", _EDGE_COLUMNS, _edge_rows(triples)),
        ("nodes.parquet", _NODE_COLUMNS, _node_rows(triples)),
    ):
        column_values = zip(*table_rows, strict=True)
        pq.write_table(pa.table(dict(zip(column_names, map(list, column_values), strict=True))), folder / file_name)


def _edge_rows(triples: Triples) -> Iterator[tuple[str, ...]]:
    """Each edge by the keys, types and names of its ends: what `kgp ingest triples` reads."""
    for head_id, relation_id, tail_id in triples.ids.tolist():
        head, tail = triples.nodes[head_id], triples.nodes[tail_id]
        yield head.key, triples.relations[relation_id], tail.key, head.kind, tail.kind, head.name, tail.name


def _node_rows(triples: Triples) -> Iterator[tuple[int | str, ...]]:
    for entity_id, (label, node) in enumerate(zip(triples.labels, triples.nodes, strict=True)):
        yield entity_id, label, node.key, node.kind, node.name, node.subject


@contextmanager
def _needs(library: str) -> Iterator[None]:
    """Import a library of the extra ``ml``, whose own imports may warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except ImportError:
            raise missing(library, "ml") from None


FORMATS: Final[Mapping[str, Callable[[Triples, Path], None]]] = {
    "pykeen": _write_pykeen,
    "pyg": _write_pyg,
    "csv": _write_csv,
    "parquet": _write_parquet,
}
