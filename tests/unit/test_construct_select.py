"""Report selection: one report of each cluster, and those like no other."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from kgplatform.construct.pipeline import reports_of
from kgplatform.construct.report import Report
from kgplatform.construct.select import Kept, Selection, encoder_of, read, select, write
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


def report(number: int, text: str) -> Report:
    return Report(str(number), f"I{number}", {"findings": text})


def reports() -> list[Report]:
    return [report(number, text) for number, text in enumerate(TEXTS)]


def test_one_of_each_cluster_is_kept_and_what_is_like_no_other() -> None:
    choices = select(reports(), Selection(eps=0.5))
    assert [choice.study for choice in choices] == ["0", "1", "2", "3", "5"]
    clusters = {choice.study: choice.cluster for choice in choices}
    assert clusters["0"] == clusters["1"] == clusters["2"] == clusters["5"] >= 0
    assert clusters["3"] == -1
    assert [choice.study for choice in choices if choice.kept] == ["0", "3"]


def test_the_kept_one_is_nearest_to_the_centroid() -> None:
    """An oracle in plain lines, on vectors that are given."""
    angles = {"0": 0.0, "1": 0.2, "2": 0.3, "3": 0.4, "4": 3.0}
    vectors = [(math.cos(angle), math.sin(angle)) for angle in angles.values()]
    import kgplatform.construct.select as module

    choices = _with_encoder(module, vectors, Selection(eps=0.1, min_samples=2, per_cluster=2))
    members = vectors[:4]
    x, y = sum(v[0] for v in members), sum(v[1] for v in members)
    distances = [1 - (v[0] * x + v[1] * y) / math.hypot(x, y) for v in members]
    assert [round(choice.distance, 6) for choice in choices[:4]] == [round(one, 6) for one in distances]
    nearest = sorted(range(4), key=lambda number: distances[number])[:2]
    assert [int(choice.study) for choice in choices if choice.kept] == sorted([*nearest, 4])


def _with_encoder(module: object, vectors: list[tuple[float, float]], selection: Selection) -> list:  # type: ignore[type-arg]
    patch = pytest.MonkeyPatch()
    patch.setattr(module, "encoder_of", lambda name: lambda texts: vectors)
    try:
        return select([report(number, f"text {number}") for number in range(len(vectors))], selection)
    finally:
        patch.undo()


def test_no_report_or_no_text_is_no_choice() -> None:
    assert select([], Selection()) == []
    assert select([report(1, " \n")], Selection()) == []


def test_a_selection_is_written_read_and_used(tmp_path: Path) -> None:
    table = tmp_path / "r.csv"
    table.write_text("id,findings\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(TEXTS)), encoding="utf-8")
    source = reports_of("reports", table)
    choices = select([row for row in source.reports() if isinstance(row, Report)], Selection(eps=0.5))
    write(tmp_path / "s.csv", choices)
    assert read(tmp_path / "s.csv") == {"0", "3"}
    kept = Kept(source, tmp_path / "s.csv")
    assert [row.study for row in kept.reports() if isinstance(row, Report)] == ["0", "3"]
    assert kept.parameters != source.parameters
    assert (kept.kind, kept.version, kept.credentialed, kept.files) == ("reports", 1, True, (table,))


@pytest.mark.parametrize(
    "text", ["", "a,b\n", "study,cluster,distance,kept\n1,2\n", "study,cluster,distance,kept\n1,0,0,x\n"]
)
def test_a_file_that_is_no_selection_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"s\.csv"):
        read(tmp_path / "s.csv")
    with pytest.raises(InputError):
        read(tmp_path / "missing.csv")


@pytest.mark.parametrize("arguments", [{"eps": 0}, {"eps": 3}, {"min_samples": 0}, {"per_cluster": 0}])
def test_settings_out_of_range_are_wrong_usage(arguments: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Selection(**arguments)  # type: ignore[arg-type]


def test_unknown_encoders_and_missing_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no encoder called word2vec"):
        encoder_of("word2vec")
    with pytest.raises(UsageError, match="takes no argument"):
        encoder_of("tfidf:x")
    for name in ("transformer", "transformer:/nowhere", "open-clip:/nowhere"):
        with pytest.raises(InputError, match="weights are not there"):
            encoder_of(name)
    with pytest.raises(InputError, match="no backbone of the kind transformer here"):
        encoder_of(f"transformer:{tmp_path}")


def test_a_sentence_encoder_from_local_weights_encodes(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "effusion",
        *sorted({w for t in TEXTS for w in t.lower().replace(".", " ").split()}),
    ]
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    transformers.BertTokenizer(vocab={word: number for number, word in enumerate(words)}).save_pretrained(tmp_path)
    vectors = encoder_of(f"transformer:{tmp_path}")([NORMAL[0], NORMAL[1], NORMAL[0]])
    assert vectors.shape == (3, 16)
    assert abs(vectors[0] - vectors[2]).max() < 1e-5
    assert abs(vectors[0] - vectors[1]).max() > 1e-3
