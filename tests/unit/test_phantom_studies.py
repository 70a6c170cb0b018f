"""The invented studies: their reports, their truth, their ontology, and that all of it is the same for a seed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from kgp_loaders.mimic_cxr import MIMICCXR
from kgp_loaders.phantom import ontology, report, study_set, truth
from kgp_loaders.phantom.findings import Kind, Side
from kgp_loaders.phantom.studies import DEVICES, FIRST_SUBJECT, studies
from kgp_loaders.umls import UMLS
from kgplatform.batches import Reject
from kgplatform.construct.lexicon import Lexicon
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import Allowed
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.errors import InputError, UsageError

COUNT = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("phantom") / "p"
    study_set.build(made, COUNT, 7, images=False)
    return made


@pytest.fixture(scope="module")
def mentions(folder: Path) -> dict[str, list[dict[str, object]]]:
    lines = (folder / "truth" / "mentions.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["study_id"]: row["mentions"] for row in map(json.loads, lines)}


def reports(folder: Path) -> list[Report]:
    found = list(MIMICCXR(folder, views=()).reports())
    assert not [row for row in found if isinstance(row, Reject)]
    return [row for row in found if isinstance(row, Report)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        study_set.build(tmp_path / name, 20, seed, images=False)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_a_larger_set_begins_with_the_smaller_one() -> None:
    assert list(studies(40, 7))[:20] == list(studies(20, 7))


def test_the_real_loader_reads_every_report_and_the_truth_is_of_the_text_that_it_gives(
    folder: Path, mentions: dict[str, list[dict[str, object]]]
) -> None:
    found = reports(folder)
    assert len(found) == COUNT == len(mentions)
    names = {one.cui: one for one in ontology.concepts().values()}
    exact = 0
    for one in found:
        for mention in mentions[one.study]:
            text = one.sections[str(mention["section"])][mention["start"] : mention["end"]]  # type: ignore[misc]
            said = " ".join(text.split()).lower()
            known = {name.lower() for name in names[str(mention["cui"])].names}
            exact += any(said in (name, name + "s") for name in known)
    total = sum(map(len, mentions.values()))
    assert 0.93 < exact / total < 1.0  # the rest are misspelt, or plurals of another name


def test_every_mention_of_the_truth_is_among_the_taggers_candidates(
    folder: Path, mentions: dict[str, list[dict[str, object]]]
) -> None:
    tagger = DictionaryTagger(
        Lexicon(c for c in UMLS(folder / "ontology").concepts() if not isinstance(c, Reject)), Allowed()
    )
    for one in reports(folder):
        tagged = {section: tagger.tag(text) for section, text in one.sections.items()}
        for mention in mentions[one.study]:
            if mention["stance"] is None:
                continue
            assert any(
                mention["cui"] in [candidate.cui for candidate in found.candidates]
                for found in tagged[str(mention["section"])]
                if found.start < int(str(mention["end"])) and found.end > int(str(mention["start"]))
            ), (one.study, mention)


def test_the_ontology_has_shared_names_several_languages_suppressed_names_and_inverse_relations(folder: Path) -> None:
    known = ontology.concepts()
    assert all(one.cui.startswith("C99") for one in known.values())
    shared = [name for one in known.values() for name in one.shared]
    assert all(shared.count(name) >= 2 for name in shared)
    conso = (folder / "ontology" / "MRCONSO.RRF").read_text(encoding="utf-8").splitlines()
    assert {row.split("|")[1] for row in conso} >= {"ENG", "SPA", "GER", "FRE"}
    assert {row.split("|")[16] for row in conso} == {"N", "O"}
    pairs = {(head, tail) for head, _, tail in ontology.relations()}
    assert pairs == {(tail, head) for head, tail in pairs}
    assert len(list(UMLS(folder / "ontology").relations({one.cui for one in known.values()}))) == len(
        set(ontology.relations())
    )


def test_reports_are_varied(folder: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("s9*.txt")]
    headers = {found for text in texts for found in re.findall(r"^ ([A-Za-z ]+): ?$", text, re.MULTILINE)}
    assert {"FINDINGS", "Findings", "IMPRESSION", "CONCLUSION", "FINDINGS AND IMPRESSION"} <= headers
    assert any("___" in text for text in texts)
    assert len(set(texts)) > 0.99 * COUNT
    assert all(len(line) <= 81 for text in texts for line in text.splitlines())


def test_radgraph_graphs_are_of_its_schema(folder: Path) -> None:
    graphs = json.loads((folder / "truth" / "radgraph.json").read_text(encoding="utf-8"))
    assert len(graphs) == COUNT
    kinds = set()
    for graph in graphs.values():
        words = graph["text"].split()
        for entity in graph["entities"].values():
            assert " ".join(words[entity["start_ix"] : entity["end_ix"] + 1]) == entity["tokens"]
            assert entity["label"] in ("ANAT-DP", "OBS-DP", "OBS-DA", "OBS-U")
            for kind, other in entity["relations"]:
                assert other in graph["entities"]
                kinds.add(kind)
    assert kinds == {"located_at", "modify", "suggestive_of"}


def test_what_is_drawn_is_told_in_triplets_of_usual_names(folder: Path) -> None:
    drawn = json.loads((folder / "truth" / "drawn.json").read_text(encoding="utf-8"))
    shown = {study.study: study.shown for study in studies(COUNT, 7)}
    assert len(drawn) == COUNT
    for name, rows in drawn.items():
        of_study = shown[int(Path(name).stem[1:])]
        words = {word for head, _, tail in rows for word in (head, tail)}
        for item in of_study:
            usual = ontology.concepts()[item.kind.value].names[0].lower()
            assert (usual in words) == (item.kind not in DEVICES or item.kind is not Kind.WIRES), name
            if item.side is Side.BOTH:
                assert [usual, "located_at", "bilateral"] in rows
            if item.kind not in DEVICES:
                assert [item.severity.value, "modify", usual] in rows


def test_questions_have_answers_that_agree_with_what_is_drawn(folder: Path) -> None:
    drawn: dict[str, set[str]] = {image: set() for one in studies(COUNT, 7) for image in one.images}
    for one in studies(COUNT, 7):
        drawn[one.images[0]] = {shown.kind.value for shown in one.shown}
    rows = json.loads((folder / "truth" / "vqa.json").read_text(encoding="utf-8"))
    asked = [row for row in rows if row["question_type"] == "PRES"]
    for row in asked:
        kind = re.sub(r"^Is there (?:an? )?|\?$", "", row["question"])
        assert (kind in drawn[row["image_name"].removesuffix(".png")]) == (row["answer"] == "yes"), row
    assert {row["answer"] for row in asked} == {"yes", "no"}
    assert len({row["qid"] for row in rows}) == len(rows)


def test_edges_of_the_truth_are_those_of_its_mentions_for_ap_images(folder: Path) -> None:
    told = {
        (f"I{one.study}", said.stance.value, ontology.concepts()[said.concept].cui)
        for one in studies(COUNT, 7)
        if "AP" in one.views
        for part in report.write(one, 7).parts
        for said in part.said
        if said.concept and said.stance
    }
    rows = [line.split(",") for line in (folder / "truth" / "edges.csv").read_text(encoding="utf-8").splitlines()[1:]]
    assert {tuple(row) for row in rows if row[0].startswith("I")} == told
    among = {tail for _, _, tail in told}
    assert {tuple(row) for row in rows if row[0].startswith("C")} == {
        relation for relation in ontology.relations() if relation[0] in among and relation[2] in among
    }


def test_nothing_that_others_wrote_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"holds mine\.txt, which this command did not write"):
        study_set.build(tmp_path, 5, images=False, replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_study_set_is_replaced_only_where_asked(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    made = study_set.build(folder, 5, images=False)
    report = next(folder.rglob("s9*.txt"))
    before = report.stat().st_ino
    assert study_set.build(folder, 5, images=False) == replace(made, existing=True)
    assert report.stat().st_ino == before, "the same one is left as it is"
    for other in ({"count": 6}, {"count": 5, "seed": 8}):
        with pytest.raises(InputError, match="written with other settings") as refused:
            study_set.build(folder, images=False, **other)
        assert "--replace" in refused.value.hint
    study_set.build(folder, 6, images=False, replace=True)
    assert len(list(folder.rglob("s9*.txt"))) == 6
    next(folder.rglob("s9*.txt")).unlink()
    with pytest.raises(InputError, match=r"\.txt is not as it was written, or is gone"):
        study_set.build(folder, 6, images=False)


@pytest.mark.parametrize("count", [0, -1, 10**9])
def test_a_size_out_of_range_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(UsageError, match="number of studies"):
        study_set.build(tmp_path / "p", count)
    assert not (tmp_path / "p").exists()


def test_patients_are_none_of_mimics_and_keep_to_one_split() -> None:
    splits: dict[int, set[str]] = {}
    for one in studies(COUNT, 7):
        assert one.subject >= FIRST_SUBJECT
        splits.setdefault(one.subject, set()).add(one.split)
    assert all(len(found) == 1 for found in splits.values())
    assert truth.mentions(next(studies(1, 7)), report.write(next(studies(1, 7)), 7))["mentions"]
