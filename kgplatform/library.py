"""The platform as a Python library: a graph with methods that do what the commands do.

    import kgplatform as kgp

    with kgp.open() as graph:
        graph.ingest("medmkg", path)
        graph.naf.score()
        frame = graph.query("MATCH (c:Concept) RETURN c.name AS name LIMIT 5")

Errors are those of `kgplatform.errors`: each has a message, and a hint that says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgplatform import connect, plugins
from kgplatform.graph import Graph
from kgplatform.settings import Settings

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd
    from pykeen.triples import TriplesFactory
    from torch_geometric.data import HeteroData

    from kgplatform.construct.comparison import Comparison
    from kgplatform.construct.run import Constructed
    from kgplatform.construct.settings import ConstructionSettings
    from kgplatform.datasets.splits import Split
    from kgplatform.export.formats import Manifest
    from kgplatform.export.read import Selection
    from kgplatform.export.triples import Triples
    from kgplatform.ingest import LoadReport
    from kgplatform.naf import Filtered, Method, NafScores
    from kgplatform.runs import Undone
    from kgplatform.search.encoder import Encoder
    from kgplatform.search.search import SearchResult


class KnowledgeGraph(Graph):
    """An open graph with what the commands do as methods. Make it by `open`, and close it, or use it as a context
    manager. It is also the `kgplatform.graph.Graph` that the platform's modules take.
    """

    @property
    def naf(self) -> Naf:
        """Scores of Neighbor-aware Filtering."""
        return Naf(self)

    def ingest(
        self,
        kind: str,
        path: str | Path | None = None,
        *,
        on_error: str = "stop",
        rejects: Path | None = None,
        dry_run: bool = False,
        **options: Any,
    ) -> LoadReport:
        """Load a file or folder by the loader of that name: ``medmkg``, ``triples``, ``radgraph``, or a plug-in's.
        Without a path ``medmkg`` loads the authors' release, from ``KGP_DATA_DIR`` or fetched.

        With ``on_error="stop"`` a bad row stops the load before anything is written; with ``"skip"`` bad rows go to the
        file `rejects`. `options` are the loader's own, such as ``columns`` of ``triples``. Returns the account of the
        load. Raises `UsageError` for an unknown loader and `InputError` for bad input.

        >>> report = graph.ingest("triples", "docs/examples/drugs.csv", on_error="skip", rejects=folder / "rejects.tsv")
        >>> report.rows.read, report.rows.written, report.rows.rejected
        (4, 3, 1)
        """
        from kgplatform.ingest import ingest

        paths = () if path is None else (Path(path),)
        source = plugins.load_plugin("loaders", kind, "loader")(*paths, **options)
        return ingest(self, source, on_error=on_error, rejects=rejects, dry_run=dry_run)

    def query(
        self, name_or_cypher: str, *, limit: int | None = None, seconds: float = 30.0, **parameters: Any
    ) -> pd.DataFrame:
        """The rows of a named query (``explore/figure3``) or of Cypher, which is checked to only read.

        `limit` is the greatest number of rows (all without it), `seconds` the time that the statement may take;
        `parameters` are the statement's. Raises `QueryRefused` for what does not only read, and `DatabaseError`.

        >>> graph.query("MATCH (n:Drug) RETURN n.id AS id ORDER BY id LIMIT $count", count=1)
                     id
        0  Drug:aspirin
        """
        import pandas as pd

        from kgplatform.named_queries import resolve_statement
        from kgplatform.readonly import open_query

        statement, bound_parameters = resolve_statement(self, name_or_cypher, parameters)
        with open_query(self, statement, bound_parameters, seconds=seconds, limit=limit) as answer:
            return pd.DataFrame(list(answer), columns=list(answer.columns))

    def construct(
        self,
        reports: str | None,
        path: str | Path,
        *,
        score: bool = True,
        dry_run: bool = False,
        **settings: Any,
    ) -> Constructed:
        """Find concepts and their stances in reports, and write them with the evidence for each.

        `reports` names their loader (``openi``, ``mimic-cxr``, ``iu-xray``, ``reports``), None where `path` is a folder
        with a ``construct.yaml``; `settings` are fields of `kgplatform.construct.settings.ConstructionSettings`, e.g.
        ``lexicon=(path,)``. With `score`, the graph's images are scored by NaF at the end. Raises `UsageError` and
        `InputError`.

        >>> graph.construct("reports", "docs/examples/reports.csv").images
        2
        """
        from kgplatform.construct.run import construct_graph

        return construct_graph(self, _construction_settings(reports, path, settings), score=score, dry_run=dry_run)

    def embed(self, encoder: Encoder, images: str | Path | None = None, **options: Any) -> Any:
        """Give images and concepts vectors of an encoder (`kgplatform.open_encoder`); see
        `kgplatform.search.embed.embed`.
        """
        from kgplatform.search.embed import embed

        return embed(self, encoder, images=None if images is None else Path(images), **options)

    def search(self, text: str = "", encoder: Encoder | None = None, **conditions: Any) -> SearchResult:
        """Images by a text, by concepts, or by both, also with attributes of the findings, as ``side="left"``; see
        `kgplatform.search.search.Searcher.search`.

        >>> graph.search(concepts=["C0032227"]).hits[0].concepts
        ('Pleural effusion',)
        >>> graph.search(concepts=["C0032227"], side="left", severity="small").hits[0].edges[0].attributes
        {'severity': 'small', 'side': 'left'}
        """
        from kgplatform.search.search import Searcher

        make_encoder = None if encoder is None else lambda: encoder
        return Searcher(self, make_encoder).search(text, **conditions)

    def triples(self, selection: Selection | None = None) -> Triples:
        """The selected edges with ids for entities and relations; all of images, concepts, entities and things without
        a `kgplatform.export.read.Selection`. Raises `NotFoundError` where nothing is selected.
        """
        from kgplatform.export.read import Selection, read_triples

        return read_triples(self, selection or Selection())

    def export(self, form: str, out: str | Path, selection: Selection | None = None) -> Manifest:
        """Write the selected edges to a folder as ``pykeen``, ``pyg``, ``csv`` or ``parquet``, in place of an earlier
        export there. Raises `UsageError` for another format, and where the folder holds anything else.

        >>> graph.export("csv", folder / "export").triples == len(graph.triples())
        True
        """
        from kgplatform.export import formats

        return formats.write(self.triples(selection), Path(out), form, selection.as_dict() if selection else {})

    def to_pykeen(self, selection: Selection | None = None) -> TriplesFactory:
        """The selected edges as PyKEEN's triples. Needs the extra ``ml``.

        >>> graph.to_pykeen().num_triples == len(graph.triples())
        True
        """
        from kgplatform.export.formats import to_pykeen

        return to_pykeen(self.triples(selection))

    def to_pyg(self, selection: Selection | None = None) -> HeteroData:
        """The selected edges as PyG's heterogeneous graph; see `kgplatform.export.formats.to_pyg`. Needs the extra
        ``ml``.

        >>> graph.to_pyg()["Thing"].num_nodes
        4
        """
        from kgplatform.export.formats import to_pyg

        return to_pyg(self.triples(selection))

    def to_networkx(self, selection: Selection | None = None) -> nx.MultiDiGraph:
        """The selected edges as a networkx graph: nodes by their key, with ``kind``, ``name`` and ``subject``; edges
        keyed by their relation.

        >>> sorted(graph.to_networkx().successors("Drug:aspirin"))
        ['Gene:PTGS1', 'Gene:PTGS2']
        """
        from kgplatform.export.formats import to_networkx

        return to_networkx(self.triples(selection))

    def stats(self) -> Mapping[str, Any]:
        """The counts of `kgp stats`.

        >>> graph.stats()["edges"] > 0
        True
        """
        from kgplatform import stats

        return stats.overview(self)

    def digest(self) -> str:
        """The digest of the whole graph: the same for the same nodes, edges and properties.

        >>> graph.digest() == graph.digest()
        True
        """
        from kgplatform.digest import digest

        return str(digest(self))

    def runs(self) -> pd.DataFrame:
        """All loads, constructions, generations and predictions, a row each.

        >>> "triples" in set(graph.runs()["kind"])
        True
        """
        import pandas as pd

        from kgplatform import runs

        return pd.DataFrame(runs.list_runs(self))

    def undo(self, run: str) -> Undone:
        """Take out what only this run asserts. Raises `NotFoundError` for an unknown run.

        >>> graph.undo(report.run).edges
        3
        """
        from kgplatform import runs

        return runs.undo(self, run)

    def _repr_html_(self) -> str:
        """Counts, and a drawing of a few edges around the most connected concept, for a notebook."""
        from kgplatform.notebook import graph_html

        return graph_html(self)


class Naf:
    """Neighbor-aware Filtering (MedMKG §3.4) of a graph's images."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def score(self, *, one_stance: bool = False, top: int = 10) -> NafScores:
        """Score all images and rank them; the `top` best come back. With `one_stance`, only the strongest stance of an
        image to a concept counts.

        >>> graph.naf.score(top=1).images
        2
        """
        from kgplatform import naf

        return naf.score(self._graph, one_stance=one_stance, top=top)

    def explain(self, image: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """An image's score and rank, and what each of its edges contributes. Raises `NotFoundError`."""
        from kgplatform import naf

        return naf.explain(self._graph, image)

    def filter(self, method: Method = "algorithm1") -> Filtered:
        """Mark the images that cover all concepts, by ``algorithm1`` (the paper's) or ``greedy``. Raises `KgpError`
        where the scores are missing or out of date.

        >>> graph.naf.filter().kept
        2
        """
        from kgplatform import naf

        return naf.filter_images(self._graph, method)


def open(settings: Settings | None = None) -> KnowledgeGraph:
    """Open the graph of ``NEO4J_URI``, or of the local server that `kgp db start` runs.

    Raises `ConnectionFailed` where no server answers, and `LoginFailed` where it refuses the login.

    >>> import kgplatform
    >>> with kgplatform.open() as other_graph:
    ...     other_graph.digest() == graph.digest()
    True
    """
    return connect.open_as(KnowledgeGraph, settings)


def _construction_settings(reports: str | None, path: str | Path, changed: Mapping[str, Any]) -> ConstructionSettings:
    """The settings of reports of that kind, or those of the folder, with some of them changed."""
    from kgplatform.construct import settings

    base_settings = (
        settings.read_settings(Path(path)) if reports is None else settings.ConstructionSettings(reports, Path(path))
    )
    return replace(base_settings, **changed)


def compare_judges(
    reports: str | None, path: str | Path, models: Sequence[str], *, limit: int = 20, **settings: Any
) -> Comparison:
    """Stances by the rules and by language models (``MODEL`` or ``MODEL@URL``) to the concepts of the same reports.

    `reports`, `path` and `settings` are those of `KnowledgeGraph.construct`; no graph is read or written.
    `kgplatform.construct.comparison_page.write_page` makes a page of the result. Needs the extra ``llm``. Raises
    `UsageError`, also where reports may not be sent to an endpoint, and `InputError`.
    """
    from kgplatform.construct import compare

    return compare.compare_judges(_construction_settings(reports, path, settings), models, limit=limit)


def split(kind: str, export: str | Path, out: str | Path, seed: int = 42) -> Split:
    """Split an export 8:1:1 into training, validation and test, by ``paper``, ``leakage-free`` or ``inductive``, and
    write it to a Parquet file. Raises `UsageError` for another kind, and `InputError` for what is no export.

    >>> import kgplatform
    >>> parts = kgplatform.split("paper", folder / "export", folder / "split.parquet")
    >>> len(parts.train) + len(parts.valid) + len(parts.test) == len(parts.triples)
    True
    """
    from kgplatform.datasets import splits
    from kgplatform.export.triples import Triples

    parts = splits.make(kind, Triples.read(Path(export)), seed)
    parts.write(Path(out))
    return parts


def start(settings: Settings | None = None) -> KnowledgeGraph:
    """Start the local server, which fetches Neo4j the first time, unless it runs, and open its graph."""
    from kgplatform import server

    settings = settings or Settings.from_env()
    server.start(settings)
    return open(settings)
