"""A command whose files hold nothing usable is an error, and writes nothing; a repeated load is none."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.mimic_cxr import NO_IMAGE
from kgplatform import queries
from kgplatform.cli import predict
from kgplatform.construct.source import NO_CONCEPT, NO_SECTIONS, NO_TEXT, NOT_ENGLISH
from kgplatform.datasets import splits
from kgplatform.errors import KgpError
from kgplatform.export.read import Selection, read_triples
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.settings import Settings
from tests.conftest import Kgp
from tests.integration.sources import MEDMKG_HEADER, small_rows, write_medmkg

pytestmark = pytest.mark.server

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
    "notes/readme.txt": "no picture",
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
        (
            ["construct", "run", "reports", "no-text.csv", "--dry-run"],
            "none of 2 reports has findings or an impression",
        ),
        (["ingest", "triples", "triples.csv", "--dry-run"], "it has no rows"),
        (["ingest", "radgraph", "graphs.json", "--no-link"], "it has no rows"),
        (["construct", "run", "reports", "no-text.csv"], "none of 2 reports has findings or an impression"),
        (["construct", "run", "reports", "no-rows.csv"], "it has no rows"),
        (["construct", "run", "reports", "views.csv", "--views", "AP"], "1 row of other views than AP"),
        (["construct", "run", "reports", "no-column.csv"], "no column is recognised as text"),
        (["construct", "run", "reports", "reports.csv", "--lexicon", "lexicon.csv"], "1 row left out"),
        (
            ["construct", "run", "reports", "reports.csv", "--lexicon", "empty-lexicon.csv"],
            "no row has a CUI and a name",
        ),
        (["construct", "select", "reports", "no-text.csv", "--out", "kept.csv"], "no report has findings or an"),
        (["construct", "select", "reports", "no-rows.csv", "--out", "kept.csv"], "no report has findings or an"),
        (["generate", "--images", "notes"], "there is no image here"),
        (["generate", "--images", "reports.csv", "--views", "AP"], "there is no image here"),
    ],
)
def test_nothing_usable_is_an_error_that_says_what_was_read(
    graph: Graph, kgp: Kgp, tmp_path: Path, arguments: list[str], why: str
) -> None:
    for file_name, content in FILES.items():
        (tmp_path / file_name).parent.mkdir(exist_ok=True)
        (tmp_path / file_name).write_text(content, encoding="utf-8")
    completed = kgp(*arguments, cwd=tmp_path)
    assert completed.code == 1, completed.out
    assert why in completed.err
    assert "Traceback" not in completed.err
    assert not (tmp_path / "kept.csv").exists()
    assert graph.read(queries.get("runs/list")) == []
    assert not list(tmp_path.glob("*.partial"))


def test_a_repeated_load_is_no_error_and_a_mapping_of_other_images_is(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    graph_folder = write_medmkg(tmp_path / "graph", small_rows(3, 5), ["I10000000,a.png"])
    for _ in range(2):
        assert kgp("ingest", "medmkg", graph_folder).code == 0
    other_folder = write_medmkg(tmp_path / "other", [], ["I77777777,a.png"])
    refused_load = kgp("ingest", "medmkg", other_folder)
    assert refused_load.code == 1
    assert "a mapping alone" in refused_load.err
    added_folder = write_medmkg(tmp_path / "added", [], ["I10000001,b.png"])
    for _ in range(2):
        assert kgp("ingest", "medmkg", added_folder).code == 0


@pytest.mark.long  # the libraries of models take their time
def test_a_relation_that_joins_all_there_is_leaves_nothing_to_predict(
    graph: Graph, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from kgp_models.link_prediction.settings import TrainingSettings
    from kgp_models.link_prediction.train import train_link_model

    medmkg_rows = [f"I{image},POSITIVE,C990000{concept},a,b" for image in range(5) for concept in range(4)]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "graph", medmkg_rows)))
    triple_split = splits.make("paper", read_triples(graph, Selection()), 0)
    quick_settings = {"model": "distmult", "arguments": {"embedding_dim": 8}, "epochs": 1}
    train_link_model(TrainingSettings.from_document(quick_settings), triple_split, folder=tmp_path / "model")
    monkeypatch.setenv("KGP_HOME", str(settings.home))
    with pytest.raises(KgpError, match="there is nothing to predict: the graph has every link") as refused:
        predict.predict_links_command(tmp_path / "model", "POSITIVE", head=None, tail=None, write=True)
    assert refused.value.exit_code == 1
    assert [run_record["kind"] for run_record in graph.read(queries.get("runs/list"))] == ["medmkg"]


def test_the_account_of_a_construction_adds_up(graph: Graph, kgp: Kgp, synthetic_studies_folder: Path) -> None:
    metadata = (synthetic_studies_folder / "mimic-cxr-2.0.0-metadata.csv").read_text(encoding="utf-8")
    image_rows = list(csv.DictReader(metadata.splitlines()))
    account = kgp("construct", "run", synthetic_studies_folder, "--json").json
    left_out = Counter(account["left_out"])
    studies_left_out = sum(left_out[reason] for reason in (NO_TEXT, NO_SECTIONS, NOT_ENGLISH, NO_CONCEPT))
    images_left_out = sum(left_out.values()) - studies_left_out - left_out[NO_IMAGE]
    assert account["images"] + studies_left_out + images_left_out == len(image_rows)
    studies = {image["study_id"] for image in image_rows}
    assert account["images"] + studies_left_out + left_out[NO_IMAGE] == len(studies)
    assert account["images"] == graph.read(queries.get("stats/overview"))[0]["images"]
    assert all(reason for reason in account["left_out"])
    text_run = kgp("construct", "run", synthetic_studies_folder)
    assert text_run.code == 0
    assert f"{account['images']:,} images have a concept" in text_run.out
    assert "not loaded: " in text_run.out
