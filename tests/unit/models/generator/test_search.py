"""Beam search: it finds what transformers' own search finds, regardless of the layers, and returns each token's
chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from kgp_models.generator.search import GROWTH, LEAVING, BeamLayer, most_probable
from kgp_models.generator.transformers_search import generate_replies

pytestmark = pytest.mark.slow

END, PAD, VOCABULARY = 1, 0, 160
KINDS: dict[str, dict[str, Any]] = {
    "qwen2": {},
    "llama": {"num_key_value_heads": 2},  # keys and values that heads share
    "mistral": {"sliding_window": 6},  # layers that forget
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},  # places that are learned
}


def language(kind: str, seed: int = 0, ends: float = 2) -> Any:
    """A model with large random weights, so that its replies differ; the more `ends`, the sooner they end."""
    torch.manual_seed(seed)
    model_sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = AutoConfig.for_model(
        kind,
        **{**model_sizes, "num_key_value_heads": 4, "max_position_embeddings": 256, **KINDS[kind]},
        vocab_size=VOCABULARY,
        eos_token_id=END,
        pad_token_id=PAD,
        bos_token_id=None,
        tie_word_embeddings=False,
    )
    factory: Any = AutoModelForCausalLM  # its from_config is untyped
    model = factory.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.4)
        model.get_output_embeddings().weight[END] *= ends
    model.generation_config.eos_token_id = END
    return model


def prompts(model: Any, lengths: list[int], seed: int = 3) -> tuple[Tensor, Tensor]:
    """Random embeddings, padded on the left with what must not be read."""
    random_generator = torch.Generator().manual_seed(seed)
    max_length = max(lengths)
    embeddings = torch.randn(len(lengths), max_length, 32, generator=random_generator)
    mask = torch.tensor([[0] * (max_length - length) + [1] * length for length in lengths])
    return embeddings, mask


def _transformers_replies(
    model: Any, embeddings: Tensor, mask: Tensor, beams: int, max_new_tokens: int, **more: Any
) -> list[list[int]]:
    """transformers' search for the most probable reply."""
    beam_options = {"early_stopping": "never", "length_penalty": 0.0} if beams > 1 else {}
    replies = model.generate(
        inputs_embeds=embeddings,
        attention_mask=mask,
        num_beams=beams,
        do_sample=False,
        max_new_tokens=max_new_tokens,
        pad_token_id=PAD,
        eos_token_id=END,
        **beam_options,
        **more,
    ).tolist()
    return [reply[: reply.index(END) + 1] if END in reply else reply for reply in replies]


@pytest.mark.parametrize("beams", [1, 2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_it_finds_what_transformers_finds(kind: str, beams: int) -> None:
    ended_count = 0
    for seed in range(3):
        model = language(kind, seed)
        embeddings, mask = prompts(model, [9, 4, 7, 9, 1, 5], seed)
        replies = most_probable(model, embeddings, mask, beams=beams, max_new_tokens=40, end=END)
        assert [reply.tokens for reply in replies] == _transformers_replies(model, embeddings, mask, beams, 40)
        ended_count += sum(reply.tokens[-1] == END for reply in replies)
    assert ended_count > 0, "replies that end were tried"


def test_replies_longer_than_the_first_room_and_images_that_leave_are_found_too() -> None:
    model = language("qwen2", 7, ends=1)
    embeddings, mask = prompts(model, [3, 8, 5, 6, 2, 4, 7, 8], 7)
    replies = most_probable(model, embeddings, mask, beams=3, max_new_tokens=2 * GROWTH + 9, end=END)
    assert [reply.tokens for reply in replies] == _transformers_replies(model, embeddings, mask, 3, 2 * GROWTH + 9)
    reply_lengths = sorted(len(reply.tokens) for reply in replies)
    assert reply_lengths[-1] > GROWTH
    assert reply_lengths[int(LEAVING * len(reply_lengths))] < reply_lengths[-1]


def test_a_batch_finds_what_each_prompt_alone_finds() -> None:
    model = language("qwen2")
    embeddings, mask = prompts(model, [9, 2, 5])
    batch_replies = most_probable(model, embeddings, mask, beams=4, max_new_tokens=30, end=END)
    for row_index, length in enumerate([9, 2, 5]):
        prompt_inputs = embeddings[row_index : row_index + 1, -length:], mask[row_index : row_index + 1, -length:]
        [single_reply] = most_probable(model, *prompt_inputs, beams=4, max_new_tokens=30, end=END)
        assert single_reply.tokens == batch_replies[row_index].tokens
        assert single_reply.chances == pytest.approx(batch_replies[row_index].chances, abs=1e-4)


def only(*tokens: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Lets nothing but these tokens follow, and the end after six of them."""

    def hold(written: Tensor, logits: Tensor) -> Tensor:
        allowed = torch.full_like(logits, -torch.inf)
        allowed_ids = [*tokens, END] if written.shape[1] >= 6 else list(tokens)
        allowed[:, allowed_ids] = logits[:, allowed_ids]
        return allowed

    return hold


@pytest.mark.parametrize("beams", [1, 4])
def test_a_grammar_holds_and_chances_are_those_of_the_model_without_it(beams: int) -> None:
    """An oracle that reads the prompt and the tokens before with no cache."""
    model = language("qwen2")
    embeddings, mask = prompts(model, [6, 3])
    token_filter = only(40, 41, 42, 43, 44)
    replies = most_probable(
        model, embeddings, mask, beams=beams, max_new_tokens=12, end=END, logits_filter=token_filter
    )
    assert [reply.tokens for reply in replies] == _transformers_replies(
        model, embeddings, mask, beams, 12, logits_processor=[token_filter]
    )
    for row_index, reply in enumerate(replies):
        assert set(reply.tokens) <= {40, 41, 42, 43, 44, END}
        prompt_embeddings = embeddings[row_index, mask[row_index].bool()]
        for position, (token, log_probability) in enumerate(zip(reply.tokens, reply.chances, strict=True)):
            prefix_embeddings = model.get_input_embeddings()(torch.tensor(reply.tokens[:position], dtype=torch.long))
            with torch.no_grad():
                logits = model(inputs_embeds=torch.cat([prompt_embeddings, prefix_embeddings])[None]).logits[0, -1]
            assert log_probability == pytest.approx(float(logits.log_softmax(-1)[token]), abs=1e-4)


@pytest.mark.parametrize(
    ("length_penalty", "token_reward"), [(0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (0.0, 1.5), (1.0, 1.5)]
)
def test_with_beams_enough_it_is_the_best_of_all_replies(length_penalty: float, token_reward: float) -> None:
    """An oracle that tries every reply of up to four of three tokens."""
    model = language("qwen2", 5)
    embeddings, mask = prompts(model, [5])
    allowed_ids = (50, 51, END)

    def hold(written: Tensor, logits: Tensor) -> Tensor:
        allowed = torch.full_like(logits, -torch.inf)
        allowed[:, allowed_ids] = logits[:, allowed_ids]
        return allowed

    def replies(prefix_ids: list[int], log_probability: float) -> list[tuple[float, list[int]]]:
        if len(prefix_ids) == 4 or END in prefix_ids:
            return [(log_probability, prefix_ids)]
        written = model.get_input_embeddings()(torch.tensor(prefix_ids, dtype=torch.long))
        with torch.no_grad():
            log_probabilities = (
                model(inputs_embeds=torch.cat([embeddings[0], written])[None]).logits[0, -1].log_softmax(-1)
            )
        return [
            reply
            for token in allowed_ids
            for reply in replies([*prefix_ids, token], log_probability + float(log_probabilities[token]))
        ]

    options: Any = {"beams": 32, "max_new_tokens": 4, "end": END, "logits_filter": hold}
    [best_reply] = most_probable(
        model, embeddings, mask, **options, length_penalty=length_penalty, token_reward=token_reward
    )

    def score(reply: tuple[float, list[int]]) -> float:
        log_probability, tokens = reply
        reward = token_reward * sum(token != END for token in tokens)
        return (log_probability + reward) / float(len(tokens) ** length_penalty)

    log_probability, tokens = max(replies([], 0.0), key=score)
    assert best_reply.tokens == tokens
    assert sum(best_reply.chances) == pytest.approx(log_probability, abs=1e-4)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_token_reward_lengthens_replies_and_is_no_part_of_their_probability(beams: int) -> None:
    model = language("qwen2", 2, ends=3)
    embeddings, mask = prompts(model, [6, 3, 8, 5])
    options: dict[str, Any] = {"beams": beams, "max_new_tokens": 24, "end": END}
    plain, rewarded = (most_probable(model, embeddings, mask, **options, token_reward=reward) for reward in (0.0, 2.0))
    assert sum(len(reply.tokens) for reply in rewarded) > sum(len(reply.tokens) for reply in plain)
    for row_index, reply in enumerate(rewarded):
        words = model.get_input_embeddings()(torch.tensor(reply.tokens))
        prompt = embeddings[row_index, mask[row_index].bool()]
        with torch.no_grad():
            logits = model(inputs_embeds=torch.cat([prompt, words])[None]).logits[0, len(prompt) - 1 : -1]
        log_probabilities = logits.log_softmax(-1).gather(1, torch.tensor(reply.tokens)[:, None])[:, 0]
        assert reply.chances == pytest.approx(log_probabilities.tolist(), abs=1e-4)


def test_the_fallback_rewards_tokens_too() -> None:
    model = language("qwen2", 2, ends=3)
    embeddings, mask = prompts(model, [6, 3, 8, 5])
    options: dict[str, Any] = {"max_new_tokens": 24, "end": END, "token_reward": 2.0}
    greedy, fallback = (
        search(model, embeddings, mask, beams=1, **options) for search in (most_probable, generate_replies)
    )
    assert [reply.tokens for reply in greedy] == [reply.tokens for reply in fallback]
    for reply, other in zip(greedy, fallback, strict=True):
        assert reply.chances == pytest.approx(other.chances, abs=1e-4)
    options["token_reward"] = 0.0
    plain = generate_replies(model, embeddings, mask, beams=3, **options)
    rewarded = generate_replies(model, embeddings, mask, beams=3, **{**options, "token_reward": 2.0})
    assert sum(len(reply.tokens) for reply in rewarded) > sum(len(reply.tokens) for reply in plain)


def test_a_model_that_says_no_numbers_is_not_waited_for() -> None:
    model = language("qwen2")
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    embeddings, mask = prompts(model, [4, 2])
    assert most_probable(model, embeddings, mask, beams=3, max_new_tokens=500, end=END) == [([], []), ([], [])]


def test_only_what_was_written_moves() -> None:
    beam_layer = BeamLayer()
    prompt_keys = torch.arange(8.0).view(2, 1, 4, 1)
    beam_layer.update(prompt_keys, -prompt_keys)
    beam_layer.batch_select_indices(torch.tensor([0, 0, 1, 1]))
    written_keys = torch.tensor([10.0, 11, 12, 13]).view(4, 1, 1, 1)
    keys, values = beam_layer.update(written_keys, -written_keys)
    assert keys[:, 0, :, 0].tolist() == [[0, 1, 2, 3, 10], [0, 1, 2, 3, 11], [4, 5, 6, 7, 12], [4, 5, 6, 7, 13]]
    beam_layer.reorder_cache(torch.tensor([1, 1, 3, 2]))
    blank_entry = torch.zeros(4, 1, 1, 1)
    keys, values = beam_layer.update(blank_entry, blank_entry)
    assert keys[:, 0, 4].flatten().tolist() == [11, 11, 13, 12]
    assert values[:, 0, 4].flatten().tolist() == [-11, -11, -13, -12]
    assert keys[:, 0, :4, 0].tolist() == [[0, 1, 2, 3]] * 2 + [[4, 5, 6, 7]] * 2
    assert beam_layer.get_seq_length() == 6
