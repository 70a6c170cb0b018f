"""The papers' formulas of HypER, ConvR, MurP and AttH in plain NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pykeen")


from tests.unit.models.link_prediction.test_poincare import distance, mobius, reference_exp0, reference_log0  # noqa: E402


def numbers(model: Any, kind: str, index: int, row: int) -> Any:
    """The parameters of one entity or relation, as NumPy."""
    return getattr(model, f"{kind}_representations")[index](torch.tensor([row]))[0].detach().numpy()


def batch_norm(state: Any, prefix: str, x: Any, channel: int) -> Any:
    """Batch normalisation in evaluation mode of one number; the number itself where the model has none."""
    if f"{prefix}.weight" not in state:
        return x
    mean, variance = state[f"{prefix}.running_mean"][channel], state[f"{prefix}.running_var"][channel]
    weight, bias = state[f"{prefix}.weight"][channel], state[f"{prefix}.bias"][channel]
    return (x - mean) / math.sqrt(variance + 1e-5) * weight + bias


def convolution_score(model: Any, state: Any, maps: Any, t: int) -> Any:
    """ReLU(W vec(ReLU(maps)) + b)·t + b_t."""
    flat_features = [
        max(batch_norm(state, "features.0", float(value), channel), 0.0)
        for channel, feature_map in enumerate(maps)
        for value in np.ravel(feature_map)
    ]
    weight, offset = state["projection.0.weight"], state["projection.0.bias"]
    score = float(numbers(model, "entity", 1, t))
    for dimension, component in enumerate(numbers(model, "entity", 0, t)):
        projected = (
            sum(factor * feature for factor, feature in zip(weight[dimension], flat_features, strict=True))
            + offset[dimension]
        )
        score += max(batch_norm(state, "projection.2", projected, dimension), 0.0) * component
    return score


def hyper_oracle(model: Any, h: int, r: int, t: int) -> Any:
    state = {tensor_name: tensor.numpy() for tensor_name, tensor in model.interaction.state_dict().items()}
    head_vector = [batch_norm(state, "input.0", component, 0) for component in numbers(model, "entity", 0, h)]
    filter_weights = state["hypernetwork.weight"] @ numbers(model, "relation", 0, r) + state["hypernetwork.bias"]
    filter_count, filter_length = 3, 4
    feature_maps = [
        [
            sum(
                filter_weights[filter_index * filter_length + offset] * head_vector[start + offset]
                for offset in range(filter_length)
            )
            for start in range(len(head_vector) - filter_length + 1)
        ]
        for filter_index in range(filter_count)
    ]
    return convolution_score(model, state, feature_maps, t)


def convr_oracle(model: Any, h: int, r: int, t: int) -> Any:
    state = {tensor_name: tensor.numpy() for tensor_name, tensor in model.interaction.state_dict().items()}
    (height, width), (filter_height, filter_width) = model.interaction.image, model.interaction.filter
    head_vector = [batch_norm(state, "input.0", component, 0) for component in numbers(model, "entity", 0, h)]
    relation_vector = numbers(model, "relation", 0, r)
    feature_maps = []
    for filter_index in range(3):
        feature_map = np.zeros((height - filter_height + 1, width - filter_width + 1))
        for row in range(feature_map.shape[0]):
            for column in range(feature_map.shape[1]):
                for a in range(filter_height):
                    for b in range(filter_width):
                        feature_map[row, column] += (
                            head_vector[(row + a) * width + column + b]
                            * relation_vector[filter_index * filter_height * filter_width + a * filter_width + b]
                        )
        feature_maps.append(feature_map)
    return convolution_score(model, state, feature_maps, t)


def murp_oracle(model: Any, h: int, r: int, t: int) -> Any:
    """From points of the ball, as in the paper."""
    head_point, tail_point = (
        reference_exp0(numbers(model, "entity", 0, h), 1),
        reference_exp0(numbers(model, "entity", 0, t), 1),
    )
    translation, stretch = (
        reference_exp0(numbers(model, "relation", 0, r), 1),
        np.diag(numbers(model, "relation", 1, r)),
    )
    hyperbolic_distance = distance(
        reference_exp0(stretch @ reference_log0(head_point, 1), 1), mobius(tail_point, translation, 1), 1
    )
    return -(hyperbolic_distance**2) + float(numbers(model, "entity", 1, h)) + float(numbers(model, "entity", 2, t))


def atth_oracle(model: Any, h: int, r: int, t: int) -> Any:
    """With block-diagonal matrices on points of the ball, and log₀ before attention, as in the paper."""
    translation, theta, phi, context_vector, raw_curvature = (
        numbers(model, "relation", index, r) for index in range(5)
    )
    curvature = math.log(1 + math.exp(float(raw_curvature)))
    head_point, tail_point = (
        reference_exp0(numbers(model, "entity", 0, h), curvature),
        reference_exp0(numbers(model, "entity", 0, t), curvature),
    )
    rotation, reflection = np.zeros((6, 6)), np.zeros((6, 6))
    for index in range(3):
        block = slice(2 * index, 2 * index + 2)
        rotation[block, block] = [
            [math.cos(theta[index]), -math.sin(theta[index])],
            [math.sin(theta[index]), math.cos(theta[index])],
        ]
        reflection[block, block] = [
            [math.cos(phi[index]), math.sin(phi[index])],
            [math.sin(phi[index]), -math.cos(phi[index])],
        ]
    rotated, reflected = (
        reference_log0(rotation @ head_point, curvature),
        reference_log0(reflection @ head_point, curvature),
    )
    weights = np.exp([context_vector @ rotated / math.sqrt(6), context_vector @ reflected / math.sqrt(6)])
    attention = reference_exp0((weights[0] * rotated + weights[1] * reflected) / weights.sum(), curvature)
    hyperbolic_distance = distance(
        mobius(attention, reference_exp0(translation, curvature), curvature), tail_point, curvature
    )
    return -(hyperbolic_distance**2) + float(numbers(model, "entity", 1, h)) + float(numbers(model, "entity", 2, t))


ORACLES = {
    "hyper": hyper_oracle,
    "convr": convr_oracle,
    "convr-bare": convr_oracle,
    "murp": murp_oracle,
    "atth": atth_oracle,
}


def attention(dimension: Any, angles: Any) -> Any:
    shapes = [(2, dimension), (2, angles), (2, angles), (2, dimension), (2,)]
    return tuple(torch.zeros(shape) for shape in shapes)
