"""A text tower that reads stances: a finding and its denial are different texts, in training and in a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
import torch

from kgp_models.retrieval import checkpoint
from kgp_models.retrieval.encode import BackboneEncoder
from kgp_models.retrieval.settings import RetrievalSettings
from kgp_models.towers.backbone import ALIKE, WIDTH, Backbone, LinkLayer
from kgp_models.towers.feature_cache import identity
from kgp_models.towers.stances import LinkReader, likelihood_heads, read_stances
from kgplatform.errors import InputError
from tests.unit.models.retrieval import retrieval_world

EFFUSION, NO_EFFUSION, PERHAPS_EDEMA = (
    ("POSITIVE", "C0032227", "Pleural effusion"),
    ("NEGATIVE", "C0032227", "Pleural effusion"),
    ("UNCERTAIN", "C0034063", "Pulmonary edema"),
)
LINKS = [EFFUSION, NO_EFFUSION, PERHAPS_EDEMA]
STATED, DENIED = "There is a small left pleural effusion.", "There is no pleural effusion."


def image_backbone(*, links: list[tuple[str, str, str]] = LINKS) -> Backbone:
    """A frozen backbone as that of an image encoder."""
    backbone = retrieval_world.tiny_retrieval_backbone(frozen=True)
    backbone.kind = "images"
    image_width = backbone.image_features(torch.zeros(1, 1, 32, 32)).shape[1]
    weight = torch.randn(len(links), image_width, generator=torch.Generator().manual_seed(1))
    backbone.link_layer = LinkLayer(links, torch.full((len(links),), 0.2), weight, torch.full((len(links),), -1.5))
    return backbone


def test_links_are_read_as_construction_reads_them() -> None:
    read_links = LinkReader(LINKS)
    assert read_links([STATED, DENIED, "Possible pulmonary edema.", "Normal."]).tolist() == [
        [1.0, 0.0, 0.0],
        [0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0],
        [0.0, 0.0, 0.0],
    ]
    assert read_links.sha256 != LinkReader(LINKS[:2]).sha256
    assert read_links([]).shape == (0, 3)


def test_the_vector_of_a_text_has_its_words_and_its_stances() -> None:
    backbone = image_backbone()
    words = backbone.text_features(backbone.tokens([STATED, DENIED]))
    read_stances(backbone)
    features = backbone.text_features(backbone.tokens([STATED, DENIED]))
    assert features.shape == (2, words.shape[1] + len(LINKS))
    assert torch.allclose(features[:, : words.shape[1]], torch.nn.functional.normalize(words, dim=-1), atol=1e-5)
    assert torch.allclose(features[:, words.shape[1] :].norm(dim=-1), torch.ones(2))
    assert features[0, -3] > 0 > features[0, -2]
    assert features[1, -2] > 0 > features[1, -3]
    assert backbone.embed_texts(backbone.tokens([STATED])).shape == (1, WIDTH)


def test_before_training_an_image_is_near_the_texts_whose_stances_it_makes_likelier() -> None:
    backbone = image_backbone()
    read_stances(backbone)
    layer = backbone.link_layer
    assert layer is not None
    features = torch.randn(40, layer.weight.shape[1], generator=torch.Generator().manual_seed(2))
    logits, prior = features @ layer.weight.T + layer.bias, torch.logit(layer.shares)
    stances = LinkReader(LINKS)([STATED, DENIED])
    ratios = (logits - prior) @ (stances - layer.shares).T  # images x texts, of the first order
    products = (
        backbone.image_head(features) @ backbone.text_head(backbone.text_features(backbone.tokens([STATED, DENIED]))).T
    )
    for text in range(2):
        assert torch.corrcoef(torch.stack([ratios[:, text], products[:, text]]))[0, 1] > 0.9999


def test_the_common_links_have_dimensions_where_there_are_more_than_half_as_many() -> None:
    shares = torch.linspace(0.01, 0.5, 700)
    links = [("POSITIVE", f"C{number:07d}", f"finding {number}") for number in range(700)]
    layer = LinkLayer(links, shares, torch.ones(700, 8), torch.logit(shares))
    image_head, text_head = likelihood_heads(layer, 5)
    assert text_head.weight.shape == (WIDTH, 705)
    assert (text_head.weight[: WIDTH // 2, 5:] == 1.0).sum(0).tolist() == [0] * 444 + [1] * 256
    assert image_head.weight[WIDTH // 2 :].abs().sum() == 0.0


def test_texts_of_many_lengths_keep_their_own_stances() -> None:
    backbone = image_backbone()
    read_stances(backbone)
    texts = [f"{STATED if number % 3 else DENIED} {'Normal heart. ' * (number % 5)}" for number in range(ALIKE + 5)]
    together = backbone.text_features(backbone.tokens(texts))
    apart = torch.cat([backbone.text_features(backbone.tokens([text])) for text in texts])
    assert torch.allclose(together, apart, atol=1e-5)


def test_cached_features_are_of_the_links_that_were_read() -> None:
    first, other = image_backbone(), image_backbone(links=[("POSITIVE", "C0018802", "Heart failure"), *LINKS[1:]])
    plain = identity(first)
    for backbone in (first, other):
        read_stances(backbone)
    identity.cache_clear()
    assert len({plain, identity(first), identity(other)}) == 3


def test_a_stored_model_reads_stances_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = image_backbone()
    read_stances(backbone)
    settings = RetrievalSettings(backbone="images:encoder", frozen=True, stances=True)
    checkpoint.save_retrieval_model(
        tmp_path / "model", backbone, settings, base="images:encoder", tokenizer=None, data={}, figures={}
    )
    monkeypatch.setattr(checkpoint, "open_backbone", lambda *_, **__: image_backbone())
    loaded = checkpoint.load_retrieval_model(tmp_path / "model")
    before, after = (BackboneEncoder(model).texts([STATED, DENIED]) for model in (backbone, loaded))
    assert after == pytest.approx(before, abs=2e-3)  # half precision on disk
    monkeypatch.setattr(checkpoint, "open_backbone", lambda *_, **__: image_backbone(links=LINKS[:2]))
    with pytest.raises(InputError, match="do not fit"):
        checkpoint.load_retrieval_model(tmp_path / "model")


def test_a_model_says_that_texts_are_read_otherwise_than_in_its_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backbone = image_backbone()
    read_stances(backbone)
    settings = RetrievalSettings(backbone="images:encoder", frozen=True, stances=True)
    checkpoint.save_retrieval_model(
        tmp_path, backbone, settings, base="images:encoder", tokenizer=None, data={}, figures={}
    )
    monkeypatch.setattr(checkpoint, "open_backbone", lambda *_, **__: image_backbone())
    checkpoint.load_retrieval_model(tmp_path)
    assert "read otherwise" not in caplog.text
    other_links = [EFFUSION, NO_EFFUSION, ("UNCERTAIN", "C0018802", "Heart failure")]
    monkeypatch.setattr(checkpoint, "open_backbone", lambda *_, **__: image_backbone(links=other_links))
    checkpoint.load_retrieval_model(tmp_path)
    assert "stances in texts are read otherwise than when the model was trained" in caplog.text


def test_only_an_image_encoder_knows_links() -> None:
    with pytest.raises(InputError, match="not trained on stances"):
        read_stances(retrieval_world.tiny_retrieval_backbone())
    settings = RetrievalSettings(backbone="images:encoder", stances=True)
    settings.check()
    with pytest.raises(InputError, match="images:FOLDER alone"):
        replace(settings, backbone="offline").check()
