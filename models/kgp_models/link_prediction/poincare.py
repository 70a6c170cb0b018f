"""The Poincaré ball {x : c‖x‖² < 1} of curvature −c, from inner products (Ganea et al. 2018, NeurIPS, section 2).

Every function is smooth in c ≥ 0, in particular at c = 0, where the ball is flat and lengths are twice Euclidean ones,
and at the origin. c is a number or a tensor that broadcasts: with points (..., d) it is (..., 1).

Rounding must not put a point on the boundary, where distances are infinite: what this module returns lies within
√c‖x‖ ≤ 1 − margin. The margins are those of KGEmb (Chami et al. 2020). They bound a point's distance from the origin
by 6.2/√c in float32 and 12.2/√c in float64; beyond that, only the direction of a point gets a gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

MARGIN = {torch.float32: 4e-3, torch.float64: 1e-5}
_SERIES = 1e-4  # below this argument √z has no usable gradient, and three terms of the series are exact to 1e-12


def limit(dtype: torch.dtype) -> float:
    """The largest √c‖x‖ of a point. Raises ValueError for a precision too low for the ball."""
    if dtype not in MARGIN:
        raise ValueError(f"hyperbolic models need float32 or float64, not {dtype}")
    return 1 - MARGIN[dtype]


def squared_norm(x: Tensor) -> Tensor:
    """‖x‖², (..., 1) for (..., d)."""
    return x.square().sum(dim=-1, keepdim=True)


def exp0(v: Tensor, c: Tensor | float) -> Tensor:
    """exp₀ᶜ(v) = tanh(√c‖v‖) v / (√c‖v‖), the point of a tangent vector at the origin; (..., d)."""
    return v * exp0_scale(squared_norm(v), c)


def exp0_scale(v2: Tensor, c: Tensor | float) -> Tensor:
    """The factor s of exp₀ᶜ(v) = s v, from v2 = ‖v‖²."""
    z = c * v2
    is_small = z < _SERIES
    square_root = torch.where(is_small, 1.0, z).sqrt()
    scale = torch.where(is_small, 1 - z / 3 + 2 * z.square() / 15, square_root.tanh() / square_root)
    return scale * project_scale(scale.square() * v2, c)


def log0(x: Tensor, c: Tensor | float) -> Tensor:
    """log₀ᶜ(x) = artanh(√c‖x‖) x / (√c‖x‖), the inverse of `exp0`; (..., d)."""
    z = (c * squared_norm(x)).clamp_max(limit(x.dtype) ** 2)
    is_small = z < _SERIES
    square_root = torch.where(is_small, 0.5, z).sqrt()
    return x * torch.where(is_small, 1 + z / 3 + z.square() / 5, square_root.atanh() / square_root)


def project(x: Tensor, c: Tensor | float) -> Tensor:
    """The point x, moved towards the origin as far as the limit where it lies beyond; (..., d)."""
    return x * project_scale(squared_norm(x), c)


def project_scale(x2: Tensor, c: Tensor | float) -> Tensor:
    """The factor s ≤ 1 of project(x) = s x, from x2 = ‖x‖²."""
    z = c * x2
    is_outside = z > limit(x2.dtype) ** 2
    return torch.where(is_outside, limit(x2.dtype) * torch.where(is_outside, z, 1.0).rsqrt(), 1.0)


def mobius_add(x: Tensor, y: Tensor, c: Tensor | float) -> Tensor:
    """Möbius addition x ⊕ y, the translation of y by x; (..., d).

    x ⊕ y = ((1 + 2c⟨x,y⟩ + c‖y‖²) x + (1 − c‖x‖²) y) / (1 + 2c⟨x,y⟩ + c²‖x‖²‖y‖²).
    """
    x_factor, y_factor, _ = mobius_coefficients(squared_norm(x), squared_norm(y), squared_norm(x + y), c)
    return x_factor * x + y_factor * y


def mobius_coefficients(x2: Tensor, y2: Tensor, sum2: Tensor, c: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
    """a, b and ‖x ⊕ y‖² with x ⊕ y = a x + b y, from ‖x‖², ‖y‖² and ‖x + y‖².

    The textbook's numerator and denominator, written as sums of positive terms so that nothing cancels:
    a ∝ 1 − c‖x‖² + c‖x+y‖², b ∝ 1 − c‖x‖², over c‖x+y‖² + (1 − c‖x‖²)(1 − c‖y‖²); ‖x ⊕ y‖² is ‖x+y‖² over the same.
    """
    y_factor, scaled_sum = 1 - c * x2, c * sum2
    denominator = scaled_sum + y_factor * (1 - c * y2)
    norm2 = sum2 / denominator
    scale = project_scale(norm2, c)
    factor = scale / denominator
    return (y_factor + scaled_sum) * factor, y_factor * factor, norm2 * scale.square()


def squared_distance(x: Tensor, y: Tensor, c: Tensor | float) -> Tensor:
    """d(x, y)² with d(x, y) = 2 artanh(√c‖−x ⊕ y‖) / √c; (...) for (..., d)."""
    return _squared_distance(squared_norm(x), squared_norm(y), squared_norm(x - y), c).squeeze(-1)


def squared_distances(x: Tensor, y: Tensor, c: Tensor | float) -> Tensor:
    """d(xᵢ, yⱼ)² of all pairs of (n, d) and (m, d) by one matrix product, (n, m); c is a number or (n, 1)."""
    return squared_distance_from_products(squared_norm(x), squared_norm(y).T, x @ y.T, c)


def squared_distance_from_products(x2: Tensor, y2: Tensor, xy: Tensor, c: Tensor | float) -> Tensor:
    """d(x, y)² from ‖x‖², ‖y‖² and ⟨x, y⟩.

    ‖x − y‖² cancels here: in float32 its error is about 2e-7, and that of d² 8e-7 / ((1 − c‖x‖²)(1 − c‖y‖²)), so 1e-2
    for two neighbours at the very limit of the ball and below 1e-5 for points up to √c‖x‖ = 0.85.
    """
    return _squared_distance(x2, y2, (x2 + y2 - 2 * xy).clamp_min(0), c)


def _squared_distance(x2: Tensor, y2: Tensor, difference2: Tensor, c: Tensor | float) -> Tensor:
    """‖−x ⊕ y‖² = ‖x−y‖² / (c‖x−y‖² + B) with B = (1 − c‖x‖²)(1 − c‖y‖²), and artanh √(u/(u+1)) = arsinh √u.

    So d² = 4 arsinh²(√u) / c with u = c‖x−y‖²/B: finite and smooth for all points within the limit.
    """
    flat_distance = difference2 / ((1 - c * x2) * (1 - c * y2))
    u = c * flat_distance
    is_small = u < _SERIES
    safe_ratio = torch.where(is_small, 1.0, u)
    return (
        4
        * flat_distance
        * torch.where(is_small, 1 - u / 3 + 8 * u.square() / 45, safe_ratio.sqrt().asinh().square() / safe_ratio)
    )
