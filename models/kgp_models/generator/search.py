"""Beam search for the most probable reply of a batch: what is read is read once, and what is done leaves the batch.

It finds what `generate` of transformers finds with `early_stopping="never"` and `length_penalty=0`, and stops where no
open beam can still win, not where as many replies as beams have ended. With a length penalty or a token reward, an open
beam is compared by its length so far, as transformers does without "never". A prompt is read once for all of its beams,
its keys and values stay where they are, and the chance of each token written is kept, so none is worked out twice.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from kgp_models.generator.transformers_search import LogitsFilter, ScoredReply, token_rewards

GROWTH: Final = 64  # positions by which room for keys and values grows
LEAVING: Final = 0.25  # the share of images that are done at which they leave the batch: leaving copies the others


class BeamLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one layer, (rows, heads, positions, width): those of the prompt are alike for all beams of an
    image, so that only those of the reply move when beams change places. transformers' layer copies all, twice a token.
    """

    keys: Any  # tensors, once there is something
    values: Any

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = 0
        self.prompt = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Room for the prompt."""
        self.keys, self.values = torch.empty_like(key_states), torch.empty_like(value_states)
        self.dtype, self.device = key_states.dtype, key_states.device
        self.prompt = key_states.shape[-2]
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Add positions; returns all there are."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        write_start, self.length = self.length, self.length + key_states.shape[-2]
        if self.length > self.keys.shape[-2]:
            self.keys, self.values = self._grown(self.keys), self._grown(self.values)
        self.keys[..., write_start : self.length, :] = key_states
        self.values[..., write_start : self.length, :] = value_states
        return self.keys[..., : self.length, :], self.values[..., : self.length, :]

    def _grown(self, stored_states: Tensor) -> Tensor:
        row_count, head_count, _, width = stored_states.shape
        grown_states = stored_states.new_empty(row_count, head_count, self.length + GROWTH, width)
        grown_states[..., : stored_states.shape[-2], :] = stored_states
        return grown_states

    def get_seq_length(self) -> int:
        """How many positions there are."""
        return self.length

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Beams change places with those of the same image."""
        written_span = slice(self.prompt, self.length)
        for layer_states in (self.keys, self.values):
            layer_states[..., written_span, :] = layer_states[..., written_span, :].index_select(0, beam_idx)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Rows leave, or come several times."""
        self.keys, self.values = self.keys[indices], self.values[indices]


def beam_cache(model_config: Any) -> DynamicCache:
    """The cache of transformers, with our layers in the place of those that keep every position."""
    cache = DynamicCache(config=model_config)
    cache.layers = [BeamLayer() if type(cache_layer) is DynamicLayer else cache_layer for cache_layer in cache.layers]
    return cache


def read_prompts(language: Any, embeddings: Tensor, mask: Tensor) -> tuple[DynamicCache, Any]:
    """The cache of prompts, (B, T, width), and the model's output, with the logits of the first token of a reply."""
    cache = beam_cache(language.config)
    model_output = language(
        inputs_embeds=embeddings,
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return cache, model_output


def select_rows(cache: DynamicCache, row_indices: Tensor) -> None:
    """Rows of a cache leave, or come several times."""
    cache_layer: Any
    for cache_layer in cache.layers:
        if isinstance(cache_layer, BeamLayer):
            cache_layer.batch_select_indices(row_indices)
        else:
            cache_layer.reorder_cache(row_indices)


def _gather_parents(beam_values: Tensor, parent_beams: Tensor) -> Tensor:
    """(images, beams, t) and which beam, (images, kept), to (images, kept, t)."""
    return beam_values.gather(1, parent_beams[..., None].expand(-1, -1, beam_values.shape[-1]))


@torch.inference_mode()
def most_probable(
    language: Any,
    embeddings: Tensor,
    mask: Tensor,
    *,
    beams: int,
    max_new_tokens: int,
    end: int,
    logits_filter: LogitsFilter | None = None,
    length_penalty: float = 0.0,
    token_reward: float = 0.0,
) -> list[ScoredReply]:
    """The most probable reply that the search finds, for each prompt; at most `max_new_tokens` tokens. With a length
    penalty, the log probability of a reply of n tokens is divided by n to this power (Wu et al. 2016). A token reward
    is added to that of each token but the end (Murray and Chiang 2018), so that replies go on for longer.

    Prompts are `embeddings`, (B, T, width), with their `mask`, (B, T); padding is anywhere but at the end (an image's
    positions stand before it). As in transformers, a reply ends only where its end mark is among the best `beams` of an
    image's ways to go on. A model that gives no numbers gives a reply with no token.
    """
    next_positions = mask.sum(1)  # of the next token, in each image
    cache, model_output = read_prompts(language, embeddings, mask)
    open_images = torch.arange(len(embeddings), device=mask.device)  # that are still searched
    beam_scores = embeddings.new_zeros(len(open_images), 1, dtype=torch.float32)  # of each beam; one, to begin with
    beam_tokens, beam_log_probs = mask.new_empty(len(open_images), 1, 0), beam_scores.new_empty(len(open_images), 1, 0)
    best_scores = beam_scores.new_full((len(open_images),), -torch.inf)
    replies = [ScoredReply([], []) for _ in open_images]
    for step in range(1, max_new_tokens + 1):
        # Each image's 2 * beams best ways to go on: enough, as at most `beams` of them end.
        logits = model_output.logits[:, -1].float()
        log_normaliser = logits.logsumexp(-1, keepdim=True)
        allowed_logits = logits if logits_filter is None else logits_filter(beam_tokens.flatten(0, 1), logits)
        if token_reward:
            allowed_logits = allowed_logits + token_rewards(token_reward, end, allowed_logits)
        candidate_count = 2 * beams
        candidate_logits, candidate_tokens = allowed_logits.topk(candidate_count)  # (rows, ways)
        candidate_scores = (beam_scores.flatten()[:, None] + (candidate_logits - log_normaliser)).view(
            len(open_images), -1
        )
        candidate_scores, candidate_order = candidate_scores.topk(candidate_count)  # (images, ways)
        parent_beams = candidate_order // candidate_count
        candidate_tokens = candidate_tokens.view(len(open_images), -1).gather(1, candidate_order)
        token_log_probs = (candidate_logits - log_normaliser).view(len(open_images), -1).gather(1, candidate_order)
        token_log_probs = token_log_probs - token_reward * (candidate_tokens != end)
        beam_tokens = torch.cat([_gather_parents(beam_tokens, parent_beams), candidate_tokens[..., None]], -1)
        beam_log_probs = torch.cat([_gather_parents(beam_log_probs, parent_beams), token_log_probs[..., None]], -1)

        # Those that end here.
        has_ended = (
            candidate_tokens == end if step < max_new_tokens else torch.ones_like(candidate_tokens, dtype=torch.bool)
        )
        length_factor = step**length_penalty
        ended_scores, best_candidates = candidate_scores[:, :beams].where(has_ended[:, :beams], -torch.inf).max(1)
        ended_scores = ended_scores / length_factor
        for image_row in (ended_scores > best_scores).nonzero()[:, 0].tolist():
            winning_index = best_candidates[image_row]
            replies[int(open_images[image_row])] = ScoredReply(
                beam_tokens[image_row, winning_index].tolist(), beam_log_probs[image_row, winning_index].tolist()
            )
        best_scores = torch.maximum(best_scores, ended_scores)

        # Those that go on, the best of them first.
        beam_order = has_ended.int().argsort(dim=1, stable=True)[:, :beams]
        beam_scores = candidate_scores.where(~has_ended, -torch.inf).gather(1, beam_order)
        still_open = best_scores < beam_scores[:, 0] / length_factor
        if step == max_new_tokens or not still_open.any():
            break
        cache_rows = torch.arange(len(open_images), device=mask.device)[:, None] * (
            model_output.logits.shape[0] // len(open_images)
        )
        cache_rows = cache_rows + parent_beams.gather(1, beam_order)
        beam_tokens, beam_log_probs = (
            _gather_parents(beam_tokens, beam_order),
            _gather_parents(beam_log_probs, beam_order),
        )
        if step == 1 or (~still_open).float().mean() >= LEAVING:
            cache_rows, beam_tokens, beam_log_probs, beam_scores = (
                cache_rows[still_open],
                beam_tokens[still_open],
                beam_log_probs[still_open],
                beam_scores[still_open],
            )
            open_images, best_scores, next_positions, mask = (
                open_images[still_open],
                best_scores[still_open],
                next_positions[still_open],
                mask[still_open],
            )
            select_rows(cache, cache_rows.flatten())
        else:
            cache.reorder_cache(cache_rows.flatten())
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        model_output = language(
            input_ids=beam_tokens[..., -1].reshape(-1, 1),
            attention_mask=mask.repeat_interleave(beams, 0),
            position_ids=(next_positions + step - 1).repeat_interleave(beams)[:, None],
            past_key_values=cache,
            use_cache=True,
        )
    return replies
