"""VLM-KG: an image's vector, made into positions by the projector, before the instruction's tokens (VLM-KG §2.2)."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from kgp_models.generator.projector import Projector

NOT_COUNTED: Final = -100  # the label of tokens that the loss does not count


def answer_positions(labels: Tensor) -> int:
    """How many of the last positions are needed for the loss of labels, (B, T): those from before the first answer on.

    The logits of the prompt would be a seventh of a step's time.
    """
    first = int((labels != NOT_COUNTED).int().argmax(1).min())
    return int(labels.shape[1]) - max(0, first - 1)


def answer_loss(logits: Tensor, labels: Tensor, token_count: Tensor | int | None = None) -> Tensor:
    """The mean cross-entropy of the labels, (B, T), by the logits of the last positions, (B, kept, vocabulary); with
    `token_count` the sum divided by it, as of one of several batches of a step.
    """
    next_labels = labels[:, labels.shape[1] - logits.shape[1] + 1 :].flatten()
    is_counted = next_labels != NOT_COUNTED
    losses = nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1)[is_counted].float(), next_labels[is_counted], reduction="sum"
    )
    return losses / (is_counted.sum().clamp(min=1) if token_count is None else token_count)


class VLMKG(nn.Module):
    """Projector and language model. Without a projector it is LLM-KG, which reads reports alone."""

    def __init__(self, language: Any, projector: Projector | None) -> None:
        super().__init__()
        self.language = language
        self.projector = projector

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        weights_device: torch.device = next(self.parameters()).device
        return weights_device

    def embedded(self, input_ids: Tensor, attention_mask: Tensor, image: Tensor | None) -> tuple[Tensor, Tensor]:
        """Token embeddings with the image's positions before them, and their mask.

        (B, T) and (B, image_width) to (B, k + T, width) and (B, k + T).
        """
        token_embeddings = self.language.get_input_embeddings()(input_ids)  # (B, T, width)
        if self.projector is None or image is None:
            return token_embeddings, attention_mask
        image_positions = self.projector(image.to(token_embeddings.dtype))  # (B, k, width)
        joined_mask = torch.cat([attention_mask.new_ones(image_positions.shape[:2]), attention_mask], 1)
        return torch.cat([image_positions, token_embeddings], 1), joined_mask

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None, image: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Logits of the tokens, (B, T, vocabulary); with labels (-100: not counted) the mean cross-entropy alone."""
        embeddings, joined_mask = self.embedded(input_ids, attention_mask, image)
        kept_positions = input_ids.shape[1] if labels is None else answer_positions(labels)
        language_output = self.language(
            inputs_embeds=embeddings,
            attention_mask=joined_mask,
            position_ids=(joined_mask.cumsum(1) - 1).clamp(min=0),
            logits_to_keep=kept_positions,
        )
        if labels is None:
            return {"logits": language_output.logits}
        return {"loss": answer_loss(language_output.logits, labels)}

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """As `transformers.Trainer` asks for it."""
        self.language.activation_checkpointing_enable(**options)
