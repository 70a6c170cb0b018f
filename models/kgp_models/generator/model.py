"""VLM-KG: an image's vector, made into positions by the projector, before the instruction's tokens (VLM-KG §2.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kgp_models.generator.projector import Projector


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
        """Logits of the tokens, (B, T, vocabulary), and with labels (-100: not counted) the mean cross-entropy."""
        embeddings, joined_mask = self.embedded(input_ids, attention_mask, image)
        token_positions = (joined_mask.cumsum(1) - 1).clamp(min=0)
        language_output = self.language(
            inputs_embeds=embeddings, attention_mask=joined_mask, position_ids=token_positions
        )
        logits = language_output.logits[:, embeddings.shape[1] - input_ids.shape[1] :]
        if labels is None:
            return {"logits": logits}
        loss = nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=-100
        )
        return {"loss": loss, "logits": logits}

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """As `transformers.Trainer` asks for it."""
        self.language.activation_checkpointing_enable(**options)
