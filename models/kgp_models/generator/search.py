"""Beam search for the most probable reply of a batch: what is read is read once, and what is done leaves the batch.

It finds what `generate` of transformers finds with `early_stopping="never"` and `length_penalty=0`, and stops where no
open beam can still win, not where as many replies as beams have ended. A prompt is read once for all of its beams, its
keys and values stay where they are, and the chance of each token written is kept, so none is worked out twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

GROWTH: Final = 64  # positions by which room for keys and values grows
LEAVING: Final = 0.25  # the share of images that are done at which they leave the batch: leaving copies the others

Held = Callable[[Tensor, Tensor], Tensor]  # tokens written, (rows, t), and logits to logits: what may follow


class Written(NamedTuple):
    """A reply, and the log probability of each of its tokens. The last is the end mark, if it came to that."""

    tokens: list[int]
    chances: list[float]


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
        start, self.length = self.length, self.length + key_states.shape[-2]
        if self.length > self.keys.shape[-2]:
            self.keys, self.values = self._grown(self.keys), self._grown(self.values)
        self.keys[..., start : self.length, :] = key_states
        self.values[..., start : self.length, :] = value_states
        return self.keys[..., : self.length, :], self.values[..., : self.length, :]

    def _grown(self, states: Tensor) -> Tensor:
        rows, heads, _, width = states.shape
        grown = states.new_empty(rows, heads, self.length + GROWTH, width)
        grown[..., : states.shape[-2], :] = states
        return grown

    def get_seq_length(self) -> int:
        """How many positions there are."""
        return self.length

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Beams change places with those of the same image."""
        written = slice(self.prompt, self.length)
        for states in (self.keys, self.values):
            states[..., written, :] = states[..., written, :].index_select(0, beam_idx)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Rows leave, or come several times."""
        self.keys, self.values = self.keys[indices], self.values[indices]


def _cache(config: Any) -> DynamicCache:
    """The cache of transformers, with our layers in the place of those that keep every position."""
    cache = DynamicCache(config=config)
    cache.layers = [BeamLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def _select(cache: DynamicCache, rows: Tensor) -> None:
    layer: Any
    for layer in cache.layers:
        if isinstance(layer, BeamLayer):
            layer.batch_select_indices(rows)
        else:
            layer.reorder_cache(rows)


def _of_parents(values: Tensor, parent: Tensor) -> Tensor:
    """(images, beams, t) and which beam, (images, kept), to (images, kept, t)."""
    return values.gather(1, parent[..., None].expand(-1, -1, values.shape[-1]))


@torch.inference_mode()
def most_probable(
    language: Any, embeddings: Tensor, mask: Tensor, *, beams: int, longest: int, end: int, held: Held | None = None
) -> list[Written]:
    """The most probable reply that the search finds, for each prompt; at most `longest` tokens.

    Prompts are `embeddings`, (B, T, width), with their `mask`, (B, T); padding is anywhere but at the end (an image's
    positions stand before it). As in transformers, a reply ends only where its end mark is among the best `beams` of an
    image's ways to go on. A model that gives no numbers gives a reply with no token.
    """
    cache = _cache(language.config)
    place = mask.sum(1)  # of the next token, in each image
    out = language(
        inputs_embeds=embeddings,
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    images = torch.arange(len(embeddings), device=mask.device)  # that are still searched
    scores = embeddings.new_zeros(len(images), 1, dtype=torch.float32)  # of each beam; one, to begin with
    tokens, chances = mask.new_empty(len(images), 1, 0), scores.new_empty(len(images), 1, 0)
    best = scores.new_full((len(images),), -torch.inf)
    found = [Written([], []) for _ in images]
    for step in range(1, longest + 1):
        # Each image's 2 * beams best ways to go on: enough, as at most `beams` of them end.
        logits = out.logits[:, -1].float()
        total = logits.logsumexp(-1, keepdim=True)
        allowed = logits if held is None else held(tokens.flatten(0, 1), logits)
        ways = 2 * beams
        value, token = allowed.topk(ways)  # (rows, ways)
        reached = (scores.flatten()[:, None] + (value - total)).view(len(images), -1)
        reached, which = reached.topk(ways)  # (images, ways)
        parent = which // ways
        token = token.view(len(images), -1).gather(1, which)
        chance = (value - total).view(len(images), -1).gather(1, which)
        tokens = torch.cat([_of_parents(tokens, parent), token[..., None]], -1)
        chances = torch.cat([_of_parents(chances, parent), chance[..., None]], -1)

        # Those that end here.
        ended = token == end if step < longest else torch.ones_like(token, dtype=torch.bool)
        score, winner = reached[:, :beams].where(ended[:, :beams], -torch.inf).max(1)
        for row in (score > best).nonzero()[:, 0].tolist():
            won = winner[row]
            found[int(images[row])] = Written(tokens[row, won].tolist(), chances[row, won].tolist())
        best = torch.maximum(best, score)

        # Those that go on, the best of them first.
        order = ended.int().argsort(dim=1, stable=True)[:, :beams]
        scores = reached.where(~ended, -torch.inf).gather(1, order)
        going = best < scores[:, 0]
        if step == longest or not going.any():
            break
        rows = torch.arange(len(images), device=mask.device)[:, None] * (out.logits.shape[0] // len(images))
        rows = rows + parent.gather(1, order)
        tokens, chances = _of_parents(tokens, order), _of_parents(chances, order)
        if step == 1 or (~going).float().mean() >= LEAVING:
            rows, tokens, chances, scores = rows[going], tokens[going], chances[going], scores[going]
            images, best, place, mask = images[going], best[going], place[going], mask[going]
            _select(cache, rows.flatten())
        else:
            cache.reorder_cache(rows.flatten())
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        out = language(
            input_ids=tokens[..., -1].reshape(-1, 1),
            attention_mask=mask.repeat_interleave(beams, 0),
            position_ids=(place + step - 1).repeat_interleave(beams)[:, None],
            past_key_values=cache,
            use_cache=True,
        )
    return found
