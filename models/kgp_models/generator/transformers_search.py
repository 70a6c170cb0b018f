"""The most probable reply by transformers' own beam search: slower than `kgp_models.generator.search`, which builds on
parts of transformers that a release may change, and used where that search does not run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

LogitsFilter = Callable[[Tensor, Tensor], Tensor]  # tokens written, (rows, t), and logits to logits: what may follow


class ScoredReply(NamedTuple):
    """A reply, and the log probability of each of its tokens. The last is the end mark, if it came to that."""

    tokens: list[int]
    chances: list[float]


def token_rewards(reward: float, end: int, logits: Tensor) -> Tensor:
    """What is added to the logits, (rows, vocabulary): the reward, but 0 for the end of a reply."""
    rewards = logits.new_full(logits.shape[-1:], reward)
    rewards[end] = 0.0
    return rewards


@torch.inference_mode()
def generate_replies(
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
    """The most probable reply to each prompt, arguments as in `kgp_models.generator.search.most_probable`."""
    early_stopping = False if length_penalty or token_reward else "never"
    options = {"early_stopping": early_stopping, "length_penalty": length_penalty}
    beam_options: dict[str, Any] = options if beams > 1 else {}
    logits_processors = [] if logits_filter is None else [logits_filter]
    if token_reward:
        logits_processors.append(lambda _, logits: logits + token_rewards(token_reward, end, logits))
    if logits_processors:
        beam_options["logits_processor"] = logits_processors
    generated = language.generate(
        inputs_embeds=embeddings,
        attention_mask=mask,
        num_beams=beams,
        do_sample=False,
        max_new_tokens=max_new_tokens,
        pad_token_id=end,
        eos_token_id=end,
        **beam_options,
    ).tolist()
    return [
        _scored(language, embeddings[row][mask[row].bool()], _until(end, token_ids))
        for row, token_ids in enumerate(generated)
    ]


def _until(end: int, token_ids: Sequence[int]) -> list[int]:
    """The tokens up to the end mark and with it."""
    return list(token_ids[: token_ids.index(end) + 1] if end in token_ids else token_ids)


def _scored(language: Any, prompt: Tensor, token_ids: list[int]) -> ScoredReply:
    """The reply with its tokens' log probabilities, from one more pass over prompt and reply. A model that gives no
    numbers gives a reply with no token.
    """
    reply = torch.tensor(token_ids, device=prompt.device)
    states = torch.cat([prompt, language.get_input_embeddings()(reply).to(prompt.dtype)])
    logits = language(inputs_embeds=states[None]).logits[0, len(prompt) - 1 : -1].float()
    chances = logits.log_softmax(-1).gather(1, reply[:, None])[:, 0]
    return ScoredReply(token_ids, chances.tolist()) if bool(chances.isfinite().all()) else ScoredReply([], [])
