"""Construction over many reports: settings, other taggers, and the same result however many processes do it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgp_loaders.phantom import study_set
from kgplatform.batches import Reject
from kgplatform.construct.annotate import Annotation, Conflicts, annotate
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.metamaplite import MetaMapLite
from kgplatform.construct.open_lexicon import own_words
from kgplatform.construct.pipeline import build_tagger, open_reports
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import Allowed
from kgplatform.construct.settings import ConstructionSettings, find_settings_file, read_settings
from kgplatform.construct.spread import CHUNK, Stages, annotated
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.construct.texts import write_sections
from kgplatform.errors import InputError, UsageError

LEXICON = Lexicon(own_words())
STAGES = Stages(DictionaryTagger(LEXICON, Allowed()), rules())
TEXTS = ["Small pleural effusion. No pneumothorax.", "Possible pneumonia.", "No effusion or cardiomegaly.", "Clear."]


def _reports_and_rejects() -> list[Report | Reject]:
    report_rows: list[Report | Reject] = [
        Report(
            str(report_number),
            f"I{report_number}",
            {"findings": TEXTS[report_number % 4], "impression": TEXTS[report_number % 3]},
        )
        for report_number in range(2 * CHUNK + 10)
    ]
    report_rows[5] = Reject(Path("x.csv"), 6, "bad")
    return report_rows


def test_processes_give_what_one_gives_in_the_same_order() -> None:
    single_process = list(annotated(_reports_and_rejects(), STAGES))
    assert list(annotated(_reports_and_rejects(), STAGES, workers=2)) == single_process
    assert single_process[5] == Reject(Path("x.csv"), 6, "bad")
    assert sum(len(annotation.edges) for annotation in single_process if isinstance(annotation, Annotation)) > CHUNK


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Conflicts.keep, {"NEGATIVE", "POSITIVE", "UNCERTAIN"}),
        (Conflicts.strongest, {"POSITIVE"}),
        (Conflicts.last, {"UNCERTAIN"}),
    ],
)
def test_of_several_stances_the_policy_keeps_what_it_says(policy: Conflicts, expected: set[str]) -> None:
    report = Report("1", "I1", {"findings": "No effusion. There is an effusion.", "impression": "Possible effusion."})
    annotation = annotate(report, STAGES.tagger, STAGES.judge, policy)
    assert {stance.value for _, stance in annotation.edges} == expected


def test_a_report_is_understood_by_the_sense_that_it_names_clearly() -> None:
    lexicon = Lexicon(
        [Concept("C9900001", "chest tube"), Concept("C9900001", "tube"), Concept("C9900000", "feeding tube"),
         Concept("C9900000", "tube")]
    )  # fmt: skip
    tagger = DictionaryTagger(lexicon)
    unclear_annotation = annotate(Report("1", "I1", {"findings": "The tube is in place."}), tagger, rules())
    assert [concept.cui for concept, _ in unclear_annotation.edges] == ["C9900000"]
    clear_annotation = annotate(
        Report("1", "I1", {"findings": "The tube is in place.", "impression": "Chest tube."}), tagger, rules()
    )
    assert [concept.cui for concept, _ in clear_annotation.edges] == ["C9900001"]


def test_a_part_of_the_body_is_there_even_where_a_finding_in_it_is_not() -> None:
    lexicon = Lexicon([Concept("C9900001", "left lung", ("T023",)), Concept("C9900002", "nodule", ("T033",))])
    annotation = annotate(
        Report("1", "I1", {"findings": "No nodule in the left lung."}), DictionaryTagger(lexicon), rules()
    )
    assert {(concept.name, stance.value) for concept, stance in annotation.edges} == {
        ("nodule", "NEGATIVE"), ("left lung", "POSITIVE")
    }  # fmt: skip


def test_settings_are_read_with_paths_beside_them(tmp_path: Path) -> None:
    study_set.build_study_set(tmp_path / "p", 3, images=False)
    assert read_settings(find_settings_file(tmp_path / "p")) == ConstructionSettings(
        "mimic-cxr", tmp_path / "p", lexicon=(tmp_path / "p" / "ontology",), graph_names=False, own_words=False
    )


def test_the_cache_of_a_language_model_is_beside_the_settings(tmp_path: Path) -> None:
    settings_text = "reports: openi\npath: ../data\nllm: {model: m, cache: answers.sqlite}"
    (tmp_path / "construct.yaml").write_text(settings_text, encoding="utf-8")
    assert read_settings(find_settings_file(tmp_path)).llm["cache"] == str(tmp_path / "answers.sqlite")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("reports: openi", "the setting path is missing"),
        ("[1, 2]", "the settings must be a mapping"),
        ("a: [", "this is not YAML"),
        ("reports: openi\npath: .\ncolour: red", "no setting colour"),
        ("reports: openi\npath: .\nworkers: 0", "workers must be more than 0"),
        ("reports: openi\npath: .\nlexicon: x.csv", "lexicon must be a list"),
        ("reports: openi\npath: .\nconflicts: never", "conflicts is not one of keep, strongest, last"),
        ("!!python/object/apply:os.system ['true']", "this is not YAML"),
        ("reports: openi\npath: 2021-13-45", "this is not YAML"),
        ("reports: !!int abc\npath: .", "this is not YAML"),
        ('reports: openi\npath: .\nkeep: "a\\0b"', "keep must be the path of a file"),
        ("reports: openi\npath: 3", "path must be the path of a file"),
        ('reports: openi\npath: .\nlexicon: [a, "b\\0"]', r"lexicon\[1\] must be the path of a file"),
        ('reports: openi\npath: .\nllm: {model: m, cache: "a\\0b"}', "llm has a cache that is not the path of a file"),
        ("reports: openi\npath: .\nllm: {1: 2}", "the names in llm must be text"),
        ("reports: openi\npath: .\nworkers: true", "workers must be a whole number"),
        ("reports: openi\npath: .\nray: 1", "ray must be true or false"),
        ("reports: openi\npath: .\nviews:", "views has no value"),
        ("reports: openi\npath: .\nviews: !!set {AP}", "views must be a list"),
    ],
)
def test_wrong_construction_settings_are_a_clear_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "construct.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_settings(find_settings_file(tmp_path))


@given(text=st.text(max_size=200))
def test_any_text_is_settings_or_an_input_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    settings_path = tmp_path_factory.getbasetemp() / "any.yaml"
    settings_path.write_bytes(text.encode("utf-8", "replace"))
    with pytest.raises(InputError):
        read_settings(settings_path)


MMI = (
    '{name}.txt|MMI|3.75|Pleural effusion|C0032227|[dsyn]|"effusion"-tx-1-"effusion"-NN-0|tx|14/8||\n'
    '{name}.txt|MMI|2.50|Effusion of joint|C0013687|[dsyn]|"effusion"-tx-1-"effusion"-NN-0|tx|14/8||\n'
    '{name}.txt|MMI|1.00|Small|C0700321|[qnco]|"small"|tx|0/5||\n'
    '{name}.txt|MMI|1.00|Pneumothorax|C0032326|[dsyn]|"pneumothorax"|tx|27/12||\n'
    "{name}.txt|AA|ptx|pneumothorax|1|3|1|12|0:3\n"
)


def test_metamaplite_is_read_from_its_output_for_texts_that_kgp_wrote(tmp_path: Path) -> None:
    table_path = tmp_path / "r.csv"
    table_path.write_text('id,findings\na/b,"Small pleural effusion. No pneumothorax."\n', encoding="utf-8")
    report_source = open_reports("reports", table_path)
    assert write_sections(report_source, tmp_path / "texts") == (1, [])
    [text_path] = (tmp_path / "texts").glob("*.txt")
    text_path.with_suffix(".mmi").write_text(MMI.format(name=text_path.stem), encoding="utf-8")
    tagger = build_tagger(f"metamaplite:{tmp_path / 'texts'}", LEXICON)
    [report] = report_source.reports()
    assert isinstance(report, Report)
    mentions = tagger.tag(report.sections["findings"])
    assert [
        (mention.start, mention.end, [candidate.cui for candidate in mention.candidates]) for mention in mentions
    ] == [
        (14, 22, ["C0032227", "C0013687"]),
        (27, 39, ["C0032326"]),
    ]
    assert [candidate.score for candidate in mentions[0].candidates] == [1.0, pytest.approx(2 / 3)]
    with pytest.raises(InputError, match="has not read a report"):
        tagger.tag("Another text.")
    with pytest.raises(InputError, match="cannot be created"):
        write_sections(report_source, tmp_path / "texts")


@pytest.mark.parametrize("row", ["x|MMI|a|b|C0032227|[dsyn]||tx|1/2|", "x|MMI|1|b|D1|[dsyn]||tx|1/2|", "x|MMI|1"])
def test_damaged_output_names_its_line(tmp_path: Path, row: str) -> None:
    (tmp_path / "1.txt").write_text("text", encoding="utf-8")
    (tmp_path / "1.mmi").write_text(row + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"1\.mmi"):
        MetaMapLite(LEXICON, Allowed(), str(tmp_path)).tag("text")


@pytest.mark.parametrize("name", ["metamaplite", "metamaplite:/nowhere", "metamaplite:."])
def test_a_folder_without_output_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"MetaMapLite|\.mmi"):
        build_tagger(name, LEXICON)


def test_an_unknown_tagger_or_argument_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="no tagger called nobody"):
        build_tagger("nobody", LEXICON)
    with pytest.raises(UsageError, match="no such argument"):
        build_tagger("dictionary:fast", LEXICON)
    assert not build_tagger("dictionary:exact", LEXICON).tag("There is an efusion.")
    assert build_tagger("dictionary", LEXICON).tag("There is an efusion.")
