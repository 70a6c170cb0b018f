"""Studies as records: sentences, thinned reports, layouts, and that no test report is in the training."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from kgp_loaders.radgraph import Entity, ReportGraph
from kgp_models.generator.read_studies import (
    SPLITS,
    by_sentence,
    graph_records,
    read_image_triplets,
    read_studies,
    split_by_name,
)
from kgp_models.generator.records import (
    LONG,
    Sentence,
    Study,
    data_sha256,
    finding,
    mixed,
    repeated_reports,
    require_apart,
    shared_studies,
    thinned,
)
from kgp_models.generator.settings import DataSettings
from kgplatform.errors import InputError, UsageError
from kgplatform.triplets.text import Relation, Triplet
from tests import generators

AT, MODIFY = Relation.LOCATED_AT, Relation.MODIFY
TEXT = "Small left effusion . No edema of the lungs ."
LEFT = Triplet("effusion", Relation.LOCATED_AT, "left")
SMALL = Triplet("small", Relation.MODIFY, "effusion")
EDEMA = Triplet("edema", Relation.LOCATED_AT, "lungs")
NODULE = Triplet("lung nodule", Relation.LOCATED_AT, "right lung")
STUDY = Study(
    "I1", Path("1.png"),
    (Sentence("Small left effusion .", (SMALL, LEFT)), Sentence("No edema of the lungs .", (EDEMA,))),
)  # fmt: skip


def _report_graph(name: str = "1", text: str = TEXT) -> ReportGraph:
    return ReportGraph(
        name, text,
        (
            Entity("1", "Small", "Observation", "present", 0, 0, ((Relation.MODIFY, "3"),)),
            Entity("2", "left", "Anatomy", "present", 1, 1),
            Entity("3", "effusion", "Observation", "present", 2, 2, ((Relation.LOCATED_AT, "2"),)),
            Entity("4", "edema", "Observation", "absent", 5, 5, ((Relation.LOCATED_AT, "5"),)),
            Entity("5", "lungs", "Anatomy", "present", 8, 8),
        ), "", "",
    )  # fmt: skip


def _radgraph_document(name: str = "1", text: str = TEXT) -> dict[str, object]:
    labels = {"Observation": "OBS-DP", "Anatomy": "ANAT-DP"}
    entities = {
        entity.id: {"tokens": entity.text, "label": labels[entity.kind], "start_ix": entity.start, "end_ix": entity.end,
                 "relations": [[relation.value, tail] for relation, tail in entity.relations]}
        for entity in _report_graph().entities
    }  # fmt: skip
    return {name: {"text": text, "entities": entities}}


# sentences


def test_a_triplet_stands_with_the_sentence_of_its_head() -> None:
    assert by_sentence(_report_graph()) == STUDY.sentences


def test_places_beyond_the_text_go_to_its_last_sentence_and_an_empty_text_has_none() -> None:
    far_graph = ReportGraph(
        "1", TEXT, tuple(replace(element, start=900, end=900) for element in _report_graph().entities), "", ""
    )
    assert [len(element.triplets) for element in by_sentence(far_graph)] == [0, 3]
    assert by_sentence(_report_graph(text="")) == ()


def test_a_record_is_the_papers_form() -> None:
    record = STUDY.record()
    assert record.document("Do it.") == {
        "instruction": "Do it.",
        "input": TEXT,
        "output": "small, modify, effusion; effusion, located_at, left; edema, located_at, lungs",
        "image": "1.png",
    }
    assert Study("I2", None, ()).record().document("")["output"] == "none"


# thinning


def test_without_drawn_triplets_what_was_left_out_is_still_told() -> None:
    record = STUDY.record({1})
    assert record.report == "No edema of the lungs ."
    assert record.triplets == (EDEMA, SMALL, LEFT)


@pytest.mark.parametrize(
    ("sentence_numbers", "message"),
    [
        (None, (SMALL, LEFT, EDEMA)),  # whole: the report alone, although the image shows a nodule
        ({0, 1}, (SMALL, LEFT, EDEMA)),
        ({0}, (SMALL, LEFT, NODULE)),  # the effusion is spoken of already
        ({1}, (EDEMA, LEFT, SMALL, NODULE)),
        (set(), (LEFT, SMALL, NODULE)),
    ],
)
def test_what_is_drawn_follows_only_where_sentences_are_missing_and_say_nothing_of_it(
    sentence_numbers: set[int] | None, message: tuple[Triplet, ...]
) -> None:
    study = replace(STUDY, image_triplets=(LEFT, SMALL, NODULE))
    assert study.record(sentence_numbers).triplets == message


def test_entities_that_mean_the_same_count_as_told() -> None:
    study = replace(STUDY, image_triplets=(Triplet("pleural effusion", Relation.LOCATED_AT, "left lung"), NODULE))
    concept_by_text = {"effusion": "C1", "pleural effusion": "C1"}
    assert study.record({0}, lambda text: concept_by_text.get(text, text)).triplets == (SMALL, LEFT, NODULE)


def test_an_image_that_shows_nothing_adds_nothing() -> None:
    assert replace(STUDY, image_triplets=()).record({1}).triplets == (EDEMA,)
    assert replace(STUDY, image_triplets=()).record(set()).triplets == ()


def test_a_share_of_the_sentences_is_left_out_by_chance_but_repeatably() -> None:
    long_study = Study("I1", None, tuple(Sentence(f"Sentence {number} .", ()) for number in range(8)))
    sentence_samples = [thinned(long_study, 0.25, random.Random(seed)) for seed in (1, 1, 2)]
    assert sentence_samples[0] == sentence_samples[1] != sentence_samples[2]
    assert [len(sample) for sample in sentence_samples] == [6, 6, 6]
    assert thinned(long_study, 1.0, random.Random(1)) == set()
    assert thinned(Study("I1", None, ()), 0.5, random.Random(1)) == set()


def test_a_share_of_the_sentences_comes_from_other_reports_with_its_triplets() -> None:
    long_study = Study(
        "I1",
        Path("1.png"),
        tuple(Sentence(f"Sentence {sentence_number} .", ()) for sentence_number in range(1000)),
        image_triplets=(NODULE,),
    )
    sentence_pool = [Sentence("No edema .", (EDEMA,)), Sentence("Small effusion .", (SMALL,))]
    mixed_studies = [mixed(long_study, sentence_pool, 0.25, random.Random(seed)) for seed in (1, 1, 2)]
    assert mixed_studies[0] == mixed_studies[1] != mixed_studies[2]
    assert (mixed_studies[0].id, mixed_studies[0].image, mixed_studies[0].image_triplets) == (
        long_study.id,
        long_study.image,
        long_study.image_triplets,
    )
    foreign_indices = [
        sentence_index
        for sentence_index, sentence in enumerate(mixed_studies[0].sentences)
        if sentence != long_study.sentences[sentence_index]
    ]
    assert 200 < len(foreign_indices) < 300
    assert {mixed_studies[0].sentences[sentence_index] for sentence_index in foreign_indices} == set(sentence_pool)
    assert set(mixed_studies[0].record().triplets) == {EDEMA, SMALL}
    assert mixed(long_study, sentence_pool, 0.0, random.Random(1)) is long_study
    assert mixed(Study("I1", None, ()), [], 0.5, random.Random(1)).sentences == ()


def test_what_a_triplet_is_about() -> None:
    assert (finding(SMALL), finding(LEFT)) == ("effusion", "effusion")


# layouts


def test_the_invented_studies_are_in_mimics_layout(synthetic_studies_folder: Path) -> None:
    settings = generators.tiny_generator_settings().data
    training, test = (
        read_studies(settings, "train", synthetic_studies_folder),
        read_studies(settings, "test", synthetic_studies_folder),
    )
    assert 0 < len(test) < len(training) < generators.STUDIES
    assert all(element.image is not None and element.image.is_file() and element.sentences for element in training)
    assert any(element.image_triplets for element in training)
    assert any(element.triplets for study in training for element in study.sentences)
    assert data_sha256(training) != data_sha256(training[1:])
    require_apart(training, test)


def iu_xray(folder: Path) -> DataSettings:
    entries = [{"id": study_name, "report": "Small left effusion. No edema of the lungs.",
                "image_path": [f"{study_name}/0.png"]}
               for study_name in ("CXR1_IM-1", "CXR2_IM-2", "CXR3_IM-3")]  # fmt: skip
    entries_by_split = {"train": entries[:2], "val": entries[2:], "test": []}
    (folder / "annotation.json").write_text(json.dumps(entries_by_split), encoding="utf-8")
    graph_document = {**_radgraph_document("CXR1_IM-1"), **_radgraph_document("CXR3_IM-3")}
    (folder / "graphs.json").write_text(json.dumps(graph_document), encoding="utf-8")
    return DataSettings(reports="iu-xray", graphs=("graphs.json",), views=(), validation="val")


def test_iu_xray_is_read_in_r2gens_layout(tmp_path: Path) -> None:
    settings = iu_xray(tmp_path)
    [study] = read_studies(settings, "train", tmp_path)  # the second has no graph
    assert study.image == tmp_path / "images" / "CXR1_IM-1" / "0.png"
    assert study.sentences == STUDY.sentences
    assert [study.image for study in read_studies(settings, "val", tmp_path)] == [tmp_path / "images/CXR3_IM-3/0.png"]
    with pytest.raises(InputError, match="no study of the split 'test'"):
        read_studies(settings, "test", tmp_path)


def test_what_the_data_have_and_cannot_be_used_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = iu_xray(tmp_path)
    graph_document = {**_radgraph_document("CXR1_IM-1"), "zebrafinch": {"text": 7}}
    (tmp_path / "graphs.json").write_text(json.dumps(graph_document), encoding="utf-8")
    entries = json.loads((tmp_path / "annotation.json").read_text(encoding="utf-8"))
    entries["train"].append({"id": "CXR9_IM-9", "report": 9, "image_path": []})
    (tmp_path / "annotation.json").write_text(json.dumps(entries), encoding="utf-8")
    assert len(read_studies(settings, "train", tmp_path)) == 1
    graph_message, report_message, missing_message = caplog.messages
    assert graph_message.startswith(f"1 graph left out, the first of them {tmp_path / 'graphs.json'}, row 2: ")
    assert report_message.startswith(f"1 report left out, the first of them {tmp_path / 'annotation.json'}, row ")
    assert missing_message == "1 study of the split train has no graph"


def test_loaders_that_cannot_be_are_wrong_usage(tmp_path: Path) -> None:
    settings = iu_xray(tmp_path)
    with pytest.raises(UsageError, match="no loader of reports called nobody"):
        read_studies(replace(settings, reports="nobody"), "train", tmp_path)


def openi(folder: Path, targets: Literal["codes", "constructed"], splits: str | None = None) -> DataSettings:
    """Twenty studies: a code and a report that states it, in even ones; in odd ones nothing is coded."""
    reports = [
        f"{uid},{'' if uid % 2 else 'Opacity/lung/base/left'},,PA,,,{REPORT if uid % 2 == 0 else 'Clear.'},"
        for uid in range(1, 21)
    ]
    header = "uid,MeSH,Problems,image,indication,comparison,findings,impression"
    (folder / "indiana_reports.csv").write_text("\n".join([header, *reports]) + "\n", encoding="utf-8")
    images = "".join(f"{uid},{uid}_IM-1.dcm.png,Frontal\n" for uid in range(1, 21))
    (folder / "indiana_projections.csv").write_text(f"uid,filename,projection\n{images}", encoding="utf-8")
    return DataSettings(reports="openi", targets=targets, views=("Frontal",), splits=splits, images="images")


REPORT = "There is a mild opacity in the left lung base. No effusion."


def test_codes_are_the_targets_of_a_whole_study(tmp_path: Path) -> None:
    settings = openi(tmp_path, "codes")
    studies = [
        study for split in ("train", "validate", "test") for study in read_studies_if_any(settings, split, tmp_path)
    ]
    assert {study.id for study in studies} == {f"I{uid}" for uid in range(2, 21, 2)}, "studies without codes have none"
    for study in studies:
        expected = (Triplet("opacity", AT, "lung"), Triplet("opacity", AT, "base"), Triplet("left", MODIFY, "opacity"))
        assert study.record().triplets == study.record(set()).triplets == study.record({1}).triplets == expected
        assert study.record({1}).report == "No effusion ."


def test_without_a_file_of_splits_a_study_is_in_one_split_by_its_name() -> None:
    splits = [split_by_name(str(uid)) for uid in range(2_000)]
    assert splits == [split_by_name(str(uid)) for uid in range(2_000)]
    assert {split: round(splits.count(split) / 2_000, 1) for split in SPLITS} == {
        "train": 0.8, "validate": 0.1, "test": 0.1,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_file_of_splits_decides(tmp_path: Path, form: str) -> None:
    """R2Gen's own, whose ids name OpenI's studies, or a table; what it does not name is of the split other."""
    if form == "json":
        document = {"train": [{"id": "CXR2_IM-0652"}, {"id": "CXR4_IM-1"}], "val": [{"id": "CXR6_IM-1"}], "test": []}
        (tmp_path / "splits.json").write_text(json.dumps(document), encoding="utf-8")
    else:
        (tmp_path / "splits.csv").write_text("study,split\n2,train\n4,train\n6,val\n", encoding="utf-8")
    settings = openi(tmp_path, "codes", f"splits.{form}")
    assert [study.id for study in read_studies(settings, "train", tmp_path)] == ["I2", "I4"]
    assert [study.id for study in read_studies(settings, "val", tmp_path)] == ["I6"]
    assert [study.id for study in read_studies(settings, "other", tmp_path)] == [f"I{uid}" for uid in range(8, 21, 2)]


@pytest.mark.parametrize("text", ["[]", "{}x", '{"train": [{"study": 1}]}', '{"train": 7}'])
def test_a_damaged_file_of_splits_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "splits.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"splits\.json"):
        read_studies(openi(tmp_path, "codes", "splits.json"), "train", tmp_path)


def test_construction_gives_silver_targets_by_sentence(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("study,split\n2,train\n", encoding="utf-8")
    [study] = read_studies(openi(tmp_path, "constructed", "splits.csv"), "train", tmp_path)
    present, denied = study.sentences
    assert Triplet("left", MODIFY, "lung opacity") in present.triplets or any(
        triplet.head == "left" and triplet.relation is MODIFY for triplet in present.triplets
    )
    assert any(triplet.relation is AT and triplet.tail == "base" for triplet in present.triplets)
    assert any(triplet.head == "mild" for triplet in present.triplets)
    assert denied == Sentence("No effusion .", ())


def read_studies_if_any(settings: DataSettings, split: str, base: Path) -> list[Study]:
    try:
        return read_studies(settings, split, base)
    except InputError:
        return []


def test_a_patient_of_the_training_is_not_tested_and_repeated_reports_are_told_apart() -> None:
    long_sentence = Sentence(" ".join(["clear"] * LONG), ())
    training = [Study("I1", None, (long_sentence,), subject="p1")]
    same_patient = Study("I2", None, (Sentence("Clear.", ()),), subject="p1")
    same_report = Study("I3", None, (long_sentence,), subject="p3")
    assert shared_studies(training, [same_patient, same_report]) == [same_patient]
    assert repeated_reports(training, [same_patient, same_report]) == [same_report]
    require_apart(training, [same_report])
    with pytest.raises(InputError, match="patients"):
        require_apart(training, [same_patient])


def test_graphs_alone_are_records_without_images(tmp_path: Path) -> None:
    (tmp_path / "g.json").write_text(json.dumps({**_radgraph_document("a"), "b": {"text": "x"}}), encoding="utf-8")
    [record] = graph_records(tmp_path / "g.json")
    assert (record.id, record.image, record.report, set(record.triplets)) == ("a", None, TEXT, {SMALL, LEFT, EDEMA})


# what images show


def test_drawn_triplets_are_read(tmp_path: Path) -> None:
    drawn_path = tmp_path / "drawn.json"
    drawn_path.write_text(json.dumps({"p10/p1/s12345678.txt": [["Effusion", "located_at", "left."]], "x": []}), "utf-8")
    assert read_image_triplets(drawn_path) == {"12345678": (LEFT,), "x": ()}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "1", '{"a": 1}', '{"a": [[1, 2, 3]]}', '{"a": [["x", "located_at"]]}', '{"a": [["x", "is", "y"]]}',
     '{"a": {"b": 1}}', "[" * 100_000, '{"a": [["x", "located_at", "y"]]', '{"a": "abc"}'],
)  # fmt: skip
def test_damaged_drawn_triplets_are_one_clear_error(tmp_path: Path, content: str) -> None:
    drawn_path = tmp_path / "drawn.json"
    drawn_path.write_text(content, encoding="utf-8")
    with pytest.raises(
        InputError, match=r"drawn\.json(, row 1)?: (is not a JSON object of triplets|the file is not JSON)"
    ):
        read_image_triplets(drawn_path)
    drawn_path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError):
        read_image_triplets(drawn_path)
    with pytest.raises(InputError, match="no such file"):
        read_image_triplets(tmp_path / "missing.json")


# training and test apart


def test_a_test_study_in_the_training_is_refused() -> None:
    require_apart([STUDY], [replace(STUDY, id="I9")])
    with pytest.raises(InputError, match="1 test studies or their patients are also in training; the first is I1"):
        require_apart([STUDY], [STUDY])
    with pytest.raises(InputError, match=r"the first is p10/p1/s50414267\.txt"):  # as RadGraph calls it
        require_apart([replace(STUDY, id="I50414267")], [replace(STUDY, id="p10/p1/s50414267.txt")])
    with pytest.raises(InputError) as raised:
        require_apart([STUDY], [STUDY])
    assert "effusion" not in f"{raised.value}{raised.value.hint}"


def test_a_long_report_of_the_training_is_repeated_regardless_of_its_spaces_and_a_short_one_not() -> None:
    sentences = tuple(Sentence(f"There is finding {number} in the left lung .", ()) for number in range(5))
    long_study = replace(STUDY, id="I2", sentences=sentences)
    spaced = tuple(sentence._replace(text=sentence.text.replace(" ", "  ")) for sentence in sentences)
    others = [replace(STUDY, id="I9"), replace(long_study, id="I4", sentences=spaced)]
    assert repeated_reports([STUDY, long_study], others) == others[1:]
