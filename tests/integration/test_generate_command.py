"""`kgp generate` on a real graph: a data set, a folder, one file, a served model, and wrong input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kgp_loaders.medmkg import MedMKG
from kgplatform.digest import digest
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from tests.conftest import Kgp
from tests.integration.generated_triplets import CANARY, EDEMA, EFFUSION, ENTITIES, TRIPLETS, query_tuples
from tests.integration.sources import write_medmkg

pytestmark = pytest.mark.server

FEW = ("--beams", "1", "--max-new-tokens", "40", "--constrained")


def test_the_command_on_a_data_set_writes_linked_triplets_and_the_next_time_nothing(
    graph: Graph, kgp: Kgp, synthetic_studies_folder: Path, tiny_generator_folder: Path
) -> None:
    arguments = (
        "generate",
        "--images",
        synthetic_studies_folder,
        "--model",
        tiny_generator_folder / "vlm-kg",
        *FEW,
        "--limit",
        "6",
    )
    first_run = kgp(*arguments, "--json")
    assert first_run.code == 0, first_run.err
    assert (first_run.json["done"], first_run.json["problems"]) == (6, [])
    assert {triplet_row[5] for triplet_row in query_tuples(graph, TRIPLETS)} <= {"image and report"}
    first_digest = str(digest(graph))
    second_run = kgp(*arguments)
    assert second_run.code == 0, second_run.err
    assert "6 images: 0 processed, 6 already done, 0 not read" in second_run.out
    assert str(digest(graph)) == first_digest
    assert kgp("runs", "undo", first_run.json["run"]).code == 0
    assert query_tuples(graph, ENTITIES) == []


def test_what_the_graph_learns_meanwhile_asks_no_image_again(
    graph: Graph, kgp: Kgp, synthetic_studies_folder: Path, tiny_generator_folder: Path, tmp_path: Path
) -> None:
    """Neither the concepts that the generator brought itself, nor names of others."""
    lexicon_path = tmp_path / "names.csv"
    lexicon_path.write_text(f"cui,name\n{EFFUSION},Pleural effusion\n{EDEMA},Edema\n", encoding="utf-8")
    arguments = (
        "generate",
        "--images",
        synthetic_studies_folder,
        "--model",
        tiny_generator_folder / "vlm-kg",
        *FEW,
        "--limit",
        "3",
    )
    first_run = kgp(*arguments, "--lexicon", lexicon_path, "--json").json
    medmkg_rows = [f"I{image_number},POSITIVE,{EFFUSION},Image_I{image_number},Effusion" for image_number in (1, 2)]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "m", medmkg_rows, [])))
    second_run = kgp(*arguments, "--lexicon", lexicon_path, "--json").json
    assert (second_run["run"], second_run["skipped"], second_run["done"]) == (first_run["run"], 3, 0)
    other_run = kgp(*arguments, "--json").json
    assert (other_run["run"] != first_run["run"], other_run["done"]) == (True, 3), "another lexicon is another run"


def test_the_command_on_a_folder_of_pictures_finds_the_graphs_images(
    graph: Graph, kgp: Kgp, synthetic_studies_folder: Path, tiny_generator_folder: Path, tmp_path: Path
) -> None:
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "m", [f"I5,POSITIVE,{EFFUSION},x,Effusion"], ["I5,p/five.png"])))
    first_image, second_image = sorted(synthetic_studies_folder.rglob("*.png"))[:2]
    (tmp_path / "p").mkdir()
    shutil.copy(first_image, tmp_path / "p" / "five.png")
    shutil.copy(second_image, tmp_path / "p" / "new.png")
    (tmp_path / "p" / "bad.png").write_bytes(b"\x89PNG bad")
    reports_path = tmp_path / "r.csv"
    reports_path.write_text(f"id,findings\nfive.png,Effusion. {CANARY}.\n", encoding="utf-8")
    replies_path = tmp_path / "o.jsonl"
    completed = kgp(
        "generate",
        "--images",
        tmp_path / "p",
        "--reports",
        reports_path,
        "--model",
        tiny_generator_folder / "vlm-kg",
        *FEW,
        "--out",
        replies_path,
    )
    assert completed.code == 0, completed.err
    assert "3 images: 2 processed, 0 already done, 1 not read" in completed.out
    assert "not a readable radiograph" in completed.out
    assert CANARY not in completed.out + completed.err + replies_path.read_text("utf-8")
    image_ids = [json.loads(reply_line)["image"] for reply_line in replies_path.read_text("utf-8").splitlines()]
    assert "I5" in image_ids
    assert len(image_ids) == 2


def test_the_command_on_one_dicom_with_llm_kg_and_image_alone(
    graph: Graph, kgp: Kgp, synthetic_studies_folder: Path, tiny_generator_folder: Path, tmp_path: Path
) -> None:
    dicom_path = next(iter(sorted(synthetic_studies_folder.rglob("*.dcm"))))
    completed = kgp(
        "generate", "--images", dicom_path, "--model", tiny_generator_folder / "vlm-kg", *FEW, "--dry-run", "--json"
    )
    assert completed.code == 0, completed.err
    assert (completed.json["done"], completed.json["problems"], completed.json["dry_run"]) == (1, [], True)
    assert query_tuples(graph, ENTITIES) == []


def test_wrong_generate_input_is_a_single_clear_line(
    graph: Graph, kgp: Kgp, tiny_generator_folder: Path, synthetic_studies_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    image_path = next(iter(sorted(synthetic_studies_folder.rglob("*.png"))))
    bad_image = tmp_path / "bad.png"
    bad_image.write_bytes(b"bad")
    os.mkfifo(tmp_path / "pipe")
    model_options = ("--model", tiny_generator_folder / "vlm-kg")
    cases: list[tuple[tuple[str | Path, ...], int, str]] = [
        ((tmp_path / "missing", *model_options), 1, "no such file or folder"),
        ((tmp_path / "pipe", *model_options), 1, "is not a regular file"),
        ((tmp_path / "empty", *model_options), 1, "there is no image here"),
        ((image_path, "--model", tmp_path / "empty"), 1, "there is no generator here"),
        ((image_path, *model_options, "--beams", "0"), 2, "beams"),
        ((image_path, *model_options, "--beams", "65"), 2, "beams must be 1 to 64"),
        ((image_path, *model_options, "--reports", image_path), 1, "these are not reports"),
        (
            (image_path, "--llm", "m", "--llm-url", "https://llm.example.com/v1"),
            2,
            "the images and reports would leave",
        ),
        ((bad_image, *model_options), 1, ""),
    ]
    for arguments, exit_code, message in cases:
        completed = kgp("generate", "--images", *arguments)
        assert (completed.code, message in completed.err) == (exit_code, True), (arguments, completed.err)
        assert "Traceback" not in completed.err
    assert query_tuples(graph, ENTITIES) == []


def test_the_command_asks_a_served_model(graph: Graph, kgp: Kgp, synthetic_studies_folder: Path) -> None:
    from tests.fake_model import FakeModelReply, serving

    with serving(lambda messages, earlier_count: FakeModelReply("pleural effusion, located_at, left lung")) as server:
        arguments = (
            "generate",
            "--images",
            synthetic_studies_folder,
            "--llm",
            "tiny",
            "--llm-url",
            server.url,
            "--limit",
            "3",
        )
        first_run = kgp(*arguments, "--json")
        assert first_run.code == 0, first_run.err
        second_run = kgp(*arguments, "--json")
        assert len(server.requests) == 3
    assert (first_run.json["done"], second_run.json["skipped"]) == (3, 3)
    assert [triplet_row[1:4] for triplet_row in query_tuples(graph, TRIPLETS)] == [
        ("pleural effusion", "LOCATED_AT", "left lung")
    ] * 3
    assert {triplet_row[6] for triplet_row in query_tuples(graph, TRIPLETS)} == {None}


def test_help_is_quick_and_loads_no_torch() -> None:
    program = "import sys, kgplatform.cli; print({'torch', 'transformers', 'PIL', 'numpy'} & set(sys.modules))"
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "set()"
