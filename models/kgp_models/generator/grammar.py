"""Decoding held to the form of triplets, by xgrammar: regardless of the model, triplets of known relations come out."""

from __future__ import annotations

from typing import Any, Final

from torch import Tensor

from kgplatform.extras import missing
from kgplatform.triplets.text import NONE, Relation

_RELATIONS: Final = " | ".join(f'"{relation.value}"' for relation in Relation)
# The first character of an entity is a letter or digit; commas, semicolons and bars part triplets, so none is in one.
GRAMMAR: Final = f"""
root ::= " " ("{NONE}" | triplet ("; " triplet)*)
triplet ::= entity ", " relation ", " entity
relation ::= {_RELATIONS}
entity ::= [a-z0-9] [a-z0-9 '()./%:+-]{{0,79}}
"""


class TripletsOnly:
    """A logits processor of `generate`: tokens that would leave the grammar get no probability.

    Beams change places from step to step, so what has been written decides, not the row: the state of a beam is that of
    the text before its last token, taken one token further.
    """

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        """`vocabulary` is the width of the model's logits. Raises `SettingsError` where xgrammar is not installed."""
        try:
            import xgrammar
        except ImportError:
            raise missing("xgrammar", "generate") from None
        self._xgrammar = xgrammar
        tokenizer_info = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocabulary, stop_token_ids=[tokenizer.eos_token_id]
        )
        self._compiled = xgrammar.GrammarCompiler(tokenizer_info).compile_grammar(GRAMMAR)
        self._vocabulary = vocabulary
        self._states: dict[tuple[int, ...], Any] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(rows, tokens written) and (rows, vocabulary) to scores with minus infinity where a token cannot follow."""
        matcher_states: dict[tuple[int, ...], Any] = {}
        token_bitmask = self._xgrammar.allocate_token_bitmask(len(scores), self._vocabulary)
        for row_index, row_tokens in enumerate(input_ids.tolist()):
            token_prefix = tuple(row_tokens)
            if token_prefix not in matcher_states:
                matcher_states[token_prefix] = self._advanced(token_prefix)
            if not matcher_states[token_prefix].is_terminated():  # a finished row is padded, regardless of its scores
                matcher_states[token_prefix].fill_next_token_bitmask(token_bitmask, row_index)
        self._states = matcher_states
        masked_scores = scores.float().cpu()
        self._xgrammar.apply_token_bitmask_inplace(masked_scores, token_bitmask)
        return masked_scores.to(scores.device, scores.dtype)

    def _advanced(self, token_prefix: tuple[int, ...]) -> Any:
        """The state after a text, from that before its last token where it is known."""
        previous_state = self._states.get(token_prefix[:-1]) if token_prefix else None
        if previous_state is not None:
            matcher_state = previous_state.fork()
            pending_tokens = token_prefix[-1:]
        else:
            matcher_state = self._xgrammar.GrammarMatcher(self._compiled, terminate_without_stop_token=False)
            pending_tokens = token_prefix
        for token_id in pending_tokens:
            if matcher_state.is_terminated() or not matcher_state.accept_token(token_id):
                break
        return matcher_state
