"""The synthetic studies: their reports, their truth, their ontology, and that all of it is the same for a seed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kgp_loaders.mimic_cxr import MIMICCXR
from kgp_loaders.phantom import ontology, report, study_set, truth
from kgp_loaders.phantom.findings import Kind, Side
from kgp_loaders.phantom.studies import DEVICES, FIRST_SUBJECT, synthetic_studies
from kgp_loaders.umls import UMLS
from kgplatform.batches import Reject
from kgplatform.construct.lexicon import Lexicon
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import Allowed
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.errors import InputError, UsageError

COUNT = 300


@pytest.fixture(scope="module")
def phantom_studies_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study_folder: Path = tmp_path_factory.mktemp("phantom") / "p"
    study_set.build_study_set(study_folder, COUNT, 7, images=False)
    return study_folder


@pytest.fixture(scope="module")
def true_mentions(phantom_studies_folder: Path) -> dict[str, list[dict[str, Any]]]:
    lines = (phantom_studies_folder / "truth" / "mentions.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["study_id"]: record["mentions"] for record in map(json.loads, lines)}


def _read_reports(folder: Path) -> list[Report]:
    records = list(MIMICCXR(folder, views=()).reports())
    assert not [record for record in records if isinstance(record, Reject)]
    return [record for record in records if isinstance(record, Report)]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file_path.relative_to(folder)): file_path.read_bytes()
        for file_path in sorted(folder.rglob("*"))
        if file_path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(tmp_path: Path) -> None:
    for folder_name, seed in (("a", 7), ("b", 7), ("c", 8)):
        study_set.build_study_set(tmp_path / folder_name, 20, seed, images=False)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_a_larger_set_begins_with_the_smaller_one() -> None:
    assert list(synthetic_studies(40, 7))[:20] == list(synthetic_studies(20, 7))


def test_the_real_loader_reads_every_report_and_the_truth_is_of_the_text_that_it_gives(
    phantom_studies_folder: Path, true_mentions: dict[str, list[dict[str, Any]]]
) -> None:
    loaded_reports = _read_reports(phantom_studies_folder)
    assert len(loaded_reports) == COUNT == len(true_mentions)
    concepts_by_cui = {concept.cui: concept for concept in ontology.concepts().values()}
    exact_count = 0
    for loaded_report in loaded_reports:
        for mention in true_mentions[loaded_report.study]:
            mention_text = loaded_report.sections[mention["section"]][mention["start"] : mention["end"]]
            normal_text = " ".join(mention_text.split()).lower()
            concept_names = {concept_name.lower() for concept_name in concepts_by_cui[str(mention["cui"])].names}
            exact_count += any(normal_text in (concept_name, concept_name + "s") for concept_name in concept_names)
    total = sum(map(len, true_mentions.values()))
    assert 0.93 < exact_count / total < 1.0  # the rest are misspelt, or plurals of another name


def test_every_mention_of_the_truth_is_among_the_taggers_candidates(
    phantom_studies_folder: Path, true_mentions: dict[str, list[dict[str, Any]]]
) -> None:
    tagger = DictionaryTagger(
        Lexicon(
            concept
            for concept in UMLS(phantom_studies_folder / "ontology").concepts()
            if not isinstance(concept, Reject)
        ),
        Allowed(),
    )
    for loaded_report in _read_reports(phantom_studies_folder):
        tagged = {section: tagger.tag(section_text) for section, section_text in loaded_report.sections.items()}
        for mention in true_mentions[loaded_report.study]:
            if mention["stance"] is None:
                continue
            assert any(
                mention["cui"] in [candidate.cui for candidate in tagged_mention.candidates]
                for tagged_mention in tagged[str(mention["section"])]
                if tagged_mention.start < int(str(mention["end"])) and tagged_mention.end > int(str(mention["start"]))
            ), (loaded_report.study, mention)


def test_the_ontology_has_shared_names_several_languages_suppressed_names_and_inverse_relations(
    phantom_studies_folder: Path,
) -> None:
    concepts_by_name = ontology.concepts()
    assert all(concept.cui.startswith("C99") for concept in concepts_by_name.values())
    shared_names = [shared_name for concept in concepts_by_name.values() for shared_name in concept.shared]
    assert all(shared_names.count(shared_name) >= 2 for shared_name in shared_names)
    conso_lines = (phantom_studies_folder / "ontology" / "MRCONSO.RRF").read_text(encoding="utf-8").splitlines()
    assert {line.split("|")[1] for line in conso_lines} >= {"ENG", "SPA", "GER", "FRE"}
    assert {line.split("|")[16] for line in conso_lines} == {"N", "O"}
    related_pairs = {(head, tail) for head, _, tail in ontology.relations()}
    assert related_pairs == {(tail, head) for head, tail in related_pairs}
    assert len(
        list(
            UMLS(phantom_studies_folder / "ontology").relations({concept.cui for concept in concepts_by_name.values()})
        )
    ) == len(set(ontology.relations()))


def test_reports_are_varied(phantom_studies_folder: Path) -> None:
    texts = [report_path.read_text(encoding="utf-8") for report_path in phantom_studies_folder.rglob("s9*.txt")]
    headers = {
        header for report_text in texts for header in re.findall(r"^ ([A-Za-z ]+): ?$", report_text, re.MULTILINE)
    }
    assert {"FINDINGS", "Findings", "IMPRESSION", "CONCLUSION", "FINDINGS AND IMPRESSION"} <= headers
    assert any("___" in report_text for report_text in texts)
    assert len(set(texts)) > 0.99 * COUNT
    assert all(len(line) <= 81 for report_text in texts for line in report_text.splitlines())


def test_radgraph_graphs_are_of_its_schema(phantom_studies_folder: Path) -> None:
    graphs = json.loads((phantom_studies_folder / "truth" / "radgraph.json").read_text(encoding="utf-8"))
    assert len(graphs) == COUNT
    relations = set()
    for graph in graphs.values():
        tokens = graph["text"].split()
        for entity in graph["entities"].values():
            assert " ".join(tokens[entity["start_ix"] : entity["end_ix"] + 1]) == entity["tokens"]
            assert entity["label"] in ("ANAT-DP", "OBS-DP", "OBS-DA", "OBS-U")
            for relation, target_id in entity["relations"]:
                assert target_id in graph["entities"]
                relations.add(relation)
    assert relations == {"located_at", "modify", "suggestive_of"}


def test_what_is_drawn_is_told_in_triplets_of_usual_names(phantom_studies_folder: Path) -> None:
    image_triplets = json.loads((phantom_studies_folder / "truth" / "drawn.json").read_text(encoding="utf-8"))
    study_findings = {study.study: study.findings for study in synthetic_studies(COUNT, 7)}
    assert len(image_triplets) == COUNT
    for image_name, triplets in image_triplets.items():
        findings = study_findings[int(Path(image_name).stem[1:])]
        entity_names = {entity_name for head, _, tail in triplets for entity_name in (head, tail)}
        for finding in findings:
            usual_name = ontology.concepts()[finding.kind.value].names[0].lower()
            assert (usual_name in entity_names) == (finding.kind not in DEVICES or finding.kind is not Kind.WIRES), (
                image_name
            )
            if finding.side is Side.BOTH:
                assert [usual_name, "located_at", "bilateral"] in triplets
            if finding.kind not in DEVICES:
                assert [finding.severity.value, "modify", usual_name] in triplets


def test_questions_have_answers_that_agree_with_what_is_drawn(phantom_studies_folder: Path) -> None:
    image_findings: dict[str, set[str]] = {
        image_id: set() for phantom_study in synthetic_studies(COUNT, 7) for image_id in phantom_study.images
    }
    for phantom_study in synthetic_studies(COUNT, 7):
        image_findings[phantom_study.images[0]] = {finding.kind.value for finding in phantom_study.findings}
    questions = json.loads((phantom_studies_folder / "truth" / "vqa.json").read_text(encoding="utf-8"))
    presence_questions = [question for question in questions if question["question_type"] == "PRES"]
    for question in presence_questions:
        finding_name = re.sub(r"^Is there (?:an? )?|\?$", "", question["question"])
        assert (finding_name in image_findings[question["image_name"].removesuffix(".png")]) == (
            question["answer"] == "yes"
        ), question
    assert {question["answer"] for question in presence_questions} == {"yes", "no"}
    assert len({question["qid"] for question in questions}) == len(questions)


def test_edges_of_the_truth_are_those_of_its_mentions_for_ap_images(phantom_studies_folder: Path) -> None:
    expected_edges = {
        (f"I{phantom_study.study}", mention.stance.value, ontology.concepts()[mention.concept].cui)
        for phantom_study in synthetic_studies(COUNT, 7)
        if "AP" in phantom_study.views
        for report_part in report.write_report(phantom_study, 7).parts
        for mention in report_part.spans
        if mention.concept and mention.stance
    }
    edges = [
        line.split(",")
        for line in (phantom_studies_folder / "truth" / "edges.csv").read_text(encoding="utf-8").splitlines()[1:]
    ]
    assert {tuple(edge) for edge in edges if edge[0].startswith("I")} == expected_edges
    concept_cuis = {tail for _, _, tail in expected_edges}
    assert {tuple(edge) for edge in edges if edge[0].startswith("C")} == {
        relation for relation in ontology.relations() if relation[0] in concept_cuis and relation[2] in concept_cuis
    }


def test_nothing_that_others_wrote_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"contains mine\.txt, which this command did not write"):
        study_set.build_study_set(tmp_path, 5, images=False, replace=True)
    assert [file_path.name for file_path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_study_set_is_replaced_only_where_asked(tmp_path: Path) -> None:
    set_folder = tmp_path / "p"
    study_result = study_set.build_study_set(set_folder, 5, images=False)
    report = next(set_folder.rglob("s9*.txt"))
    original_inode = report.stat().st_ino
    assert study_set.build_study_set(set_folder, 5, images=False) == replace(study_result, existing=True)
    assert report.stat().st_ino == original_inode, "the same one is left as it is"
    for count, seed in ((6, 7), (5, 8)):
        with pytest.raises(InputError, match="written with other settings") as refusal:
            study_set.build_study_set(set_folder, count, seed, images=False)
        assert "--replace" in refusal.value.hint
    study_set.build_study_set(set_folder, 6, images=False, replace=True)
    assert len(list(set_folder.rglob("s9*.txt"))) == 6
    next(set_folder.rglob("s9*.txt")).unlink()
    with pytest.raises(InputError, match=r"\.txt was changed or deleted"):
        study_set.build_study_set(set_folder, 6, images=False)


@pytest.mark.parametrize("count", [0, -1, 10**9])
def test_a_size_out_of_range_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(UsageError, match="number of studies"):
        study_set.build_study_set(tmp_path / "p", count)
    assert not (tmp_path / "p").exists()


def test_patients_are_none_of_mimics_and_keep_to_one_split() -> None:
    splits: dict[int, set[str]] = {}
    for study in synthetic_studies(COUNT, 7):
        assert study.subject >= FIRST_SUBJECT
        splits.setdefault(study.subject, set()).add(study.split)
    assert all(len(subject_splits) == 1 for subject_splits in splits.values())
    assert truth.report_mentions(next(synthetic_studies(1, 7)), report.write_report(next(synthetic_studies(1, 7)), 7))[
        "mentions"
    ]
