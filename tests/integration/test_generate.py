"""Generated triplets on a real graph: what is written, again, in parts, killed, undone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kgp_loaders.medmkg import MedMKG
from kgplatform import naf, queries, runs, trained_on
from kgplatform.connect import open_graph
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.digest import digest
from kgplatform.generate.grounding import Grounding
from kgplatform.generate.inputs import GenerationInputs, Input
from kgplatform.generate.run import GenerationOutcome, generate_triplets, images_by_path
from kgplatform.generate.source import Writer
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse_query
from kgplatform.readonly import open_query
from kgplatform.settings import Settings
from kgplatform.triplets.linking import Linker
from tests import ROOT
from tests.conftest import WIPE
from tests.generators import Fake
from tests.integration.generated_triplets import CANARY, EDEMA, EFFUSION, ENTITIES, TRIPLETS, query_tuples
from tests.integration.sources import write_medmkg

pytestmark = pytest.mark.server

LINKER = Linker(
    DictionaryTagger(Lexicon([Concept(EFFUSION, "effusion", ("T047",)), Concept(EDEMA, "edema", ("T046",))]))
)
SECTIONS = {"findings": f"Small effusion in the left lung. No edema. {CANARY}."}
REPLIES_BY_IMAGE = {
    "I1": "small, modify, effusion; effusion, located_at, left lung; edema, located_at, right lung; cat, is, x",
    "I2": "effusion, located_at, lung; effusion, modify, effusion",
    "I3": "none",
    "I4": "nodule, suggestive_of, malignancy",
    "I5": "edema, located_at, lungs",
}

WARNED = parse_query(
    "t/w",
    "// A run.\n// param run string: it\n"
    "MATCH (r:Run {id: $run}) RETURN r.trained_on AS trained_on, r.warnings AS warnings",
)
ALL = parse_query(
    "t/a", "// All.\nMATCH (n) OPTIONAL MATCH (n)-[r]->() RETURN properties(n) AS n, properties(r) AS r, type(r) AS t"
)


def generation_inputs(names: str = "12345", reports: bool = True) -> GenerationInputs:
    input_rows = [
        Input(
            f"I{image_digit}",
            Path(f"{image_digit}.png"),
            {"dataset": "images"},
            SECTIONS if reports and image_digit == "1" else {},
        )
        for image_digit in names
    ]
    return GenerationInputs(input_rows)


def writer(backend: Any, reports: bool = True) -> Writer:
    def grounding(sections: Mapping[str, str]) -> Grounding:
        return Grounding(sections, LINKER.tagger, LINKER.link)

    return Writer(backend, LINKER.link, grounding, LINKER.about, reports)


def _generate_triplets(
    graph: Graph, backend: Fake, rows: GenerationInputs | None = None, **options: Any
) -> GenerationOutcome:
    return generate_triplets(graph, generation_inputs() if rows is None else rows, writer(backend), **options)


def _requested_ids(backend: Fake) -> list[str]:
    return [request.id for request in backend.requests]


def test_a_generator_of_synthetic_images_warns_of_others_on_the_run_too(graph: Graph) -> None:
    backend = Fake(REPLIES_BY_IMAGE)
    backend.trained_on = (trained_on.DataSet("Phantom", True),)
    outcome = generate_triplets(graph, generation_inputs("2"), writer(backend))
    [warning] = outcome.warnings
    assert "trained on synthetic images only (Phantom), and the image is not known to be synthetic" in warning
    [run_record] = graph.read(WARNED, run=outcome.run)
    assert run_record == {"trained_on": ["Phantom"], "warnings": [warning]}
    synthetic_inputs = GenerationInputs([Input("I3", Path("3.png"), {"dataset": "Phantom"})])
    assert generate_triplets(graph, synthetic_inputs, writer(backend)).warnings == []
    assert generate_triplets(graph, generation_inputs("4"), writer(Fake(REPLIES_BY_IMAGE))).warnings == []


def test_the_stated_graph_is_written(graph: Graph) -> None:
    outcome = _generate_triplets(graph, Fake(REPLIES_BY_IMAGE))
    report_mode, image_mode, model_name = "image and report", "image", "fake 1"
    assert query_tuples(graph, TRIPLETS) == [
        ("I1", "edema", "LOCATED_AT", "right lung", False, report_mode, 0.5, model_name, 1),
        ("I1", "effusion", "LOCATED_AT", "left lung", True, report_mode, 0.5, model_name, 1),
        ("I1", "small", "MODIFY", "effusion", True, report_mode, 0.5, model_name, 1),
        ("I2", "effusion", "LOCATED_AT", "lung", None, image_mode, 0.5, model_name, 1),
        ("I4", "nodule", "SUGGESTIVE_OF", "malignancy", None, image_mode, 0.5, model_name, 1),
        ("I5", "edema", "LOCATED_AT", "lungs", None, image_mode, 0.5, model_name, 1),
    ]
    link_method, entity_kind = "dictionary 2", "Observation"
    assert query_tuples(graph, ENTITIES)[:6] == [
        ("I1", "edema", entity_kind, "absent", EDEMA, "NEGATIVE", 1.0, link_method, report_mode),
        ("I1", "effusion", entity_kind, "present", EFFUSION, "POSITIVE", 1.0, link_method, report_mode),
        ("I1", "left lung", "Anatomy", None, None, None, None, None, report_mode),
        ("I1", "right lung", "Anatomy", None, None, None, None, None, report_mode),
        ("I1", "small", None, None, None, None, None, None, report_mode),
        ("I2", "effusion", entity_kind, None, EFFUSION, None, 1.0, link_method, image_mode),
    ]
    assert (outcome.images, outcome.done, outcome.skipped, outcome.without) == (5, 5, 0, 1)
    assert (outcome.triplets, outcome.left_out, outcome.tokens) == (7, 1, 35)
    assert (outcome.entities, outcome.linked, len(outcome.ungrounded)) == (11, 4, 1)
    assert 0 < outcome.waiting < outcome.seconds
    run_record = runs.show(graph, outcome.run)["run"]
    assert (run_record["kind"], run_record["model"], run_record["sha256"]) == ("generate", "fake 1", "f" * 64)
    assert CANARY not in json.dumps(query_tuples(graph, ALL), default=str)


def test_the_same_again_changes_nothing_and_asks_nothing(graph: Graph) -> None:
    _generate_triplets(graph, Fake(REPLIES_BY_IMAGE))
    first_digest = str(digest(graph))
    second_backend = Fake(REPLIES_BY_IMAGE)
    outcome = _generate_triplets(graph, second_backend)
    assert (_requested_ids(second_backend), outcome.skipped, outcome.done, outcome.edges) == ([], 5, 0, 0)
    assert str(digest(graph)) == first_digest


def test_the_figures_of_a_run_are_those_of_all_its_calls(graph: Graph) -> None:
    first_outcome = _generate_triplets(graph, Fake(REPLIES_BY_IMAGE), generation_inputs("12"))
    repeated = _generate_triplets(graph, Fake(REPLIES_BY_IMAGE), generation_inputs("12"))
    second_outcome = _generate_triplets(graph, Fake(REPLIES_BY_IMAGE), generation_inputs("345"))
    assert first_outcome.run == repeated.run == second_outcome.run
    assert first_outcome.in_run == repeated.in_run == {"images": 2, "triplets": 4, "edges": first_outcome.edges}
    assert second_outcome.in_run == {"images": 5, "triplets": 6, "edges": first_outcome.edges + second_outcome.edges}
    run_details = runs.show(graph, first_outcome.run)
    run_record = run_details["run"]
    assert (run_record["status"], run_record["images"], run_record["triplets"], run_record["rows_read"]) == (
        "done",
        5,
        6,
        5,
    )
    assert run_record["rows_written"] == run_details["edges"] == second_outcome.in_run["edges"]
    undone = runs.undo(graph, first_outcome.run)
    assert undone.edges == second_outcome.in_run["edges"]


def test_new_images_extend_the_run_as_if_all_had_been_there(graph: Graph) -> None:
    first_outcome = _generate_triplets(graph, Fake(REPLIES_BY_IMAGE), generation_inputs("12"))
    second_backend = Fake(REPLIES_BY_IMAGE)
    second_outcome = _generate_triplets(graph, second_backend)
    assert (second_outcome.run, _requested_ids(second_backend), second_outcome.skipped) == (
        first_outcome.run,
        ["I3", "I4", "I5"],
        2,
    )
    extended_digest = str(digest(graph))
    graph.run_unmanaged(WIPE)
    _generate_triplets(graph, Fake(REPLIES_BY_IMAGE))
    assert str(digest(graph)) == extended_digest


def test_another_model_other_settings_or_no_reports_are_other_runs_beside_it(graph: Graph) -> None:
    first_outcome = _generate_triplets(graph, Fake(REPLIES_BY_IMAGE))
    other_backend = Fake(REPLIES_BY_IMAGE)
    other_backend.sha256 = "e" * 64
    beam_backend = Fake(REPLIES_BY_IMAGE)
    beam_backend.parameters = {"beams": 2}
    plain_outcome = generate_triplets(
        graph, generation_inputs(reports=False), writer(Fake(REPLIES_BY_IMAGE), reports=False)
    )
    run_ids = {
        first_outcome.run,
        plain_outcome.run,
        _generate_triplets(graph, other_backend).run,
        _generate_triplets(graph, beam_backend).run,
    }
    assert len(run_ids) == 4
    assert plain_outcome.done == 5
    triplet_rows = query_tuples(graph, TRIPLETS)
    assert len(triplet_rows) == 4 * 6
    assert {triplet_row[5] for triplet_row in triplet_rows if triplet_row[0] == "I1"} == {"image", "image and report"}


def test_a_run_that_crashes_in_the_middle_goes_on_to_the_same_graph(graph: Graph) -> None:
    _generate_triplets(graph, Fake(REPLIES_BY_IMAGE))
    full_digest = str(digest(graph))
    graph.run_unmanaged(WIPE)
    broken_backend = Fake(REPLIES_BY_IMAGE, dies_after=1)
    with pytest.raises(RuntimeError, match="has crashed"):
        _generate_triplets(graph, broken_backend)
    second_backend = Fake(REPLIES_BY_IMAGE)
    outcome = _generate_triplets(graph, second_backend)
    assert (_requested_ids(broken_backend), _requested_ids(second_backend), outcome.skipped) == (
        ["I1", "I2"],
        ["I3", "I4", "I5"],
        2,
    )
    assert str(digest(graph)) == full_digest
    assert runs.show(graph, outcome.run)["run"]["rows_read"] == 5


MANY = {f"I{n}": f"finding {n}, located_at, lung" for n in range(1, 61)}


def slow(settings: Settings, out: str) -> Fake:
    """What the process that is killed does."""
    backend = Fake(MANY, wait=0.05)
    with open_graph(settings) as graph:
        generate_triplets(
            graph, GenerationInputs([Input(image_id, None) for image_id in MANY]), writer(backend), out=Path(out)
        )
    return backend


def test_a_run_that_is_killed_goes_on_and_asks_no_image_of_a_written_batch_again(
    graph: Graph, settings: Settings, tmp_path: Path
) -> None:
    input_rows = GenerationInputs([Input(image_id, None) for image_id in MANY])
    full_run = generate_triplets(graph, input_rows, writer(Fake(MANY)), out=tmp_path / "whole.jsonl").run
    full_digest = str(digest(graph))
    graph.run_unmanaged(WIPE)
    program = (
        "import sys; from tests.integration.test_generate import Settings, slow; slow(Settings.from_env(), sys.argv[1])"
    )
    replies_path = str(tmp_path / "killed.jsonl")
    repository = ROOT
    process = subprocess.Popen(
        [sys.executable, "-c", program, replies_path],
        env={**os.environ, "KGP_HOME": str(settings.home)},
        cwd=repository,
    )
    images_query = parse_query("t/d", "// Done.\nMATCH (i:Image) RETURN i.id AS id")
    deadline = time.monotonic() + 60
    while len(list(graph.read(images_query))) < 6 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done_ids = {image_row["id"] for image_row in graph.read(images_query)}
    assert 6 <= len(done_ids) < len(MANY)
    second_backend = Fake(MANY)
    outcome = generate_triplets(graph, input_rows, writer(second_backend), out=Path(replies_path))
    assert outcome.run == full_run
    assert Path(replies_path).read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert set(_requested_ids(second_backend)) == set(MANY) - done_ids
    assert str(digest(graph)) == full_digest


def test_an_unreadable_image_is_told_and_asked_again_the_next_time(graph: Graph) -> None:
    first_outcome = _generate_triplets(
        graph, Fake({image_id: reply_text for image_id, reply_text in REPLIES_BY_IMAGE.items() if image_id != "I4"})
    )
    assert first_outcome.problems == [("I4", "not a readable radiograph")]
    assert first_outcome.done == 4
    second_backend = Fake(REPLIES_BY_IMAGE)
    second_outcome = _generate_triplets(graph, second_backend)
    assert (_requested_ids(second_backend), second_outcome.problems) == (["I4"], [])


def test_a_generation_dry_run_reports_and_writes_nothing(graph: Graph, tmp_path: Path) -> None:
    digest_before = str(digest(graph))
    outcome = _generate_triplets(graph, Fake(REPLIES_BY_IMAGE), dry_run=True, out=tmp_path / "replies.jsonl")
    assert (outcome.done, outcome.triplets, outcome.edges, outcome.dry_run) == (5, 7, 0, True)
    assert str(digest(graph)) == digest_before
    assert len((tmp_path / "replies.jsonl").read_text("utf-8").splitlines()) == 5


def test_replies_are_appended_to_a_file_and_no_report_is(graph: Graph, tmp_path: Path) -> None:
    replies_path = tmp_path / "replies.jsonl"
    _generate_triplets(graph, Fake(REPLIES_BY_IMAGE), generation_inputs("12"), out=replies_path)
    _generate_triplets(graph, Fake(REPLIES_BY_IMAGE), out=replies_path)
    replies = [json.loads(reply_line) for reply_line in replies_path.read_text(encoding="utf-8").splitlines()]
    assert [reply["image"] for reply in replies] == ["I1", "I2", "I3", "I4", "I5"]
    assert replies[3]["triplets"] == [["nodule", "suggestive_of", "malignancy", 0.5]]
    assert CANARY not in replies_path.read_text(encoding="utf-8")


def test_undo_leaves_exactly_what_was_there(graph: Graph, tmp_path: Path) -> None:
    medmkg_rows = [f"I1,POSITIVE,{EFFUSION},Image_I1,Effusion", f"I9,NEGATIVE,{EDEMA},Image_I9,Edema"]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "m", medmkg_rows, ["I1,a/1.png", "I9,a/9.png"])))
    digest_before = str(digest(graph))
    outcome = _generate_triplets(graph, Fake(REPLIES_BY_IMAGE))
    assert str(digest(graph)) != digest_before
    runs.undo(graph, outcome.run)
    assert str(digest(graph)) == digest_before


def test_images_are_known_by_their_path_but_not_where_two_share_it(graph: Graph, tmp_path: Path) -> None:
    medmkg_rows = [f"I{image_number},POSITIVE,{EFFUSION},Image_I{image_number},Effusion" for image_number in (1, 2, 3)]
    mapping_rows = ["I1,a/one.png", "I2,a/two.jpg", "I3,a/two.jpg"]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "m", medmkg_rows, mapping_rows)))
    _generate_triplets(
        graph,
        Fake(REPLIES_BY_IMAGE),
        GenerationInputs([Input("I5", Path("5.png"), {"dataset": "images", "path": "a/five.png"})]),
    )
    assert images_by_path(graph) == {"a/one.png": "I1"}


def test_what_a_generator_sees_without_the_report_can_contradict_it(graph: Graph, tmp_path: Path) -> None:
    medmkg_rows = [f"I5,NEGATIVE,{EDEMA},Image_I5,Edema", f"I4,NEGATIVE,{EFFUSION},Image_I4,Effusion"]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "m", medmkg_rows, [])))
    _generate_triplets(graph, Fake(REPLIES_BY_IMAGE))
    named_query = queries.get("explore/generated_contradictions")
    with open_query(graph, named_query.text, named_query.bind({})) as answer:
        assert [
            (contradiction["image"], contradiction["cui"], contradiction["mode"], contradiction["seen"])
            for contradiction in answer
        ] == [("I5", EDEMA, "image", ["edema"])]


def test_images_that_were_only_looked_at_change_no_naf_score(graph: Graph, tmp_path: Path) -> None:
    medmkg_rows = [f"I{image_number},POSITIVE,{EFFUSION},Image_I{image_number},Effusion" for image_number in (7, 8)] + [
        f"I9,NEGATIVE,{EDEMA},Image_I9,Edema"
    ]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "m", medmkg_rows, [])))
    naf.score(graph)
    scores_before = naf_by_image(graph)
    _generate_triplets(graph, Fake(REPLIES_BY_IMAGE))
    naf.score(graph)
    assert {image_id: naf_score for image_id, naf_score in naf_by_image(graph).items() if naf_score} == scores_before


def naf_by_image(graph: Graph) -> dict[str, float]:
    naf_query = parse_query("t/n", "// NaF.\nMATCH (i:Image) RETURN i.id AS id, i.naf AS naf")
    return {image_row["id"]: image_row["naf"] for image_row in graph.read(naf_query)}
