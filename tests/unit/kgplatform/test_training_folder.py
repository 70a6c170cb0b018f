"""The folder of a training is one trainer's: what others left there is never written into."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgplatform.errors import UsageError
from kgplatform.training_folder import MARK, MODELS, TRAINERS, check_training_folder, take

OLD = {  # as earlier versions left them, without a mark
    "kgp train links": "training.safetensors",
    "kgp train generator": "training.json",
    "kgp train retrieval": "work/training.json",
    "kgp train images": "work/links/training.json",
    "kgp train vqa": "work/base/training.json",
}


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}", encoding="utf-8")


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("trainer", list(TRAINERS))
@pytest.mark.parametrize("other", list(TRAINERS))
def test_no_trainer_writes_into_the_training_of_another(trainer: str, other: str, marked: bool, tmp_path: Path) -> None:
    out_folder = tmp_path / "out"
    if marked:
        take(out_folder, trainer)
    put(out_folder / OLD[trainer])
    original_paths = sorted(out_folder.rglob("*"))
    if other == trainer:
        take(out_folder, other)
        assert (out_folder / MARK).is_file()
        return
    with pytest.raises(UsageError, match=f"holds an unfinished training of `{trainer}`") as refusal:
        take(out_folder, other)
    assert "--out" in refusal.value.hint
    assert sorted(out_folder.rglob("*")) == original_paths


@pytest.mark.parametrize("model", list(MODELS))
def test_a_finished_model_stays(model: str, tmp_path: Path) -> None:
    put(tmp_path / model)
    for trainer in TRAINERS:
        if trainer != MODELS[model]:
            with pytest.raises(UsageError, match=f"holds a model of `{MODELS[model]}`"):
                take(tmp_path, trainer)
    with pytest.raises(UsageError, match="holds a trained model"):
        check_training_folder(tmp_path, MODELS[model], model, "kgp ask --model")


def test_files_of_the_user_stay_and_an_empty_folder_is_anybodys(tmp_path: Path) -> None:
    for trainer in TRAINERS:
        take(tmp_path / "new", trainer)  # the mark alone is no training
    put(tmp_path / "mine" / "notes.txt")
    put(tmp_path / "mine" / "work" / "notes.txt")
    put(tmp_path / "file")
    for trainer in TRAINERS:
        with pytest.raises(UsageError, match=r"holds other files \(notes\.txt\)"):
            take(tmp_path / "mine", trainer)
        with pytest.raises(UsageError, match="is not a folder"):
            take(tmp_path / "file", trainer)
    assert not (tmp_path / "mine" / MARK).exists()
