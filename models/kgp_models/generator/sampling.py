"""Replies drawn from a generator's distribution, to tell how probable each triplet is.

The most probable reply to an image that says little is "none", even where a triplet is nearly as probable as not. The
share of drawn replies that have a triplet estimates its probability, and all triplets above a share that was chosen on
validation are the best set for F1 (minimum Bayes risk, Kumar and Byrne 2004; the best share is half the F1 that is
reached, Lipton et al. 2014). VLM-KG has beam search alone.

Every image is drawn with the same random numbers, so that a reply is the same whatever is asked with it, and the first
tokens are spread evenly over their distribution.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from kgp_models.generator.search import LEAVING, read_prompts, select_rows
from kgp_models.generator.transformers_search import LogitsFilter

PROMPT_POSITIONS: Final = 40_000  # of all replies that are drawn together: some 2 GB of keys and values of SmolLM2
SEED: Final = 0


def uniforms(samples: int, length: int) -> Tensor:
    """What tokens are drawn by, (samples, length), in [0, 1): those of the first tokens one in each n-th."""
    rng = torch.Generator().manual_seed(SEED)
    numbers = torch.rand(samples, length, generator=rng, dtype=torch.float64)
    numbers[:, 0] = (torch.randperm(samples, generator=rng) + numbers[:, 0]) / samples
    return numbers


@torch.inference_mode()
def sampled_replies(
    language: Any,
    embeddings: Tensor,
    mask: Tensor,
    *,
    samples: int,
    max_new_tokens: int,
    end: int,
    logits_filter: LogitsFilter | None = None,
) -> list[list[list[int]]]:
    """Replies to each prompt, `samples` of them, as tokens up to the end mark and with it, if it came to that.

    Prompts are `embeddings`, (B, T, width), with their `mask`, (B, T); padding is anywhere but at the end. A model that
    gives no numbers gives no replies.
    """
    numbers = uniforms(samples, max_new_tokens)
    prompt_count = max(1, PROMPT_POSITIONS // (samples * mask.shape[1]))
    replies: list[list[list[int]]] = []
    for start in range(0, len(mask), prompt_count):
        block = slice(start, start + prompt_count)
        replies += _sampled(language, embeddings[block], mask[block], numbers, end, logits_filter)
    return replies


def _sampled(
    language: Any, embeddings: Tensor, mask: Tensor, numbers: Tensor, end: int, logits_filter: LogitsFilter | None
) -> list[list[list[int]]]:
    samples, max_new_tokens = numbers.shape
    next_positions = mask.sum(1)
    cache, model_output = read_prompts(language, embeddings, mask)
    rows = torch.arange(len(mask)).repeat_interleave(samples)  # the prompt of each open reply
    select_rows(cache, rows.to(mask.device))
    draws = torch.arange(samples).repeat(len(mask))  # and which of its replies it is
    logits = model_output.logits[:, -1].float()[rows]
    mask, next_positions = mask[rows], next_positions[rows]
    tokens = mask.new_empty(len(rows), 0)
    replies: list[list[list[int]]] = [[[] for _ in range(samples)] for _ in range(len(embeddings))]
    is_open = torch.ones(len(rows), dtype=torch.bool)
    for step in range(max_new_tokens):
        if logits_filter is not None:
            logits = logits_filter(tokens, logits)
        if not bool(logits.isfinite().any(-1).all()) or bool(logits.isnan().any()):
            return [[] for _ in range(len(embeddings))]
        chosen = _by_uniforms(logits, numbers[draws, step].to(logits.device))
        tokens = torch.cat([tokens, chosen[:, None]], 1)
        has_ended = (chosen == end).cpu() if step + 1 < max_new_tokens else torch.ones_like(is_open)
        for row in (has_ended & is_open).nonzero()[:, 0].tolist():
            replies[int(rows[row])][int(draws[row])] = tokens[row].tolist()
        is_open &= ~has_ended
        if not is_open.any():
            break
        if (~is_open).float().mean() >= LEAVING:
            open_rows = is_open.nonzero()[:, 0]
            select_rows(cache, open_rows.to(mask.device))
            rows, draws, is_open = rows[open_rows], draws[open_rows], is_open[open_rows]
            tokens, mask, next_positions = tokens[open_rows], mask[open_rows], next_positions[open_rows]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        model_output = language(
            input_ids=tokens[:, -1:],
            attention_mask=mask,
            position_ids=(next_positions + step)[:, None],
            past_key_values=cache,
            use_cache=True,
        )
        logits = model_output.logits[:, -1].float()
    return replies


def _by_uniforms(logits: Tensor, numbers: Tensor) -> Tensor:
    """A token of each row's distribution, (rows, vocabulary), by a uniform number, (rows,); never one of chance 0."""
    cumulative = logits.softmax(-1).cumsum(-1)
    total = cumulative[:, -1]
    thresholds = torch.minimum(numbers.to(total.dtype) * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, thresholds[:, None], right=True)[:, 0]
