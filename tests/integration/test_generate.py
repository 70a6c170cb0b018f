"""Generated triplets on a real graph: what is written, again, in parts, killed, undone; and `kgp generate`."""

from __future__ import annotations

import json
import os
import shutil
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
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.digest import digest
from kgplatform.generate.grounding import Grounding
from kgplatform.generate.inputs import Input, Inputs
from kgplatform.generate.run import Outcome, generate, images_by_path
from kgplatform.generate.source import Writer
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse
from kgplatform.readonly import ask
from kgplatform.settings import Settings
from kgplatform.triplets.linking import Linker
from tests.conftest import WIPE, Kgp
from tests.generators import Fake
from tests.integration.sources import write_medmkg

pytestmark = pytest.mark.server

CANARY = "zebrafinch"
EFFUSION, EDEMA = "C0032227", "C0034063"
LINKER = Linker(
    DictionaryTagger(Lexicon([Concept(EFFUSION, "effusion", ("T047",)), Concept(EDEMA, "edema", ("T046",))]))
)
SECTIONS = {"findings": f"Small effusion in the left lung. No edema. {CANARY}."}
SAID = {
    "I1": "small, modify, effusion; effusion, located_at, left lung; edema, located_at, right lung; cat, is, x",
    "I2": "effusion, located_at, lung; effusion, modify, effusion",
    "I3": "none",
    "I4": "nodule, suggestive_of, malignancy",
    "I5": "edema, located_at, lungs",
}
TRIPLETS = parse(
    "t/t",
    "// Triplets.\nMATCH (i:Image)-[:SHOWS]->(h:Entity)-[r:!REFERS_TO]->(t:Entity) RETURN i.id AS i, h.text AS h, "
    "type(r) AS r, t.text AS t, r.grounded AS grounded, r.mode AS mode, r.score AS score, r.model AS model, "
    "size(r.runs) AS runs ORDER BY i, h, r, t",
)
ENTITIES = parse(
    "t/e",
    "// Entities.\nMATCH (i:Image)-[s:SHOWS]->(e:Entity) OPTIONAL MATCH (e)-[r:REFERS_TO]->(c:Concept) RETURN "
    "i.id AS i, e.text AS text, e.kind AS kind, e.presence AS presence, c.cui AS cui, r.stance AS stance, "
    "r.score AS score, r.method AS method, s.mode AS mode ORDER BY i, text",
)
WARNED = parse(
    "t/w",
    "// A run.\n// param run string: it\n"
    "MATCH (r:Run {id: $run}) RETURN r.trained_on AS trained_on, r.warnings AS warnings",
)
ALL = parse(
    "t/a", "// All.\nMATCH (n) OPTIONAL MATCH (n)-[r]->() RETURN properties(n) AS n, properties(r) AS r, type(r) AS t"
)


def given(names: str = "12345", reports: bool = True) -> Inputs:
    rows = [
        Input(f"I{n}", Path(f"{n}.png"), {"dataset": "images"}, SECTIONS if reports and n == "1" else {}) for n in names
    ]
    return Inputs(rows)


def writer(backend: Any, reports: bool = True) -> Writer:
    def grounding(sections: Mapping[str, str]) -> Grounding:
        return Grounding(sections, LINKER.tagger, LINKER.link)

    return Writer(backend, LINKER.link, grounding, LINKER.about, reports)


def run(graph: Graph, backend: Fake, rows: Inputs | None = None, **options: Any) -> Outcome:
    return generate(graph, given() if rows is None else rows, writer(backend), **options)


def asked(backend: Fake) -> list[str]:
    return [row.id for row in backend.asked]


def found(graph: Graph, query: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in graph.read(query)]


def test_a_generator_of_synthetic_images_warns_of_others_on_the_run_too(graph: Graph) -> None:
    backend = Fake(SAID)
    backend.trained_on = trained_on.of_names(["Phantom"])
    outcome = generate(graph, given("2"), writer(backend))
    [warning] = outcome.warnings
    assert "trained on synthetic images only (Phantom), and the image is not known to be synthetic" in warning
    [noted] = graph.read(WARNED, run=outcome.run)
    assert noted == {"trained_on": ["Phantom"], "warnings": [warning]}
    drawn = Inputs([Input("I3", Path("3.png"), {"dataset": "Phantom"})])
    assert generate(graph, drawn, writer(backend)).warnings == []
    assert generate(graph, given("4"), writer(Fake(SAID))).warnings == []


def test_the_stated_graph_is_written(graph: Graph) -> None:
    outcome = run(graph, Fake(SAID))
    both, alone, model = "image and report", "image", "fake 1"
    assert found(graph, TRIPLETS) == [
        ("I1", "edema", "LOCATED_AT", "right lung", False, both, 0.5, model, 1),
        ("I1", "effusion", "LOCATED_AT", "left lung", True, both, 0.5, model, 1),
        ("I1", "small", "MODIFY", "effusion", True, both, 0.5, model, 1),
        ("I2", "effusion", "LOCATED_AT", "lung", None, alone, 0.5, model, 1),
        ("I4", "nodule", "SUGGESTIVE_OF", "malignancy", None, alone, 0.5, model, 1),
        ("I5", "edema", "LOCATED_AT", "lungs", None, alone, 0.5, model, 1),
    ]
    one, two = "dictionary 1", "Observation"
    assert found(graph, ENTITIES)[:6] == [
        ("I1", "edema", two, "absent", EDEMA, "NEGATIVE", 1.0, one, both),
        ("I1", "effusion", two, "present", EFFUSION, "POSITIVE", 1.0, one, both),
        ("I1", "left lung", "Anatomy", None, None, None, None, None, both),
        ("I1", "right lung", "Anatomy", None, None, None, None, None, both),
        ("I1", "small", None, None, None, None, None, None, both),
        ("I2", "effusion", two, None, EFFUSION, None, 1.0, one, alone),
    ]
    assert (outcome.images, outcome.done, outcome.skipped, outcome.without) == (5, 5, 0, 1)
    assert (outcome.triplets, outcome.left_out, outcome.tokens) == (7, 1, 35)
    assert (outcome.entities, outcome.linked, len(outcome.ungrounded)) == (11, 4, 1)
    assert 0 < outcome.waiting < outcome.seconds
    shown = runs.show(graph, outcome.run)["run"]
    assert (shown["kind"], shown["model"], shown["sha256"]) == ("generate", "fake 1", "f" * 64)
    assert CANARY not in json.dumps(found(graph, ALL), default=str)


def test_the_same_again_changes_nothing_and_asks_nothing(graph: Graph) -> None:
    run(graph, Fake(SAID))
    once = str(digest(graph))
    again = Fake(SAID)
    outcome = run(graph, again)
    assert (asked(again), outcome.skipped, outcome.done, outcome.edges) == ([], 5, 0, 0)
    assert str(digest(graph)) == once


def test_the_figures_of_a_run_are_those_of_all_its_calls(graph: Graph) -> None:
    first = run(graph, Fake(SAID), given("12"))
    again = run(graph, Fake(SAID), given("12"))
    second = run(graph, Fake(SAID), given("345"))
    assert first.run == again.run == second.run
    assert first.in_run == again.in_run == {"images": 2, "triplets": 4, "edges": first.edges}
    assert second.in_run == {"images": 5, "triplets": 6, "edges": first.edges + second.edges}
    shown = runs.show(graph, first.run)
    record = shown["run"]
    assert (record["status"], record["images"], record["triplets"], record["rows_read"]) == ("done", 5, 6, 5)
    assert record["rows_written"] == shown["edges"] == second.in_run["edges"]
    undone = runs.undo(graph, first.run)
    assert undone.edges == second.in_run["edges"]


def test_new_images_extend_the_run_as_if_all_had_been_there(graph: Graph) -> None:
    first = run(graph, Fake(SAID), given("12"))
    more = Fake(SAID)
    second = run(graph, more)
    assert (second.run, asked(more), second.skipped) == (first.run, ["I3", "I4", "I5"], 2)
    extended = str(digest(graph))
    graph.run_unmanaged(WIPE)
    run(graph, Fake(SAID))
    assert str(digest(graph)) == extended


def test_another_model_other_settings_or_no_reports_are_other_runs_beside_it(graph: Graph) -> None:
    first = run(graph, Fake(SAID))
    other = Fake(SAID)
    other.sha256 = "e" * 64
    beams = Fake(SAID)
    beams.parameters = {"beams": 2}
    plain = generate(graph, given(reports=False), writer(Fake(SAID), reports=False))
    ids = {first.run, plain.run, run(graph, other).run, run(graph, beams).run}
    assert len(ids) == 4
    assert plain.done == 5
    rows = found(graph, TRIPLETS)
    assert len(rows) == 4 * 6
    assert {row[5] for row in rows if row[0] == "I1"} == {"image", "image and report"}


def test_a_run_that_crashes_in_the_middle_goes_on_to_the_same_graph(graph: Graph) -> None:
    run(graph, Fake(SAID))
    whole = str(digest(graph))
    graph.run_unmanaged(WIPE)
    broken = Fake(SAID, dies_after=1)
    with pytest.raises(RuntimeError, match="has crashed"):
        run(graph, broken)
    resumed = Fake(SAID)
    outcome = run(graph, resumed)
    assert (asked(broken), asked(resumed), outcome.skipped) == (["I1", "I2"], ["I3", "I4", "I5"], 2)
    assert str(digest(graph)) == whole
    assert runs.show(graph, outcome.run)["run"]["rows_read"] == 5


MANY = {f"I{n}": f"finding {n}, located_at, lung" for n in range(1, 61)}


def slow(settings: Settings, out: str) -> Fake:
    """What the process that is killed does."""
    backend = Fake(MANY, wait=0.05)
    with Graph.open(settings) as graph:
        generate(graph, Inputs([Input(name, None) for name in MANY]), writer(backend), out=Path(out))
    return backend


def test_a_run_that_is_killed_goes_on_and_asks_no_image_of_a_written_batch_again(
    graph: Graph, settings: Settings, tmp_path: Path
) -> None:
    rows = Inputs([Input(name, None) for name in MANY])
    whole_run = generate(graph, rows, writer(Fake(MANY)), out=tmp_path / "whole.jsonl").run
    whole = str(digest(graph))
    graph.run_unmanaged(WIPE)
    code = (
        "import sys; from tests.integration.test_generate import Settings, slow; slow(Settings.from_env(), sys.argv[1])"
    )
    out = str(tmp_path / "killed.jsonl")
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code, out], env={**os.environ, "KGP_HOME": str(settings.home)}, cwd=root
    )
    shown = parse("t/d", "// Done.\nMATCH (i:Image) RETURN i.id AS id")
    deadline = time.monotonic() + 60
    while len(list(graph.read(shown))) < 6 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {row["id"] for row in graph.read(shown)}
    assert 6 <= len(done) < len(MANY)
    resumed = Fake(MANY)
    outcome = generate(graph, rows, writer(resumed), out=Path(out))
    assert outcome.run == whole_run
    assert Path(out).read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert set(asked(resumed)) == set(MANY) - done
    assert str(digest(graph)) == whole


def test_an_unreadable_image_is_told_and_asked_again_the_next_time(graph: Graph) -> None:
    first = run(graph, Fake({name: text for name, text in SAID.items() if name != "I4"}))
    assert first.problems == [("I4", "no readable radiograph")]
    assert first.done == 4
    mended = Fake(SAID)
    second = run(graph, mended)
    assert (asked(mended), second.problems) == (["I4"], [])


def test_a_dry_run_tells_and_writes_nothing(graph: Graph, tmp_path: Path) -> None:
    before = str(digest(graph))
    outcome = run(graph, Fake(SAID), dry_run=True, out=tmp_path / "replies.jsonl")
    assert (outcome.done, outcome.triplets, outcome.edges, outcome.dry_run) == (5, 7, 0, True)
    assert str(digest(graph)) == before
    assert len((tmp_path / "replies.jsonl").read_text("utf-8").splitlines()) == 5


def test_replies_are_appended_to_a_file_and_no_report_is(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    run(graph, Fake(SAID), given("12"), out=path)
    run(graph, Fake(SAID), out=path)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["image"] for row in rows] == ["I1", "I2", "I3", "I4", "I5"]
    assert rows[3]["triplets"] == [["nodule", "suggestive_of", "malignancy", 0.5]]
    assert CANARY not in path.read_text(encoding="utf-8")


def test_undo_leaves_exactly_what_was_there(graph: Graph, tmp_path: Path) -> None:
    rows = [f"I1,POSITIVE,{EFFUSION},Image_I1,Effusion", f"I9,NEGATIVE,{EDEMA},Image_I9,Edema"]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "m", rows, ["I1,a/1.png", "I9,a/9.png"])))
    before = str(digest(graph))
    outcome = run(graph, Fake(SAID))
    assert str(digest(graph)) != before
    runs.undo(graph, outcome.run)
    assert str(digest(graph)) == before


def test_images_are_known_by_their_path_but_not_where_two_share_it(graph: Graph, tmp_path: Path) -> None:
    rows = [f"I{n},POSITIVE,{EFFUSION},Image_I{n},Effusion" for n in (1, 2, 3)]
    paths = ["I1,a/one.png", "I2,a/two.jpg", "I3,a/two.jpg"]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "m", rows, paths)))
    run(graph, Fake(SAID), Inputs([Input("I5", Path("5.png"), {"dataset": "images", "path": "a/five.png"})]))
    assert images_by_path(graph) == {"a/one.png": "I1"}


def test_what_a_generator_sees_without_the_report_can_contradict_it(graph: Graph, tmp_path: Path) -> None:
    rows = [f"I5,NEGATIVE,{EDEMA},Image_I5,Edema", f"I4,NEGATIVE,{EFFUSION},Image_I4,Effusion"]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "m", rows, [])))
    run(graph, Fake(SAID))
    query = queries.get("explore/generated_contradictions")
    with ask(graph, query.text, query.bind({})) as answer:
        assert [(row["image"], row["cui"], row["mode"], row["seen"]) for row in answer] == [
            ("I5", EDEMA, "image", ["edema"])
        ]


def test_images_that_were_only_looked_at_change_no_naf_score(graph: Graph, tmp_path: Path) -> None:
    rows = [f"I{n},POSITIVE,{EFFUSION},Image_I{n},Effusion" for n in (7, 8)] + [f"I9,NEGATIVE,{EDEMA},Image_I9,Edema"]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "m", rows, [])))
    naf.score(graph)
    before = naf_of(graph)
    run(graph, Fake(SAID))
    naf.score(graph)
    assert {name: value for name, value in naf_of(graph).items() if value} == before


def naf_of(graph: Graph) -> dict[str, float]:
    query = parse("t/n", "// NaF.\nMATCH (i:Image) RETURN i.id AS id, i.naf AS naf")
    return {row["id"]: row["naf"] for row in graph.read(query)}


# kgp generate


FEW = ("--beams", "1", "--max-new-tokens", "40", "--constrained")


def test_the_command_on_a_data_set_writes_linked_triplets_and_the_next_time_nothing(
    graph: Graph, kgp: Kgp, invented: Path, tiny: Path
) -> None:
    arguments = ("generate", "--images", invented, "--model", tiny / "vlm-kg", *FEW, "--limit", "6")
    done = kgp(*arguments, "--json")
    assert done.code == 0, done.err
    assert (done.json["done"], done.json["problems"]) == (6, [])
    assert {row[5] for row in found(graph, TRIPLETS)} <= {"image and report"}
    once = str(digest(graph))
    again = kgp(*arguments)
    assert again.code == 0, again.err
    assert "6 images: 0 looked at, 6 done before, 0 not read" in again.out
    assert str(digest(graph)) == once
    assert kgp("runs", "undo", done.json["run"]).code == 0
    assert found(graph, ENTITIES) == []


def test_what_the_graph_learns_meanwhile_asks_no_image_again(
    graph: Graph, kgp: Kgp, invented: Path, tiny: Path, tmp_path: Path
) -> None:
    """Neither the concepts that the generator brought itself, nor names of others."""
    lexicon = tmp_path / "names.csv"
    lexicon.write_text(f"cui,name\n{EFFUSION},Pleural effusion\n{EDEMA},Edema\n", encoding="utf-8")
    arguments = ("generate", "--images", invented, "--model", tiny / "vlm-kg", *FEW, "--limit", "3")
    first = kgp(*arguments, "--lexicon", lexicon, "--json").json
    rows = [f"I{n},POSITIVE,{EFFUSION},Image_I{n},Effusion" for n in (1, 2)]
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "m", rows, [])))
    again = kgp(*arguments, "--lexicon", lexicon, "--json").json
    assert (again["run"], again["skipped"], again["done"]) == (first["run"], 3, 0)
    other = kgp(*arguments, "--json").json
    assert (other["run"] != first["run"], other["done"]) == (True, 3), "another lexicon is another run"


def test_the_command_on_a_folder_of_pictures_finds_the_graphs_images(
    graph: Graph, kgp: Kgp, invented: Path, tiny: Path, tmp_path: Path
) -> None:
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "m", [f"I5,POSITIVE,{EFFUSION},x,Effusion"], ["I5,p/five.png"])))
    first, second = sorted(invented.rglob("*.png"))[:2]
    (tmp_path / "p").mkdir()
    shutil.copy(first, tmp_path / "p" / "five.png")
    shutil.copy(second, tmp_path / "p" / "new.png")
    (tmp_path / "p" / "bad.png").write_bytes(b"\x89PNG bad")
    table = tmp_path / "r.csv"
    table.write_text(f"id,findings\nfive.png,Effusion. {CANARY}.\n", encoding="utf-8")
    out = tmp_path / "o.jsonl"
    done = kgp(
        "generate", "--images", tmp_path / "p", "--reports", table, "--model", tiny / "vlm-kg", *FEW, "--out", out
    )
    assert done.code == 0, done.err
    assert "3 images: 2 looked at, 0 done before, 1 not read" in done.out
    assert "no readable radiograph" in done.out
    assert CANARY not in done.out + done.err + out.read_text("utf-8")
    images = [json.loads(line)["image"] for line in out.read_text("utf-8").splitlines()]
    assert "I5" in images
    assert len(images) == 2


def test_the_command_on_one_dicom_with_llm_kg_and_image_alone(
    graph: Graph, kgp: Kgp, invented: Path, tiny: Path, tmp_path: Path
) -> None:
    dicom = next(iter(sorted(invented.rglob("*.dcm"))))
    done = kgp("generate", "--images", dicom, "--model", tiny / "vlm-kg", *FEW, "--dry-run", "--json")
    assert done.code == 0, done.err
    assert (done.json["done"], done.json["problems"], done.json["dry_run"]) == (1, [], True)
    assert found(graph, ENTITIES) == []


def test_what_is_wrong_is_one_clear_line(graph: Graph, kgp: Kgp, tiny: Path, invented: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    picture = next(iter(sorted(invented.rglob("*.png"))))
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"bad")
    model = ("--model", tiny / "vlm-kg")
    cases: list[tuple[tuple[str | Path, ...], int, str]] = [
        ((tmp_path / "missing", *model), 1, "no such file or folder"),
        ((tmp_path / "empty", *model), 1, "there is no image here"),
        ((picture, "--model", tmp_path / "empty"), 1, "there is no generator here"),
        ((picture, *model, "--beams", "0"), 2, "beams"),
        ((picture, *model, "--beams", "65"), 2, "beams must be 1 to 64"),
        ((picture, *model, "--reports", picture), 1, "these are no reports"),
        ((picture, "--llm", "m", "--llm-url", "https://llm.example.com/v1"), 2, "the images and reports would leave"),
        ((bad, *model), 1, ""),
    ]
    for arguments, code, told in cases:
        done = kgp("generate", "--images", *arguments)
        assert (done.code, told in done.err) == (code, True), (arguments, done.err)
        assert "Traceback" not in done.err
    assert found(graph, ENTITIES) == []


def test_the_command_asks_a_served_model(graph: Graph, kgp: Kgp, invented: Path) -> None:
    from tests.fake_model import Reply, serving

    with serving(lambda messages, before: Reply("pleural effusion, located_at, left lung")) as server:
        arguments = ("generate", "--images", invented, "--llm", "tiny", "--llm-url", server.url, "--limit", "3")
        done = kgp(*arguments, "--json")
        assert done.code == 0, done.err
        again = kgp(*arguments, "--json")
        assert len(server.asked) == 3
    assert (done.json["done"], again.json["skipped"]) == (3, 3)
    assert [row[1:4] for row in found(graph, TRIPLETS)] == [("pleural effusion", "LOCATED_AT", "left lung")] * 3
    assert {row[6] for row in found(graph, TRIPLETS)} == {None}


def test_help_is_quick_and_loads_no_torch() -> None:
    code = "import sys, kgplatform.cli; print({'torch', 'transformers', 'PIL', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
