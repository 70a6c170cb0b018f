"""The projector, the model around it, and the batches that it is trained on."""

from __future__ import annotations

import pytest
import torch

from kgp_models.generator.language import answer, prompt, small_model, small_tokenizer
from kgp_models.generator.model import VLMKG
from kgp_models.generator.projector import Projector
from kgp_models.generator.records import Record
from kgp_models.generator.rows import Buckets, Collator
from kgp_models.generator.settings import ProjectorSettings
from kgplatform.errors import InputError
from kgplatform.triplets.text import Relation, Triplet
from tests import generators

IMAGE, WIDTH = 12, 32
TRIPLET = Triplet("effusion", Relation.LOCATED_AT, "left lung")
RECORDS = [
    (Record("I1", None, "Small effusion .", (TRIPLET,)), torch.zeros(IMAGE)),
    (Record("I2", None, "", ()), torch.ones(IMAGE)),
]
SETTINGS = generators.settings()


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return small_tokenizer(["small effusion , located_at ; none"], 300)


def model(tokenizer: object, projector: bool = True) -> VLMKG:
    language = small_model(SETTINGS.small, tokenizer, 1)
    torch.manual_seed(2)
    return VLMKG(language, Projector(IMAGE, WIDTH, SETTINGS.projector) if projector else None).eval()


class TestProjector:
    """Linear layer to k positions, a learned constant of n, a transformer over both, the k positions out."""

    def test_the_papers_sizes(self) -> None:
        projector = Projector(512, 64, ProjectorSettings())
        assert projector(torch.randn(2, 512)).shape == (2, 64, 64)
        assert projector.prefix.shape == (64, 64)
        assert projector.spread.weight.shape == (64 * 64, 512)
        assert len(projector.transformer.layers) == 8

    def test_image_positions_come_out_and_the_constant_only_acts_on_them(self) -> None:
        torch.manual_seed(0)
        projector = Projector(IMAGE, WIDTH, ProjectorSettings(3, 5, 2, 4)).eval()
        image = torch.randn(2, IMAGE)
        with torch.no_grad():
            before = projector(image)
            assert before.shape == (2, 3, WIDTH)
            joined = torch.cat([projector.spread(image).view(2, 3, WIDTH), projector.prefix.expand(2, -1, -1)], 1)
            torch.testing.assert_close(before, projector.norm(projector.transformer(joined)[:, :3]))
            projector.prefix += torch.randn_like(projector.prefix)
            assert not torch.allclose(projector(image), before, atol=1e-3)
        assert not torch.allclose(before[0], before[1], atol=1e-3)

    def test_all_its_weights_learn(self) -> None:
        projector = Projector(IMAGE, WIDTH, ProjectorSettings(3, 5, 2, 4))
        projector(torch.randn(2, IMAGE)).square().sum().backward()
        assert all(weight.grad is not None for weight in projector.parameters())

    def test_heads_that_do_not_divide_the_width_are_told(self) -> None:
        with pytest.raises(InputError, match=r"projector\.heads does not divide"):
            Projector(IMAGE, 30, ProjectorSettings())


class TestModel:
    """Image positions before the tokens, and the plain cross-entropy of the answer."""

    def test_the_image_stands_before_the_tokens(self, tokenizer: object) -> None:
        one = model(tokenizer)
        ids, mask = torch.tensor([[3, 4, 5], [6, 7, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
        image = torch.randn(2, IMAGE)
        with torch.no_grad():
            embeddings, whole = one.embedded(ids, mask, image)
            assert one.projector is not None
            torch.testing.assert_close(embeddings[:, :2], one.projector(image))
            torch.testing.assert_close(embeddings[:, 2:], one.language.get_input_embeddings()(ids))
        assert whole.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]

    def test_without_a_projector_it_is_the_language_model(self, tokenizer: object) -> None:
        one = model(tokenizer, projector=False)
        ids = torch.tensor([[3, 4, 5]])
        with torch.no_grad():
            mine = one(ids, torch.ones_like(ids))["logits"]
            torch.testing.assert_close(mine, one.language(input_ids=ids).logits)

    def test_the_loss_is_a_plain_cross_entropy_of_the_answers_tokens(self, tokenizer: object) -> None:
        one = model(tokenizer)
        batch = Collator(tokenizer, SETTINGS)(RECORDS)
        with torch.no_grad():
            mine = one(**batch)["loss"]
            losses = []
            for row in range(2):  # each alone, without padding
                length = int(batch["attention_mask"][row].sum())
                ids, labels = batch["input_ids"][row, :length], batch["labels"][row, :length]
                seen = one.projector(batch["image"][row][None])
                given = torch.cat([seen, one.language.get_input_embeddings()(ids)[None]], 1)
                chances = one.language(inputs_embeds=given).logits[0, 2:].log_softmax(-1)
                losses += [-chances[at - 1, ids[at]] for at in range(length) if labels[at] != -100]
        torch.testing.assert_close(mine, torch.stack(losses).mean())

    def test_the_image_decides_and_padding_does_not(self, tokenizer: object) -> None:
        one = model(tokenizer)
        ids, mask = torch.tensor([[3, 4, 5, 0, 0]]), torch.tensor([[1, 1, 1, 0, 0]])
        with torch.no_grad():
            dark, light = (one(ids, mask, image=torch.full((1, IMAGE), value))["logits"][:, :3] for value in (0.0, 5.0))
            short = one(ids[:, :3], mask[:, :3], image=torch.zeros(1, IMAGE))["logits"]
        assert not torch.allclose(dark, light, atol=1e-4)
        torch.testing.assert_close(dark, short)


class TestCollator:
    """Batches: prompt, answer, end mark; only the answer counts."""

    def test_prompt_answer_and_end(self, tokenizer: object) -> None:
        batch = Collator(tokenizer, SETTINGS)(RECORDS)
        read = tokenizer.decode  # type: ignore[attr-defined]
        end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id  # type: ignore[attr-defined]
        for row, (record, vector) in enumerate(RECORDS):
            length = int(batch["attention_mask"][row].sum())
            counted = batch["labels"][row] != -100
            said = batch["labels"][row][counted]
            assert said[-1] == end
            wanted = " effusion, located_at, left lung" if record.triplets else " none"
            assert read(said[:-1]) == wanted == answer(wanted.strip())
            before = batch["input_ids"][row][: length - len(said)]
            assert read(before) == prompt(SETTINGS.instruction, record.report).lower()
            assert not counted[: len(before)].any()
            assert (batch["input_ids"][row][length:] == pad).all()
            assert not counted[length:].any()
            assert batch["image"][row].equal(vector)

    def test_a_report_that_is_too_long_loses_its_end_and_the_answer_stays(self, tokenizer: object) -> None:
        record = Record("I1", None, "effusion " * 3_000, (TRIPLET,))
        batch = Collator(tokenizer, SETTINGS)([(record, torch.zeros(IMAGE))])
        assert batch["input_ids"].shape == (1, SETTINGS.max_length)
        said = batch["labels"][0][batch["labels"][0] != -100]
        assert tokenizer.decode(said[:-1]) == " effusion, located_at, left lung"  # type: ignore[attr-defined]
        text = tokenizer.decode(batch["input_ids"][0])  # type: ignore[attr-defined]
        assert text.endswith("effusion\ntriplets: effusion, located_at, left lung<end>"), "as in every example"

    def test_an_answer_that_is_too_long_still_ends(self, tokenizer: object) -> None:
        many = tuple(Triplet(f"finding {n}", Relation.MODIFY, "lung") for n in range(400))
        batch = Collator(tokenizer, SETTINGS)([(Record("I1", None, "a", many), torch.zeros(IMAGE))])
        assert batch["input_ids"].shape == (1, SETTINGS.max_length)
        assert batch["input_ids"][0, -1] == tokenizer.eos_token_id  # type: ignore[attr-defined]


class TestBuckets:
    """The order of rows in an epoch."""

    LENGTHS = tuple((number * 37) % 101 for number in range(530))

    def test_each_row_comes_once_and_batches_are_of_like_length(self) -> None:
        order = list(Buckets(self.LENGTHS, 16, 1))
        assert sorted(order) == list(range(530))
        batches = [[self.LENGTHS[row] for row in order[at : at + 16]] for at in range(0, 512, 16)]
        assert max(max(batch) - min(batch) for batch in batches) < 25
        means = [sum(batch) / 16 for batch in batches]
        assert means != sorted(means)
        assert means != sorted(means, reverse=True)

    def test_an_epoch_has_an_order_of_its_own_that_is_the_same_again(self) -> None:
        first, second = Buckets(self.LENGTHS, 16, 1), Buckets(self.LENGTHS, 16, 1)
        assert list(first) == list(second)
        second.set_epoch(1)
        assert list(first) != list(second)
        first.set_epoch(1)
        assert list(first) == list(second)
