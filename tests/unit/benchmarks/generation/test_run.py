"""The generator's benchmark on a few synthetic studies: it runs, goes on where it was, and says what was measured."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from benchmarks.generation import baselines, bench, scores, step
from kgp_loaders.phantom import study_set
from kgp_models.generator.read_studies import read_studies
from kgp_models.generator.records import thinned
from kgp_models.generator.settings import DataSettings
from kgp_models.generator.validate import with_degrees
from kgplatform.triplets.metrics import exact_key
from kgplatform.triplets.text import Relation, Triplet
from tests import ROOT
from tests.generators import SETTINGS

pytestmark = pytest.mark.slow  # a model is made

AT, MODIFY = Relation.LOCATED_AT, Relation.MODIFY


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study_folder = tmp_path_factory.mktemp("generation") / "studies"
    study_set.build_study_set(study_folder, 30, 7)
    return study_folder


@cache
def _dictionary_baseline(data: Path) -> object:
    return baselines.Dictionary(DataSettings(lexicon=("ontology",)), data)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("Small pleural effusion in the left lung .", [("pleural effusion", AT, "left lung"), MODIFY]),
        ("Right pneumothorax .", [("pneumothorax", AT, "right")]),
        ("Left lung : pneumothorax .", [("pneumothorax", AT, "left lung")]),
        ("Atelectasis may represent pneumonia .", [("atelectasis", Relation.SUGGESTIVE_OF, "pneumonia")]),
        ("Pneumothorax . The left lung is clear .", []),
        ("", []),
    ],
)
def test_the_dictionary_relates_phrases_by_their_order(data: Path, report: str, expected: list[object]) -> None:
    expected_triplets = {
        Triplet("small", MODIFY, "pleural effusion") if parts is MODIFY else Triplet(*parts)  # type: ignore[misc]
        for parts in expected
    }
    assert set(_dictionary_baseline(data).triplets(report)) == expected_triplets  # type: ignore[attr-defined]


def test_the_most_frequent_triplets_are_as_many_as_score_best_on_validation() -> None:
    frequent_triplet, rare_triplet = Triplet("a", AT, "b"), Triplet("c", AT, "d")
    training = [[frequent_triplet], [frequent_triplet, rare_triplet], [frequent_triplet]]
    assert baselines.most_frequent(training, [[frequent_triplet], [frequent_triplet]], exact_key) == (frequent_triplet,)
    assert baselines.most_frequent(training, [[frequent_triplet, rare_triplet]], exact_key) == (
        frequent_triplet,
        rare_triplet,
    )
    assert baselines.most_frequent([[]], [[]], exact_key) == ()


def test_scores_tell_words_from_meanings() -> None:
    predicted, reference = [(Triplet("ptx", AT, "left"),)], [(Triplet("pneumothorax", AT, "left"),)]
    concept_by_text = {"ptx": "C1", "pneumothorax": "C1"}
    document = scores.score_case(predicted, reference, lambda text: concept_by_text.get(text, text), 1).document
    assert document["triplets"]["exact"]["f1"] == 0
    assert document["triplets"]["normalised"]["f1"] == document["entities"]["f1"] == 1
    assert document["radgraph_f1"]["normalised"]["complete"] == 1


def test_words_of_degree_are_compared_as_they_are() -> None:
    phrase_key = with_degrees(lambda text: "C9980067")
    assert phrase_key("small") != phrase_key("moderate")
    assert phrase_key("small effusion") == phrase_key("effusion")


def test_the_same_sentences_are_left_out_each_time(data: Path) -> None:
    for study in read_studies(DataSettings(drawn="truth/drawn.json"), "train", data):
        thinned_sentences = [thinned(study, 0.5, random.Random(f"{study.id}")) for _ in range(2)]
        assert thinned_sentences[0] == thinned_sentences[1]
        assert len(study.sentences) - len(thinned_sentences[0]) == round(0.5 * len(study.sentences))


def test_what_a_part_is_shared_by_does_not_depend_on_the_other_parts() -> None:
    from kgp_models.generator.settings import GeneratorSettings

    base_settings = GeneratorSettings.from_document(dict(SETTINGS))
    changed_settings = GeneratorSettings.from_document(
        {**SETTINGS, "visual": {"tune": "lora"}, "projector": {"clip_length": 4}}
    )
    wider_settings = GeneratorSettings.from_document({**SETTINGS, "small": {**SETTINGS["small"], "hidden": 64}})
    for stage in ("vision", "1"):
        assert bench.part_settings(base_settings, stage) == bench.part_settings(changed_settings, stage)
    assert bench.part_settings(base_settings, "vision") == bench.part_settings(wider_settings, "vision")
    assert bench.part_settings(base_settings, "1") != bench.part_settings(wider_settings, "1")


def test_a_step_of_the_full_size_model_is_measured_on_a_tiny_one() -> None:
    from kgp_models.generator.settings import ProjectorSettings

    tiny_sizes = {"vocab_size": 100, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    model_shape = step.QWEN | tiny_sizes | {"num_attention_heads": 2, "num_key_value_heads": 2}
    measured = step.measure_step(model_shape, ProjectorSettings(clip_length=4, prefix_length=4, layers=1, heads=2), 16)
    assert measured["seconds"] > 0
    assert measured["model_flops"] > 6 * 2 * 16 * 100 * 32  # the output layer alone


@pytest.mark.slow
def test_a_short_generation_benchmark_runs_resumes_and_writes_its_tables(data: Path, tmp_path: Path) -> None:
    base_path, graphs_path, results_folder, output_folder = (
        tmp_path / file_name for file_name in ("base.yaml", "graphs.json", "results", "out")
    )
    document = json.loads(json.dumps(dict(SETTINGS)))
    document["visual"] |= {"thinned": 0.5, "without": 0.0}
    base_path.write_text(yaml.safe_dump(document))
    entities = {
        "1": {"tokens": "effusion", "label": "OBS-DP", "start_ix": 1, "end_ix": 1, "relations": [["located_at", "2"]]},
        "2": {"tokens": "left", "label": "ANAT-DP", "start_ix": 0, "end_ix": 0, "relations": []},
    }
    graphs_path.write_text(json.dumps({"one": {"text": "Left effusion .", "labeler_1": {"entities": entities}}}))
    options = ["--models", "dictionary,most-frequent,vlm-kg", "--limit", "2", "--beams", "1", "--tables", "1"]
    path_options = [
        "--data",
        data,
        "--base",
        base_path,
        "--out",
        output_folder,
        "--results",
        results_folder,
        "--test-graphs",
        graphs_path,
    ]
    command = list(map(str, [sys.executable, "-m", "benchmarks.generation.run", *path_options, *options]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # of so small a model, threads take more than they give
    first_run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert first_run.returncode == 0, first_run.stderr
    results_document = json.loads((results_folder / "generation.json").read_text())
    table_rows = results_document["tables"]["1"]["rows"]
    system_shares = [(table_row["system"], table_row["share"]) for table_row in table_rows]
    zero_shares = [("dictionary", 0.0), ("most-frequent", 0.0), ("vlm-kg", 0.0)]
    assert system_shares == [*zero_shares, ("most-frequent", 1.0), ("vlm-kg", 1.0)]
    assert table_rows[2]["paper"]["bleu"] == [54.98, 49.65, 46.12, 43.29]
    assert set(table_rows[4]["against"]) == {"reference", "whole report"}
    assert set(table_rows[2]["minus"]) == {"dictionary", "most-frequent"}
    assert results_document["data"]["test"] == 2
    assert results_document["graphs"]["graphs.json"]["rows"]["systems"].keys() == {"dictionary", "most-frequent"}
    results_text = (results_folder / "generation.md").read_text()
    assert "| VLM-KG |" in results_text
    assert "54.98 | 49.65 | 46.12 | 43.29 | 54.69" in results_text

    modified_times = {
        output_path: output_path.stat().st_mtime_ns for output_path in output_folder.rglob("*") if output_path.is_file()
    }
    second_run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert second_run.returncode == 0, second_run.stderr
    assert modified_times == {
        output_path: output_path.stat().st_mtime_ns for output_path in output_folder.rglob("*") if output_path.is_file()
    }
