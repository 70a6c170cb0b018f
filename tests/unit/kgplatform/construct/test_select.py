"""Report selection: one report of each cluster, and those like no other."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from kgplatform.construct.pipeline import open_reports
from kgplatform.construct.report import Report
from kgplatform.construct.select import (
    ClusterSelection,
    SelectedReports,
    build_encoder,
    read_choices,
    select_reports,
    write_choices,
)
from kgplatform.errors import InputError, UsageError

NORMAL = ["The heart is normal in size. The lungs are clear.", "Heart is normal in size. Lungs are clear."]
TEXTS = [
    NORMAL[0],
    NORMAL[0],
    NORMAL[1],
    "Large right pneumothorax with shift of the mediastinum.",
    "",
    NORMAL[0] + " Normal.",
]


def _findings_report(number: int, text: str) -> Report:
    return Report(str(number), f"I{number}", {"findings": text})


def _findings_reports() -> list[Report]:
    return [_findings_report(study_number, findings_text) for study_number, findings_text in enumerate(TEXTS)]


def test_one_of_each_cluster_is_kept_and_what_is_like_no_other() -> None:
    choices = select_reports(_findings_reports(), ClusterSelection(eps=0.5))
    assert [choice.study for choice in choices] == ["0", "1", "2", "3", "5"]
    clusters = {choice.study: choice.cluster for choice in choices}
    assert clusters["0"] == clusters["1"] == clusters["2"] == clusters["5"] >= 0
    assert clusters["3"] == -1
    assert [choice.study for choice in choices if choice.is_selected] == ["0", "3"]


def test_the_kept_one_is_nearest_to_the_centroid() -> None:
    """An oracle in plain lines, on vectors that are given."""
    angles = {"0": 0.0, "1": 0.2, "2": 0.3, "3": 0.4, "4": 3.0}
    vectors = [(math.cos(angle), math.sin(angle)) for angle in angles.values()]
    import kgplatform.construct.select as module

    choices = _with_encoder(module, vectors, ClusterSelection(eps=0.1, min_samples=2, per_cluster=2))
    cluster_members = vectors[:4]
    x_sum, y_sum = sum(vector[0] for vector in cluster_members), sum(vector[1] for vector in cluster_members)
    expected_distances = [
        1 - (vector[0] * x_sum + vector[1] * y_sum) / math.hypot(x_sum, y_sum) for vector in cluster_members
    ]
    assert [round(choice.distance, 6) for choice in choices[:4]] == [
        round(expected_distance, 6) for expected_distance in expected_distances
    ]
    nearest_numbers = sorted(range(4), key=lambda vector_number: expected_distances[vector_number])[:2]
    assert [int(choice.study) for choice in choices if choice.is_selected] == sorted([*nearest_numbers, 4])


def _with_encoder(module: object, vectors: list[tuple[float, float]], selection: ClusterSelection) -> list:  # type: ignore[type-arg]
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(module, "build_encoder", lambda encoder_name: lambda texts: vectors)
    try:
        return select_reports(
            [_findings_report(report_number, f"text {report_number}") for report_number in range(len(vectors))],
            selection,
        )
    finally:
        monkeypatch.undo()


def test_no_report_or_no_text_is_no_choice() -> None:
    assert select_reports([], ClusterSelection()) == []
    assert select_reports([_findings_report(1, " \n")], ClusterSelection()) == []


def test_a_selection_is_written_read_and_used(tmp_path: Path) -> None:
    table_path = tmp_path / "r.csv"
    table_path.write_text(
        "id,findings\n"
        + "".join(f'{row_number},"{findings_text}"\n' for row_number, findings_text in enumerate(TEXTS)),
        encoding="utf-8",
    )
    report_source = open_reports("reports", table_path)
    choices = select_reports(
        [record for record in report_source.reports() if isinstance(record, Report)], ClusterSelection(eps=0.5)
    )
    write_choices(tmp_path / "s.csv", choices)
    assert read_choices(tmp_path / "s.csv") == {"0", "3"}
    selected_source = SelectedReports(report_source, tmp_path / "s.csv")
    assert [record.study for record in selected_source.reports() if isinstance(record, Report)] == ["0", "3"]
    assert selected_source.parameters != report_source.parameters
    assert (selected_source.kind, selected_source.version, selected_source.credentialed, selected_source.files) == (
        "reports",
        2,
        True,
        (table_path,),
    )


@pytest.mark.parametrize(
    "text", ["", "a,b\n", "study,cluster,distance,kept\n1,2\n", "study,cluster,distance,kept\n1,0,0,x\n"]
)
def test_a_file_that_is_no_selection_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"s\.csv"):
        read_choices(tmp_path / "s.csv")
    with pytest.raises(InputError):
        read_choices(tmp_path / "missing.csv")


@pytest.mark.parametrize("arguments", [{"eps": 0}, {"eps": 3}, {"min_samples": 0}, {"per_cluster": 0}])
def test_selection_settings_outside_their_range_are_wrong_usage(arguments: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        ClusterSelection(**arguments)  # type: ignore[arg-type]


def test_unknown_encoders_and_missing_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no encoder called word2vec"):
        build_encoder("word2vec")
    with pytest.raises(UsageError, match="takes no argument"):
        build_encoder("tfidf:x")
    for encoder_name in ("transformer", "transformer:/nowhere", "open-clip:/nowhere"):
        with pytest.raises(InputError, match="weights do not exist"):
            build_encoder(encoder_name)
    with pytest.raises(InputError, match="no backbone of the kind transformer here"):
        build_encoder(f"transformer:{tmp_path}")


def test_a_sentence_encoder_from_local_weights_encodes(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "effusion",
        *sorted(
            {
                lowercase_word
                for report_text in TEXTS
                for lowercase_word in report_text.lower().replace(".", " ").split()
            }
        ),
    ]
    bert_config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(bert_config).save_pretrained(tmp_path)
    transformers.BertTokenizer(vocab={token: token_id for token_id, token in enumerate(vocabulary)}).save_pretrained(
        tmp_path
    )
    embeddings = build_encoder(f"transformer:{tmp_path}")([NORMAL[0], NORMAL[1], NORMAL[0]])
    assert embeddings.shape == (3, 16)
    assert abs(embeddings[0] - embeddings[2]).max() < 1e-5
    assert abs(embeddings[0] - embeddings[1]).max() > 1e-3
