"""Decoding held to the form of triplets, by xgrammar: whatever the model, triplets of known relations come out."""

from __future__ import annotations

from typing import Any, Final

from torch import Tensor

from kgplatform.errors import UsageError
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
        """`vocabulary` is the width of the model's logits. Raises `UsageError` where xgrammar is not installed."""
        try:
            import xgrammar
        except ImportError:
            raise UsageError("xgrammar is not installed", "pip install 'kgplatform[generate]'") from None
        self._xgrammar = xgrammar
        info = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocabulary, stop_token_ids=[tokenizer.eos_token_id]
        )
        self._compiled = xgrammar.GrammarCompiler(info).compile_grammar(GRAMMAR)
        self._vocabulary = vocabulary
        self._states: dict[tuple[int, ...], Any] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(rows, tokens written) and (rows, vocabulary) to scores with minus infinity where a token cannot follow."""
        states: dict[tuple[int, ...], Any] = {}
        mask = self._xgrammar.allocate_token_bitmask(len(scores), self._vocabulary)
        for row, written in enumerate(input_ids.tolist()):
            text = tuple(written)
            if text not in states:
                states[text] = self._advanced(text)
            if not states[text].is_terminated():  # a row that is finished is padded, whatever its scores
                states[text].fill_next_token_bitmask(mask, row)
        self._states = states
        held = scores.float().cpu()
        self._xgrammar.apply_token_bitmask_inplace(held, mask)
        return held.to(scores.device, scores.dtype)

    def _advanced(self, text: tuple[int, ...]) -> Any:
        """The state after a text, from that before its last token where it is known."""
        before = self._states.get(text[:-1]) if text else None
        if before is not None:
            state = before.fork()
            rest = text[-1:]
        else:
            state = self._xgrammar.GrammarMatcher(self._compiled, terminate_without_stop_token=False)
            rest = text
        for token in rest:
            if state.is_terminated() or not state.accept_token(token):
                break
        return state
