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
SETTINGS = generators.tiny_generator_settings()


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return small_tokenizer(["small effusion , located_at ; none"], 300)


def model(tokenizer: object, projector: bool = True) -> VLMKG:
    language_model = small_model(SETTINGS.small, tokenizer, 1)
    torch.manual_seed(2)
    return VLMKG(language_model, Projector(IMAGE, WIDTH, SETTINGS.projector) if projector else None).eval()


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
        image_features = torch.randn(2, IMAGE)
        with torch.no_grad():
            first_output = projector(image_features)
            assert first_output.shape == (2, 3, WIDTH)
            joined_positions = torch.cat(
                [projector.spread(image_features).view(2, 3, WIDTH), projector.prefix.expand(2, -1, -1)], 1
            )
            torch.testing.assert_close(first_output, projector.norm(projector.transformer(joined_positions)[:, :3]))
            projector.prefix.add_(torch.randn_like(projector.prefix))
            assert not torch.allclose(projector(image_features), first_output, atol=1e-3)
        assert not torch.allclose(first_output[0], first_output[1], atol=1e-3)

    def test_what_all_images_have_in_common_does_not_count(self) -> None:
        vectors = 3.0 + 0.1 * torch.randn(200, IMAGE)
        vectors[:, 0] = 5.0  # says nothing: not divided by 0
        projector = Projector(IMAGE, WIDTH, ProjectorSettings(3, 5, 2, 4)).eval()
        with torch.no_grad():
            nearly_equal = (projector(vectors[0:1]) - projector(vectors[1:2])).norm()
            projector.standardise(vectors)
            assert (projector(vectors[0:1]) - projector(vectors[1:2])).norm() > 3 * nearly_equal
        standard = (vectors - projector.mean) / projector.deviation
        assert standard.isfinite().all()
        assert torch.allclose(standard.mean(0), torch.zeros(IMAGE), atol=1e-3)
        assert torch.allclose(standard[:, 1:].std(0, correction=0), torch.ones(IMAGE - 1), atol=1e-3)

    def test_weights_from_before_vectors_were_standardised_are_as_they_were(self) -> None:
        projector = Projector(IMAGE, WIDTH, ProjectorSettings(3, 5, 2, 4)).eval()
        saved = {name: weight for name, weight in projector.state_dict().items() if name not in ("mean", "deviation")}
        loaded = Projector(IMAGE, WIDTH, ProjectorSettings(3, 5, 2, 4)).eval()
        loaded.load_weights(saved)
        vectors = torch.randn(2, IMAGE)
        assert torch.equal(loaded(vectors), projector(vectors))
        with pytest.raises(RuntimeError):
            loaded.load_weights({"mean": projector.mean})

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
        vlm_model = model(tokenizer)
        token_ids, attention_mask = torch.tensor([[3, 4, 5], [6, 7, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
        image_features = torch.randn(2, IMAGE)
        with torch.no_grad():
            embeddings, full_mask = vlm_model.embedded(token_ids, attention_mask, image_features)
            assert vlm_model.projector is not None
            torch.testing.assert_close(embeddings[:, :2], vlm_model.projector(image_features))
            torch.testing.assert_close(embeddings[:, 2:], vlm_model.language.get_input_embeddings()(token_ids))
        assert full_mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]

    def test_without_a_projector_it_is_the_language_model(self, tokenizer: object) -> None:
        vlm_model = model(tokenizer, projector=False)
        token_ids = torch.tensor([[3, 4, 5]])
        with torch.no_grad():
            model_logits = vlm_model(token_ids, torch.ones_like(token_ids))["logits"]
            torch.testing.assert_close(model_logits, vlm_model.language(input_ids=token_ids).logits)

    def test_the_loss_is_a_plain_cross_entropy_of_the_answers_tokens(self, tokenizer: object) -> None:
        vlm_model = model(tokenizer)
        batch = Collator(tokenizer, SETTINGS)(RECORDS)
        with torch.no_grad():
            batch_loss = vlm_model(**batch)["loss"]
            assert vlm_model.projector is not None
            token_losses = []
            for row_index in range(2):  # each alone, without padding
                row_length = int(batch["attention_mask"][row_index].sum())
                token_ids, labels = batch["input_ids"][row_index, :row_length], batch["labels"][row_index, :row_length]
                image_positions = vlm_model.projector(batch["image"][row_index][None])
                input_embeddings = torch.cat(
                    [image_positions, vlm_model.language.get_input_embeddings()(token_ids)[None]], 1
                )
                log_probabilities = vlm_model.language(inputs_embeds=input_embeddings).logits[0, 2:].log_softmax(-1)
                token_losses += [
                    -log_probabilities[position - 1, token_ids[position]]
                    for position in range(row_length)
                    if labels[position] != -100
                ]
        torch.testing.assert_close(batch_loss, torch.stack(token_losses).mean())

    def test_the_image_decides_and_padding_does_not(self, tokenizer: object) -> None:
        vlm_model = model(tokenizer)
        token_ids, attention_mask = torch.tensor([[3, 4, 5, 0, 0]]), torch.tensor([[1, 1, 1, 0, 0]])
        with torch.no_grad():
            dark_logits, light_logits = (
                vlm_model(token_ids, attention_mask, image=torch.full((1, IMAGE), brightness))["logits"][:, :3]
                for brightness in (0.0, 5.0)
            )
            unpadded_logits = vlm_model(token_ids[:, :3], attention_mask[:, :3], image=torch.zeros(1, IMAGE))["logits"]
        assert not torch.allclose(dark_logits, light_logits, atol=1e-4)
        torch.testing.assert_close(dark_logits, unpadded_logits)


class TestCollator:
    """Batches: prompt, answer, end mark; only the answer counts."""

    def test_prompt_answer_and_end(self, tokenizer: object) -> None:
        batch = Collator(tokenizer, SETTINGS)(RECORDS)
        decode_ids = tokenizer.decode  # type: ignore[attr-defined]
        end_id, pad_id = tokenizer.eos_token_id, tokenizer.pad_token_id  # type: ignore[attr-defined]
        for row_index, (record, image_vector) in enumerate(RECORDS):
            row_length = int(batch["attention_mask"][row_index].sum())
            is_answer = batch["labels"][row_index] != -100
            answer_ids = batch["labels"][row_index][is_answer]
            assert answer_ids[-1] == end_id
            expected_answer = " effusion, located_at, left lung" if record.triplets else " none"
            assert decode_ids(answer_ids[:-1]) == expected_answer == answer(expected_answer.strip())
            prompt_ids = batch["input_ids"][row_index][: row_length - len(answer_ids)]
            assert decode_ids(prompt_ids) == prompt(SETTINGS.instruction, record.report).lower()
            assert not is_answer[: len(prompt_ids)].any()
            assert (batch["input_ids"][row_index][row_length:] == pad_id).all()
            assert not is_answer[row_length:].any()
            assert batch["image"][row_index].equal(image_vector)

    def test_a_report_that_is_too_long_loses_its_end_and_the_answer_stays(self, tokenizer: object) -> None:
        record = Record("I1", None, "effusion " * 3_000, (TRIPLET,))
        batch = Collator(tokenizer, SETTINGS)([(record, torch.zeros(IMAGE))])
        assert batch["input_ids"].shape == (1, SETTINGS.max_length)
        answer_ids = batch["labels"][0][batch["labels"][0] != -100]
        assert tokenizer.decode(answer_ids[:-1]) == " effusion, located_at, left lung"  # type: ignore[attr-defined]
        decoded_text = tokenizer.decode(batch["input_ids"][0])  # type: ignore[attr-defined]
        assert decoded_text.endswith("effusion\ntriplets: effusion, located_at, left lung<end>"), "as in every example"

    def test_an_answer_that_is_too_long_still_ends(self, tokenizer: object) -> None:
        many_triplets = tuple(
            Triplet(f"finding {finding_number}", Relation.MODIFY, "lung") for finding_number in range(400)
        )
        batch = Collator(tokenizer, SETTINGS)([(Record("I1", None, "a", many_triplets), torch.zeros(IMAGE))])
        assert batch["input_ids"].shape == (1, SETTINGS.max_length)
        assert batch["input_ids"][0, -1] == tokenizer.eos_token_id  # type: ignore[attr-defined]


class TestBuckets:
    """The order of rows in an epoch."""

    LENGTHS = tuple((number * 37) % 101 for number in range(530))

    def test_each_row_comes_once_and_batches_are_of_like_length(self) -> None:
        row_order = list(Buckets(self.LENGTHS, 16, 1))
        assert sorted(row_order) == list(range(530))
        batches = [
            [self.LENGTHS[row_index] for row_index in row_order[batch_start : batch_start + 16]]
            for batch_start in range(0, 512, 16)
        ]
        assert max(max(batch) - min(batch) for batch in batches) < 25
        mean_lengths = [sum(batch) / 16 for batch in batches]
        assert mean_lengths != sorted(mean_lengths)
        assert mean_lengths != sorted(mean_lengths, reverse=True)

    def test_an_epoch_has_an_order_of_its_own_that_is_the_same_again(self) -> None:
        first_buckets, second_buckets = Buckets(self.LENGTHS, 16, 1), Buckets(self.LENGTHS, 16, 1)
        assert list(first_buckets) == list(second_buckets)
        second_buckets.set_epoch(1)
        assert list(first_buckets) != list(second_buckets)
        first_buckets.set_epoch(1)
        assert list(first_buckets) == list(second_buckets)
