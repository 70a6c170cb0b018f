"""Files of models, trainings and caches that are FIFOs, unpack to far more than they have, or are damaged."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import BertModel

from kgp_models.generator import checkpoint as generator
from kgp_models.generator.checkpoint import LANGUAGE
from kgp_models.generator.encoded import encoded
from kgp_models.generator.language import read_language, read_tokenizer
from kgp_models.generator.records import Study
from kgp_models.generator.train import Work
from kgp_models.generator.trainers import _last
from kgp_models.link_prediction.pool_checkpoint import load_any
from kgp_models.retrieval import checkpoint as retrieval
from kgp_models.retrieval.inputs import read_pictures
from kgp_models.towers import vision as vision_of
from kgp_models.towers.backbone import Picture
from kgp_models.towers.backbones import open_backbone, open_text
from kgp_models.towers.feature_cache import load_or_compute
from kgp_models.towers.small_vision import SmallVision
from kgp_models.training.model_files import require_model_folder
from kgp_models.training.training_state import CLAIM_FILE, TrainingState, claim
from kgp_models.vqa import checkpoint as vqa
from kgplatform import training_folder
from kgplatform.errors import InputError, UsageError
from kgplatform.interrupt import Checkpoints
from tests import generators
from tests.unit.models.retrieval import retrieval_world as world
from tests.unit.models.towers import backbone_folders

pytestmark = pytest.mark.slow  # torch


def compress(path: Path) -> None:
    """Make a bomb of a zip: it holds the same, compressed, and torch and numpy read it all the same."""
    with zipfile.ZipFile(path) as archive:
        members = {member_name: archive.read(member_name) for member_name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member_name, content in members.items():
            archive.writestr(member_name, content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


DAMAGES = pytest.mark.parametrize("damage", [compress, cut, fifo])
Damage = Callable[[Path], None]


def _training_state(path: Path) -> TrainingState:
    return TrainingState(path, {"model": nn.Linear(1_000, 10)}, steps=1, epochs=2)


@DAMAGES
def test_the_state_of_a_training_is_refused_and_left_as_it_is(tmp_path: Path, damage: Damage) -> None:
    state_path = tmp_path / "training.state"
    training_state = _training_state(state_path)
    torch.nn.init.zeros_(training_state._parts["model"].weight)
    list(training_state.epoch([1], Checkpoints()))
    training_state.end_epoch(Checkpoints())
    _training_state(state_path).resume()
    damage(state_path)
    original_stat = state_path.lstat()
    with pytest.raises(InputError, match="the state of the training is damaged"):
        _training_state(state_path).resume()
    assert (original_stat.st_ino, original_stat.st_size) == (state_path.lstat().st_ino, state_path.lstat().st_size)


def test_the_notes_of_a_training_are_not_waited_for(tmp_path: Path) -> None:
    fifo(tmp_path / CLAIM_FILE)
    with pytest.raises(InputError, match="the note on the training is damaged"):
        claim(tmp_path, {"seed": 1})
    fifo(tmp_path / training_folder.MARK)
    with pytest.raises(UsageError, match="holds an unfinished training"):
        training_folder.check_training_folder(tmp_path, "kgp train links")


@DAMAGES
def test_pictures_that_were_kept_are_read_again(tmp_path: Path, damage: Damage) -> None:
    image_paths = [tmp_path / f"{number}.png" for number in range(2)]
    for number, image_path in enumerate(image_paths):
        Image.new("L", (64, 64), 100 * number).save(image_path)
    original = read_pictures(image_paths, Picture(64), tmp_path / "cache")
    [cache_path] = (tmp_path / "cache").iterdir()
    damage(cache_path)
    read_counts: list[int] = []
    reread = read_pictures(
        image_paths,
        Picture(64),
        tmp_path / "cache",
        progress=lambda read_count, total, **_: read_counts.append(read_count),
    )
    assert (read_counts, reread.readable) == ([1, 2], original.readable)
    assert torch.equal(reread.values, original.values)
    assert np.load(cache_path)["kept"].tolist() == [0, 1], "it is whole again"


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (np.zeros((2, 1, 32, 32), np.uint8), [0, 1]),
        (np.zeros((2, 1, 64, 64), np.float32), [0, 1]),
        (np.zeros((2, 1, 64, 64), np.uint8), [0, 2]),
        (np.zeros((2, 1, 64, 64), np.uint8), [1, 0]),
    ],
    ids=["another size", "another type", "a place beyond the block", "another order"],
)
def test_pictures_of_another_form_are_read_again(
    tmp_path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.uint8 | np.float32]], rows: list[int]
) -> None:
    image_paths = [tmp_path / f"{number}.png" for number in range(2)]
    for image_path in image_paths:
        Image.new("L", (64, 64), 100).save(image_path)
    original = read_pictures(image_paths, Picture(64), tmp_path / "cache")
    [cache_path] = (tmp_path / "cache").iterdir()
    np.savez(cache_path, values=values, kept=np.array(rows))
    reread = read_pictures(image_paths, Picture(64), tmp_path / "cache")
    assert torch.equal(reread.values, original.values)


@pytest.mark.parametrize("damage", [cut, fifo])
def test_features_that_were_kept_are_made_again(tmp_path: Path, damage: Damage) -> None:
    backbone = world.tiny_retrieval_backbone()
    load_or_compute(tmp_path, backbone, ["a"], lambda: {"value": torch.ones(99)})
    [cache_path] = tmp_path.iterdir()
    damage(cache_path)
    assert load_or_compute(tmp_path, backbone, ["a"], lambda: {"value": torch.zeros(99)})["value"].sum() == 0
    assert load_or_compute(tmp_path, backbone, ["a"], dict)["value"].sum() == 0


def test_what_a_kill_left_in_a_cache_goes_when_it_is_made_again(tmp_path: Path) -> None:
    Image.new("L", (64, 64), 100).save(tmp_path / "1.png")
    cache_folder = tmp_path / "cache"
    read_pictures([tmp_path / "1.png"], Picture(64), cache_folder)
    load_or_compute(cache_folder, world.tiny_retrieval_backbone(), ["a"], lambda: {"value": torch.ones(9)})
    cache_paths = sorted(cache_folder.iterdir())
    for cache_path in cache_paths:
        partial_path = cache_path.rename(cache_path.with_name(f".{cache_path.name}.123456789.partial"))
        os.utime(partial_path, (0, 0))
    read_pictures([tmp_path / "1.png"], Picture(64), cache_folder)
    load_or_compute(cache_folder, world.tiny_retrieval_backbone(), ["a"], lambda: {"value": torch.ones(9)})
    assert sorted(cache_folder.iterdir()) == cache_paths


@pytest.mark.parametrize("damage", [cut, fifo])
def test_images_that_were_encoded_are_encoded_again(tmp_path: Path, damage: Damage) -> None:
    Image.new("L", (64, 64), 100).save(tmp_path / "1.png")
    study = Study("1", tmp_path / "1.png", ())
    training_work = Work(generators.tiny_generator_settings(), tmp_path, tmp_path)
    vision = vision_of.small(SmallVision().eval())
    _, original = encoded(vision, [study], tmp_path / "cache", training_work)
    [cache_path] = (tmp_path / "cache").rglob("*.safetensors")
    damage(cache_path)
    studies, reencoded = encoded(vision, [study], tmp_path / "cache", training_work)
    assert studies == [study]
    assert torch.equal(reencoded, original)


@pytest.mark.parametrize(
    ("name", "load"),
    [
        (retrieval.ABOUT, retrieval.load_retrieval_model),
        (vqa.ABOUT, vqa.load_vqa_model),
        (generator.ABOUT, generator.load_generator),
        ("checkpoint.json", load_any),
        ("tokenizer_config.json", read_tokenizer),
        ("special_tokens_map.json", read_tokenizer),
    ],
)
def test_a_description_that_is_a_fifo_is_not_waited_for(
    tmp_path: Path, name: str, load: Callable[[Path], object]
) -> None:
    fifo(tmp_path / name)
    with pytest.raises(InputError) as refusal:
        load(tmp_path)
    assert "\n" not in refusal.value.message


def test_a_member_of_a_pool_that_is_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    from kgp_models.link_prediction.pool_checkpoint import ABOUT, MEMBERS, _hash

    (tmp_path / MEMBERS).mkdir()
    fifo(tmp_path / "x")
    description = {"files": {"x": "0"}, "weights": {}}
    (tmp_path / ABOUT).write_text(json.dumps({**description, "sha256": _hash(description)}), encoding="utf-8")
    with pytest.raises(InputError, match="missing, damaged or another"):
        load_any(tmp_path)


@DAMAGES
def test_a_checkpoint_of_the_trainers_is_refused_as_a_whole(tmp_path: Path, damage: Damage) -> None:
    for step in (1, 2):
        checkpoint_folder = tmp_path / f"checkpoint-{step}"
        checkpoint_folder.mkdir()
        (checkpoint_folder / "trainer_state.json").write_text("{}", encoding="utf-8")
        torch.save({"state": torch.zeros(10_000)}, checkpoint_folder / "optimizer.pt")
    assert _last(tmp_path) == str(tmp_path / "checkpoint-2")
    damage(tmp_path / "checkpoint-2" / "optimizer.pt")
    with pytest.raises(InputError, match="the checkpoint is damaged") as refusal:
        _last(tmp_path)
    assert refusal.value.path == tmp_path / "checkpoint-2"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "open_clip_pytorch_model.bin", "model.pt", "a.pth"])
def test_weights_of_others_that_unpack_to_more_than_they_have_are_refused(tmp_path: Path, name: str) -> None:
    torch.save({"weight": torch.zeros(100_000)}, tmp_path / name)
    assert require_model_folder(tmp_path) == tmp_path
    compress(tmp_path / name)
    assert torch.load(tmp_path / name, weights_only=True)["weight"].shape == (100_000,), "torch would read it"
    for open_model in (
        lambda: vision_of.open_vision(f"medclip-vit:{tmp_path}"),
        lambda: open_backbone(f"clip:{tmp_path}"),
    ):
        with pytest.raises(InputError, match="unpacks to"):
            open_model()


def nan_in(model: Any, weight: str, folder: Path) -> None:
    """Make one number of a model NaN, such as that of a rare word, which a trial would not meet; save it again."""
    with torch.no_grad():
        model.get_parameter(weight).view(-1)[-1] = float("nan")
    if (folder / "open_clip_pytorch_model.bin").is_file():
        torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    else:
        model.save_pretrained(folder)


def test_weights_of_others_that_are_no_numbers_are_refused(tmp_path: Path, tiny_generator_folder: Path) -> None:
    clip_folder, open_clip_folder, bert_folder = tmp_path / "clip", tmp_path / "open_clip", tmp_path / "bert"
    embedding_weight = "text_model.embeddings.token_embedding.weight"
    nan_in(backbone_folders.save_clip(clip_folder), embedding_weight, clip_folder)
    nan_in(backbone_folders.plain_open_clip(open_clip_folder), "visual.proj", open_clip_folder)
    bert_folder.mkdir()
    text_model = BertModel(backbone_folders.bert(bert_folder, backbone_folders.save_bert_tokenizer(bert_folder)))
    nan_in(text_model, "embeddings.word_embeddings.weight", bert_folder)
    language_folder = tmp_path / "language"
    shutil.copytree(tiny_generator_folder / "vlm-kg" / LANGUAGE, language_folder)
    model, _ = read_language(language_folder)
    nan_in(model, "model.embed_tokens.weight", language_folder)
    damaged_models: tuple[tuple[Path, Callable[[], object]], ...] = (
        (clip_folder, lambda: open_backbone(f"clip:{clip_folder}")),
        (open_clip_folder, lambda: open_backbone(f"open-clip:{open_clip_folder}")),
        (open_clip_folder, lambda: vision_of.open_vision(f"open-clip:{open_clip_folder}")),
        (bert_folder, lambda: open_text(f"transformer:{bert_folder}")),
        (language_folder, lambda: read_language(language_folder)),
    )
    for folder, open_model in damaged_models:
        with pytest.raises(InputError, match="are not all finite numbers") as error:
            open_model()
        assert error.value.path == folder
