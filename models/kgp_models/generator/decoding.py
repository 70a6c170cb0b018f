"""How replies are searched for: what a call asks for, and what was best on a model's validation part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from kgplatform.errors import UsageError

MAX_PENALTY: Final = 5.0
MAX_REWARD: Final = 5.0
MAX_SAMPLES: Final = 1024
SHARE: Final = 0.3  # where replies are drawn and no share was chosen on validation


class Search(NamedTuple):
    """How a reply is chosen: the most probable one (`kgp_models.generator.search.most_probable`); with `samples`, the
    triplets that at least a `share` of so many drawn replies have (`kgp_models.generator.sampling`); or, with
    `classifier`, which is for images alone, those of `kgp_models.generator.classifier`, without the language model.
    """

    length_penalty: float = 0.0
    token_reward: float = 0.0
    samples: int = 0
    share: float = 0.0
    classifier: bool = False

    def __str__(self) -> str:
        if self.classifier:
            return "classifier"
        if self.samples:
            return f"share {self.share:g} of {self.samples} replies"
        reward = f", token reward {self.token_reward:g}" if self.token_reward else ""
        return f"length penalty {self.length_penalty:g}{reward}"

    def document(self) -> dict[str, float]:
        """What is stored: the entries that are not 0."""
        return {name: value for name, value in self._asdict().items() if value}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Search:
        """The search of a document with such entries, and others."""
        return cls(
            float(document.get("length_penalty", 0.0)),
            float(document.get("token_reward", 0.0)),
            int(document.get("samples", 0)),
            float(document.get("share", 0.0)),
            bool(document.get("classifier", False)),
        )


@dataclass(frozen=True)
class Decoding:
    """How replies are searched for; None: what was best on the model's validation part. The paper: beam search, 512 new
    tokens; it does not say how many beams (4).
    """

    beams: int = 4
    max_new_tokens: int = 512
    batch: int = 16
    constrained: bool = False
    length_penalty: float | None = None  # power of a reply's length
    token_reward: float | None = None  # added to each token's log probability
    samples: int | None = None  # replies that are drawn; 0 searches for the most probable one
    share: float | None = None  # of the drawn replies that have a triplet, for it to be written
    classifier: bool | None = None  # of images alone, in place of the language model

    def __post_init__(self) -> None:
        """Raises `UsageError` for a number out of range."""
        limits = {"beams": (self.beams, 64), "max_new_tokens": (self.max_new_tokens, 4096), "batch": (self.batch, 1024)}
        for setting_name, (value, upper_limit) in limits.items():
            if not 1 <= value <= upper_limit:
                raise UsageError(f"{setting_name} must be 1 to {upper_limit}")
        options = {
            "length_penalty": (self.length_penalty, MAX_PENALTY),
            "token_reward": (self.token_reward, MAX_REWARD),
            "samples": (self.samples, MAX_SAMPLES),
            "share": (self.share, 1.0),
        }
        for option_name, (option, highest) in options.items():
            if option is not None and not 0 <= option <= highest:
                raise UsageError(f"{option_name} must be 0 to {highest:g}")

    def search(self, best: Search) -> Search:
        """The search asked for; what was left open is as in `best`, that of the model's validation. A length penalty or
        a token reward asks for the most probable reply, and so for the language model, as samples do.
        """
        options = (self.samples, self.length_penalty, self.token_reward, self.share)
        if self.classifier or (self.classifier is None and best.classifier and options == (None,) * len(options)):
            return Search(classifier=True)
        asks_for_one = self.samples is None and (self.length_penalty is not None or self.token_reward is not None)
        samples = 0 if asks_for_one else best.samples if self.samples is None else self.samples
        if samples:
            share = self.share if self.share is not None else best.share if best.samples else SHARE
            return Search(samples=samples, share=share)
        penalty, reward = self.length_penalty, self.token_reward
        return Search(
            best.length_penalty if penalty is None else penalty, best.token_reward if reward is None else reward
        )
