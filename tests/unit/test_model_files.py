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
from kgp_models.generator import vision as vision_of
from kgp_models.generator.checkpoint import LANGUAGE
from kgp_models.generator.encoded import encoded
from kgp_models.generator.language import read_language, read_tokenizer
from kgp_models.generator.records import Study
from kgp_models.generator.train import Work
from kgp_models.generator.trainers import _last
from kgp_models.link_prediction.pool_checkpoint import load_any
from kgp_models.model_files import require_model_folder
from kgp_models.retrieval import checkpoint as retrieval
from kgp_models.retrieval.backbone import Picture
from kgp_models.retrieval.backbones import open_text
from kgp_models.retrieval.inputs import read_pictures
from kgp_models.training_state import OF, TrainingState, claim
from kgp_models.vqa import checkpoint as vqa
from kgp_models.vqa.kept import kept
from kgplatform import training_folder
from kgplatform.errors import InputError, UsageError
from kgplatform.interrupt import Checkpoints
from tests import generators
from tests.unit import backbone_folders
from tests.unit import retrieval_world as world

pytestmark = pytest.mark.slow  # torch


def compress(path: Path) -> None:
    """Make a bomb of a zip: it holds the same, compressed, and torch and numpy read it all the same."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


DAMAGES = pytest.mark.parametrize("damage", [compress, cut, fifo])
Damage = Callable[[Path], None]


def state(path: Path) -> TrainingState:
    return TrainingState(path, {"model": nn.Linear(1_000, 10)}, steps=1, epochs=2)


@DAMAGES
def test_the_state_of_a_training_is_refused_and_left_as_it_is(tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "training.state"
    one = state(path)
    torch.nn.init.zeros_(one._parts["model"].weight)
    list(one.epoch([1], Checkpoints()))
    one.end_epoch(Checkpoints())
    state(path).resume()
    damage(path)
    before = path.lstat()
    with pytest.raises(InputError, match="the state of the training is damaged"):
        state(path).resume()
    assert (before.st_ino, before.st_size) == (path.lstat().st_ino, path.lstat().st_size)


def test_the_notes_of_a_training_are_not_waited_for(tmp_path: Path) -> None:
    fifo(tmp_path / OF)
    with pytest.raises(InputError, match="an unfinished training of other settings"):
        claim(tmp_path, {"seed": 1})
    fifo(tmp_path / training_folder.MARK)
    with pytest.raises(UsageError, match="holds an unfinished training"):
        training_folder.check(tmp_path, "kgp train links")


@DAMAGES
def test_pictures_that_were_kept_are_read_again(tmp_path: Path, damage: Damage) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for number, path in enumerate(paths):
        Image.new("L", (64, 64), 100 * number).save(path)
    whole = read_pictures(paths, Picture(64), tmp_path / "cache")
    [place] = (tmp_path / "cache").iterdir()
    damage(place)
    read: list[int] = []
    again = read_pictures(paths, Picture(64), tmp_path / "cache", progress=lambda done, total: read.append(done))
    assert (read, again.kept) == ([1, 2], whole.kept)
    assert torch.equal(again.values, whole.values)
    assert np.load(place)["kept"].tolist() == [0, 1], "it is whole again"


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
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path in paths:
        Image.new("L", (64, 64), 100).save(path)
    whole = read_pictures(paths, Picture(64), tmp_path / "cache")
    [place] = (tmp_path / "cache").iterdir()
    np.savez(place, values=values, kept=np.array(rows))
    again = read_pictures(paths, Picture(64), tmp_path / "cache")
    assert torch.equal(again.values, whole.values)


@pytest.mark.parametrize("damage", [cut, fifo])
def test_features_that_were_kept_are_made_again(tmp_path: Path, damage: Damage) -> None:
    backbone = world.backbone()
    kept(tmp_path, backbone, ["a"], lambda: {"value": torch.ones(99)})
    [place] = tmp_path.iterdir()
    damage(place)
    assert kept(tmp_path, backbone, ["a"], lambda: {"value": torch.zeros(99)})["value"].sum() == 0
    assert kept(tmp_path, backbone, ["a"], dict)["value"].sum() == 0


def test_what_a_kill_left_in_a_cache_goes_when_it_is_made_again(tmp_path: Path) -> None:
    Image.new("L", (64, 64), 100).save(tmp_path / "1.png")
    cache = tmp_path / "cache"
    read_pictures([tmp_path / "1.png"], Picture(64), cache)
    kept(cache, world.backbone(), ["a"], lambda: {"value": torch.ones(9)})
    whole = sorted(cache.iterdir())
    for path in whole:
        left = path.rename(path.with_name(f".{path.name}.123456789.partial"))
        os.utime(left, (0, 0))
    read_pictures([tmp_path / "1.png"], Picture(64), cache)
    kept(cache, world.backbone(), ["a"], lambda: {"value": torch.ones(9)})
    assert sorted(cache.iterdir()) == whole


@pytest.mark.parametrize("damage", [cut, fifo])
def test_images_that_were_encoded_are_encoded_again(tmp_path: Path, damage: Damage) -> None:
    Image.new("L", (64, 64), 100).save(tmp_path / "1.png")
    study = Study("1", tmp_path / "1.png", ())
    work = Work(generators.settings(), tmp_path, tmp_path)
    vision = vision_of.small(vision_of.SmallVision().eval())
    _, whole = encoded(vision, [study], tmp_path / "cache", work)
    [place] = (tmp_path / "cache").rglob("*.safetensors")
    damage(place)
    studies, again = encoded(vision, [study], tmp_path / "cache", work)
    assert studies == [study]
    assert torch.equal(again, whole)


@pytest.mark.parametrize(
    ("name", "load"),
    [
        (retrieval.ABOUT, retrieval.load),
        (vqa.ABOUT, vqa.load),
        (generator.ABOUT, generator.load),
        ("checkpoint.json", load_any),
        ("tokenizer_config.json", read_tokenizer),
        ("special_tokens_map.json", read_tokenizer),
    ],
)
def test_a_description_that_is_a_fifo_is_not_waited_for(
    tmp_path: Path, name: str, load: Callable[[Path], object]
) -> None:
    fifo(tmp_path / name)
    with pytest.raises(InputError) as refused:
        load(tmp_path)
    assert "\n" not in refused.value.message


def test_a_member_of_a_pool_that_is_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    from kgp_models.link_prediction.pool_checkpoint import ABOUT, MEMBERS, _hash

    (tmp_path / MEMBERS).mkdir()
    fifo(tmp_path / "x")
    about = {"files": {"x": "0"}, "weights": {}}
    (tmp_path / ABOUT).write_text(json.dumps({**about, "sha256": _hash(about)}), encoding="utf-8")
    with pytest.raises(InputError, match="missing, damaged or another"):
        load_any(tmp_path)


@DAMAGES
def test_a_checkpoint_of_the_trainers_is_refused_as_a_whole(tmp_path: Path, damage: Damage) -> None:
    for step in (1, 2):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text("{}", encoding="utf-8")
        torch.save({"state": torch.zeros(10_000)}, folder / "optimizer.pt")
    assert _last(tmp_path) == str(tmp_path / "checkpoint-2")
    damage(tmp_path / "checkpoint-2" / "optimizer.pt")
    with pytest.raises(InputError, match="the checkpoint is damaged") as refused:
        _last(tmp_path)
    assert refused.value.path == tmp_path / "checkpoint-2"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "open_clip_pytorch_model.bin", "model.pt", "a.pth"])
def test_weights_of_others_that_unpack_to_more_than_they_have_are_refused(tmp_path: Path, name: str) -> None:
    torch.save({"weight": torch.zeros(100_000)}, tmp_path / name)
    assert require_model_folder(tmp_path) == tmp_path
    compress(tmp_path / name)
    assert torch.load(tmp_path / name, weights_only=True)["weight"].shape == (100_000,), "torch would read it"
    for open_it in (
        lambda: vision_of.open_vision(f"medclip-vit:{tmp_path}"),
        lambda: retrieval.open_backbone(f"clip:{tmp_path}"),
    ):
        with pytest.raises(InputError, match="unpacks to"):
            open_it()


def nan_in(model: Any, weight: str, folder: Path) -> None:
    """Make one number of a model NaN, such as that of a rare word, which a trial would not meet; save it again."""
    with torch.no_grad():
        model.get_parameter(weight).view(-1)[-1] = float("nan")
    if (folder / "open_clip_pytorch_model.bin").is_file():
        torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    else:
        model.save_pretrained(folder)


def test_weights_of_others_that_are_no_numbers_are_refused(tmp_path: Path, tiny: Path) -> None:
    clip, open_clip, bert = tmp_path / "clip", tmp_path / "open_clip", tmp_path / "bert"
    words = "text_model.embeddings.token_embedding.weight"
    nan_in(backbone_folders.clip(clip), words, clip)
    nan_in(backbone_folders.plain_open_clip(open_clip), "visual.proj", open_clip)
    bert.mkdir()
    text = BertModel(backbone_folders.bert(bert, backbone_folders.words(bert)))
    nan_in(text, "embeddings.word_embeddings.weight", bert)
    language = tmp_path / "language"
    shutil.copytree(tiny / "vlm-kg" / LANGUAGE, language)
    model, _ = read_language(language)
    nan_in(model, "model.embed_tokens.weight", language)
    refused: tuple[tuple[Path, Callable[[], object]], ...] = (
        (clip, lambda: retrieval.open_backbone(f"clip:{clip}")),
        (open_clip, lambda: retrieval.open_backbone(f"open-clip:{open_clip}")),
        (open_clip, lambda: vision_of.open_vision(f"open-clip:{open_clip}")),
        (bert, lambda: open_text(f"transformer:{bert}")),
        (language, lambda: read_language(language)),
    )
    for folder, opens in refused:
        with pytest.raises(InputError, match="are not all finite numbers") as error:
            opens()
        assert error.value.path == folder
