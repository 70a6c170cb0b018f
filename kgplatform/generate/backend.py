"""What writes triplets: a trained checkpoint on this machine (`kgp_models.generator`), or a served model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from kgplatform.trained_on import TrainedOn
from kgplatform.triplets.text import Triplet


class GenerationRequest(NamedTuple):
    """What a generator is asked about: an image, a report (in RadGraph's form; empty for none), or both.

    `position` is its number among all images of the call, including those done before: with it, a run resumed after a
    kill forms the same batches as a run that was not interrupted.
    """

    id: str
    image: Path | None
    report: str
    position: int | None = None


class Scored(NamedTuple):
    """A triplet, and how sure the model is of it, from 0 to 1: the geometric mean probability of its tokens, the
    share of drawn replies that have it, or the probability of a classifier. None where the model does not tell.
    """

    triplet: Triplet
    score: float | None


class GeneratorReply(NamedTuple):
    """What was written of one image; `left_out` parts of it were no triplets.

    `problem` says why there is nothing, where the image cannot be read or no answer came. `unread` are tokens at the
    report's end that the model does not read; a reply that is not `finished` stopped at the limit of its length.
    `unlike`: the image is far from all images of the model's training. `classified`: a classifier of the image's vector
    gave the triplets, and no language model wrote them.
    """

    request: GenerationRequest
    text: str
    triplets: tuple[Scored, ...]
    left_out: int = 0
    tokens: int = 0
    problem: str | None = None
    unread: int = 0
    finished: bool = True
    unlike: bool = False
    classified: bool = False


class Backend(Protocol):
    """A generator that is ready."""

    @property
    def name(self) -> str:
        """What its triplets are marked with."""
        ...

    @property
    def sha256(self) -> str:
        """Of all that decides what it writes, in addition to `parameters`."""
        ...

    @property
    def parameters(self) -> Mapping[str, Any]:
        """How replies are searched for; JSON."""
        ...

    @property
    def trained_on(self) -> TrainedOn:
        """The data sets of its training."""
        ...

    def replies(self, requests: Iterator[GenerationRequest]) -> Iterator[list[GeneratorReply]]:
        """Batches of replies, one for each that is asked, in any order."""
        ...
