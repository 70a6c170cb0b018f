"""The towers of pretrained models as modules that give vectors, and those of an image's regions or a text's words."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class ClipImage(nn.Module):
    """CLIP's image tower in transformers' form, with its projection: (B, 3, size, size) to (B, width)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.projection = model.vision_model, model.visual_projection

    def forward(self, pixels: Tensor) -> Tensor:
        """The vectors of images."""
        return self.spread(pixels)[0]

    def spread(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors, and those of the patches, by the same projection, (B, patches, width)."""
        tower_output = self.model(pixel_values=pixels)
        patches = self.model.post_layernorm(tower_output.last_hidden_state[:, 1:])
        return self.projection(tower_output.pooler_output), self.projection(patches)


class ClipText(nn.Module):
    """CLIP's text tower in transformers' form, with its projection: (B, T) to (B, width)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.projection = model.text_model, model.text_projection

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The vectors of texts."""
        return self.spread(input_ids, attention_mask)[0]

    def spread(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors, and those of the words, by the same projection, (B, T, width)."""
        tower_output = self.model(input_ids=input_ids, attention_mask=attention_mask)
        return self.projection(tower_output.pooler_output), self.projection(tower_output.last_hidden_state)


class OpenClipText(nn.Module):
    """open_clip's text tower, with its projection: (B, T) to (B, width); it finds the padding itself."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        """The vectors of texts."""
        text_vectors: Tensor = self.model(input_ids)
        return text_vectors


class EfficientNetLite(nn.Module):
    """EfficientNet-lite0 without its classifier: (B, 3, 224, 224) to (B, 1280)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        model._fc = nn.Identity()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """The vectors of images."""
        return self.spread(pixels)[0]

    def spread(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors, and those of the 7 by 7 regions that they are the mean of, (B, 49, 1280)."""
        feature_map: Tensor = self.model.extract_features(pixels)  # (B, 1280, 7, 7)
        return feature_map.mean((2, 3)), feature_map.flatten(2).transpose(1, 2)


class WordMean(nn.Module):
    """A sentence encoder: the mean of the last layer over the words, (B, T) to (B, width)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The vectors of texts."""
        return self.spread(input_ids, attention_mask)[0]

    def spread(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors, and those of the words, (B, T, width)."""
        word_vectors: Tensor = self.model(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state  # (B, T, D)
        word_mask = attention_mask.unsqueeze(-1).to(word_vectors.dtype)  # (B, T, 1)
        return (word_vectors * word_mask).sum(1) / word_mask.sum(1).clamp(min=1), word_vectors
