"""Graphs constructed from a few reports, with attributes of findings on their edges."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from kgplatform import queries
from kgplatform.construct.run import construct_graph
from kgplatform.construct.settings import ConstructionSettings
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from kgplatform.search import index
from kgplatform.search.index import EncoderIdentity, Part
from tests.fake_encoder import FakeEncoder

STUDIES = parse_query("t/s", "// Studies.\nMATCH (i:Image) RETURN i.id AS id, i.study_id AS study")


def construct_reports(graph: Graph, folder: Path, reports: Mapping[str, str], name: str = "ward") -> dict[str, str]:
    """Construct the graph of reports (findings by study; the subject is what is before the hyphen); returns the images'
    ids by study.
    """
    table_path = folder / f"{name}.csv"
    with table_path.open("w", newline="", encoding="utf-8") as table_file:
        writer = csv.writer(table_file)
        writer.writerow(["id", "subject_id", "findings"])
        writer.writerows([study, study.split("-")[0], findings] for study, findings in reports.items())
    construct_graph(graph, ConstructionSettings("reports", table_path))
    graph.run_unmanaged(queries.get("ingest/await_indexes"))
    return {row["study"]: row["id"] for row in graph.read(STUDIES)}


def embed_studies(graph: Graph, images: Mapping[str, str], encoder: FakeEncoder) -> None:
    """Give each image a vector, that of its study's name, and the index."""
    vectors = encoder.texts(list(images))
    rows = [[image, vector.tolist()] for image, vector in zip(images.values(), vectors, strict=True)]
    graph.write(queries.get("embed/write_image"), rows=rows, model=EncoderIdentity.from_encoder(encoder).digits)
    index.ensure(graph, Part.IMAGES, encoder.width)
