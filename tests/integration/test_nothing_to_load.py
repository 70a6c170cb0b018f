"""A load whose files hold nothing usable is an error, and writes nothing; a repeated load is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgplatform import queries
from kgplatform.graph import Graph
from tests.conftest import Kgp
from tests.integration.sources import MEDMKG_HEADER, small_rows, write_medmkg

FILES = {
    "header.csv": f"{MEDMKG_HEADER}\n",
    "bad.csv": f"{MEDMKG_HEADER}\nI1,POSITIVE,nonsense,a,b\nx,POSITIVE,C0000001,a,b\n",
    "triples.csv": "head,relation,tail\n",
    "empty-ends.csv": "head,relation,tail\n,isa,b\n",
    "graphs.json": "{}",
    "no-text.csv": "id,text\n1,\n2,\n",
    "no-rows.csv": "id,text\n",
    "views.csv": "id,text,view\n1,FINDINGS: Pleural effusion.,LATERAL\n",
    "no-column.csv": "id,body\n1,FINDINGS: Pleural effusion.\n",
    "reports.csv": "id,findings\n1,Pleural effusion.\n",
    "lexicon.csv": "cui,name\nX1,effusion\n",
    "empty-lexicon.csv": "cui,name\n",
}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["ingest", "medmkg", "header.csv"], "it has no rows"),
        (
            ["ingest", "medmkg", "bad.csv", "--on-error", "skip"],
            "2 rows read; 2 rejected, the first of them bad.csv, row 2",
        ),
        (["ingest", "triples", "triples.csv"], "it has no rows"),
        (["ingest", "triples", "empty-ends.csv", "--on-error", "skip"], "1 rejected"),
        (["construct", "run", "reports", "no-text.csv", "--dry-run"], "2 reports without findings and impression"),
        (["ingest", "triples", "triples.csv", "--dry-run"], "it has no rows"),
        (["ingest", "radgraph", "graphs.json", "--no-link"], "it has no rows"),
        (["construct", "run", "reports", "no-text.csv"], "2 reports without findings and impression"),
        (["construct", "run", "reports", "no-rows.csv"], "it has no rows"),
        (["construct", "run", "reports", "views.csv", "--views", "AP"], "1 rows of other views than AP"),
        (["construct", "run", "reports", "no-column.csv"], "no column is recognised as text"),
        (["construct", "run", "reports", "reports.csv", "--lexicon", "lexicon.csv"], "1 rows left out"),
        (
            ["construct", "run", "reports", "reports.csv", "--lexicon", "empty-lexicon.csv"],
            "no row has a CUI and a name",
        ),
    ],
)
def test_nothing_usable_is_an_error_that_says_what_was_read(
    graph: Graph, kgp: Kgp, tmp_path: Path, arguments: list[str], why: str
) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    done = kgp(*arguments, cwd=tmp_path)
    assert done.code == 1, done.out
    assert why in done.err
    assert "Traceback" not in done.err
    assert graph.read(queries.get("runs/list")) == []
    assert not list(tmp_path.glob("*.partial"))


def test_a_repeated_load_is_no_error_and_a_mapping_of_other_images_is(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    folder = write_medmkg(tmp_path / "graph", small_rows(3, 5), ["I10000000,a.png"])
    for _ in range(2):
        assert kgp("ingest", "medmkg", folder).code == 0
    other = write_medmkg(tmp_path / "other", [], ["I77777777,a.png"])
    refused = kgp("ingest", "medmkg", other)
    assert refused.code == 1
    assert "a mapping alone" in refused.err
    added = write_medmkg(tmp_path / "added", [], ["I10000001,b.png"])
    for _ in range(2):
        assert kgp("ingest", "medmkg", added).code == 0


def test_the_account_of_a_construction_adds_up(graph: Graph, kgp: Kgp, invented: Path) -> None:
    images = len((invented / "mimic-cxr-2.0.0-metadata.csv").read_text(encoding="utf-8").splitlines()) - 1
    done = kgp("construct", "run", invented, "--json").json
    assert done["images"] + sum(done["left_out"].values()) == images
    assert done["images"] == graph.read(queries.get("stats/overview"))[0]["images"]
    assert all(reason for reason in done["left_out"])
    words = kgp("construct", "run", invented)
    assert words.code == 0
    assert f"{done['images']:,} images have a concept" in words.out
    assert "not loaded: " in words.out
