"""HypER, ConvR, MurP and AttH against their papers' formulas in plain NumPy, and the geometry that two of them use."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pykeen")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from pykeen.models import ERModel  # noqa: E402
from pykeen.triples import KGInfo  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from kgp_models.link_prediction import poincare  # noqa: E402
from kgp_models.link_prediction.atth import AttH, AttHInteraction, AttHScorer, reflect, rotate  # noqa: E402
from kgp_models.link_prediction.convr import ConvR, ConvRInteraction, ConvRScorer, image_shape  # noqa: E402
from kgp_models.link_prediction.hyper import HypER, HypERInteraction, HypERScorer  # noqa: E402
from kgp_models.link_prediction.murp import MurP, MurPInteraction, MurPScorer  # noqa: E402
from kgp_models.link_prediction.scorers import Reciprocal  # noqa: E402

ENTITIES, RELATIONS = 7, 3

MODELS = {
    "hyper": lambda **rest: HypER(embedding_dim=10, relation_dim=5, num_filters=3, filter_length=4, **rest),
    "convr": lambda **rest: ConvR(embedding_dim=12, num_filters=3, filter_height=2, filter_width=3, **rest),
    "convr-bare": lambda **rest: ConvR(
        embedding_dim=12, num_filters=3, filter_height=3, filter_width=2, height=4, batch_norm=False, **rest
    ),
    "murp": lambda **rest: MurP(embedding_dim=5, **rest),
    "atth": lambda **rest: AttH(embedding_dim=6, **rest),
}
SCORERS = {
    "hyper": HypERScorer,
    "convr": ConvRScorer,
    "convr-bare": ConvRScorer,
    "murp": MurPScorer,
    "atth": AttHScorer,
}
HYPERBOLIC = ["murp", "atth"]
every_model = pytest.mark.parametrize("name", MODELS)
every_hyperbolic = pytest.mark.parametrize("name", HYPERBOLIC)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """The tensors are so small that threads only get in each other's way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def build(name, entities=ENTITIES, relations=RELATIONS, inverse=False, dtype=torch.float64, scale=0.6):
    """The model with every parameter and running statistic random, in evaluation mode."""
    info = KGInfo(entities, relations, create_inverse_triples=inverse)
    model = MODELS[name](triples_factory=info, random_seed=0).to(dtype).eval()
    draw = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data = scale * torch.randn(parameter.shape, generator=draw, dtype=dtype)
    for buffer_name, buffer in model.named_buffers():
        if buffer_name.endswith("running_var"):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=draw, dtype=dtype))
        elif buffer_name.endswith("running_mean"):
            buffer.copy_(torch.randn(buffer.shape, generator=draw, dtype=dtype))
    return model


def all_triples(entities=ENTITIES, relations=RELATIONS):
    return torch.cartesian_prod(torch.arange(entities), torch.arange(relations), torch.arange(entities))


# ---------------------------------------------------------------- the papers' formulas, one number at a time


def numbers(model, kind, index, row):
    """The parameters of one entity or relation, as NumPy."""
    return getattr(model, f"{kind}_representations")[index](torch.tensor([row]))[0].detach().numpy()


def batch_norm(state, prefix, x, channel):
    """Batch normalisation in evaluation mode of one number; the number itself where the model has none."""
    if f"{prefix}.weight" not in state:
        return x
    mean, var = state[f"{prefix}.running_mean"][channel], state[f"{prefix}.running_var"][channel]
    weight, bias = state[f"{prefix}.weight"][channel], state[f"{prefix}.bias"][channel]
    return (x - mean) / math.sqrt(var + 1e-5) * weight + bias


def convolution_score(model, state, maps, t):
    """ReLU(W vec(ReLU(maps)) + b)·t + b_t."""
    flat = [
        max(batch_norm(state, "features.0", float(value), channel), 0.0)
        for channel, one in enumerate(maps)
        for value in np.ravel(one)
    ]
    weight, offset = state["projection.0.weight"], state["projection.0.bias"]
    score = float(numbers(model, "entity", 1, t))
    for k, component in enumerate(numbers(model, "entity", 0, t)):
        projected = sum(w * x for w, x in zip(weight[k], flat, strict=True)) + offset[k]
        score += max(batch_norm(state, "projection.2", projected, k), 0.0) * component
    return score


def hyper_oracle(model, h, r, t):
    state = {key: value.numpy() for key, value in model.interaction.state_dict().items()}
    head = [batch_norm(state, "input.0", x, 0) for x in numbers(model, "entity", 0, h)]
    made = state["hypernetwork.weight"] @ numbers(model, "relation", 0, r) + state["hypernetwork.bias"]
    count, length = 3, 4
    maps = [
        [sum(made[f * length + i] * head[m + i] for i in range(length)) for m in range(len(head) - length + 1)]
        for f in range(count)
    ]
    return convolution_score(model, state, maps, t)


def convr_oracle(model, h, r, t):
    state = {key: value.numpy() for key, value in model.interaction.state_dict().items()}
    (height, width), (fh, fw) = model.interaction.image, model.interaction.filter
    head = [batch_norm(state, "input.0", x, 0) for x in numbers(model, "entity", 0, h)]
    relation = numbers(model, "relation", 0, r)
    maps = []
    for f in range(3):
        one = np.zeros((height - fh + 1, width - fw + 1))
        for i in range(one.shape[0]):
            for j in range(one.shape[1]):
                for a in range(fh):
                    for b in range(fw):
                        one[i, j] += head[(i + a) * width + j + b] * relation[f * fh * fw + a * fw + b]
        maps.append(one)
    return convolution_score(model, state, maps, t)


def exp0(v, c):
    norm = math.sqrt(sum(x * x for x in v))
    return np.array([math.tanh(math.sqrt(c) * norm) * x / (math.sqrt(c) * norm) for x in v])


def log0(y, c):
    norm = math.sqrt(sum(x * x for x in y))
    return np.array([math.atanh(math.sqrt(c) * norm) * x / (math.sqrt(c) * norm) for x in y])


def mobius(x, y, c):
    xy, x2, y2 = float(x @ y), float(x @ x), float(y @ y)
    return ((1 + 2 * c * xy + c * y2) * x + (1 - c * x2) * y) / (1 + 2 * c * xy + c * c * x2 * y2)


def distance(x, y, c):
    return 2 / math.sqrt(c) * math.atanh(math.sqrt(c) * float(np.linalg.norm(mobius(-x, y, c))))


def murp_oracle(model, h, r, t):
    """From points of the ball, as in the paper."""
    head, tail = exp0(numbers(model, "entity", 0, h), 1), exp0(numbers(model, "entity", 0, t), 1)
    translation, stretch = exp0(numbers(model, "relation", 0, r), 1), np.diag(numbers(model, "relation", 1, r))
    moved = distance(exp0(stretch @ log0(head, 1), 1), mobius(tail, translation, 1), 1)
    return -(moved**2) + float(numbers(model, "entity", 1, h)) + float(numbers(model, "entity", 2, t))


def atth_oracle(model, h, r, t):
    """With block-diagonal matrices on points of the ball, and log₀ before attention, as in the paper."""
    translation, theta, phi, context, raw = (numbers(model, "relation", i, r) for i in range(5))
    c = math.log(1 + math.exp(float(raw)))
    head, tail = exp0(numbers(model, "entity", 0, h), c), exp0(numbers(model, "entity", 0, t), c)
    rotation, reflection = np.zeros((6, 6)), np.zeros((6, 6))
    for i in range(3):
        block = slice(2 * i, 2 * i + 2)
        rotation[block, block] = [[math.cos(theta[i]), -math.sin(theta[i])], [math.sin(theta[i]), math.cos(theta[i])]]
        reflection[block, block] = [[math.cos(phi[i]), math.sin(phi[i])], [math.sin(phi[i]), -math.cos(phi[i])]]
    rotated, reflected = log0(rotation @ head, c), log0(reflection @ head, c)
    weights = np.exp([context @ rotated / math.sqrt(6), context @ reflected / math.sqrt(6)])
    attention = exp0((weights[0] * rotated + weights[1] * reflected) / weights.sum(), c)
    moved = distance(mobius(attention, exp0(translation, c), c), tail, c)
    return -(moved**2) + float(numbers(model, "entity", 1, h)) + float(numbers(model, "entity", 2, t))


ORACLES = {
    "hyper": hyper_oracle,
    "convr": convr_oracle,
    "convr-bare": convr_oracle,
    "murp": murp_oracle,
    "atth": atth_oracle,
}


@every_model
def test_a_score_is_the_papers(name):
    model = build(name)
    triples = all_triples()[::4]
    expected = [ORACLES[name](model, *triple) for triple in triples.tolist()]
    assert np.ptp(expected) > 0.5  # the oracle tells triples apart
    np.testing.assert_allclose(model.score_hrt(triples).squeeze(1).detach(), expected, rtol=1e-9, atol=1e-9)


# ---------------------------------------------------------------- PyKEEN's four ways to score, and the scorers


@every_model
def test_all_ways_of_pykeen_to_score_agree(name):
    model = build(name)
    cube = model.score_hrt(all_triples()).view(ENTITIES, RELATIONS, ENTITIES)
    for h in range(ENTITIES):
        pairs = torch.cartesian_prod(torch.tensor([h]), torch.arange(RELATIONS))
        torch.testing.assert_close(model.score_t(pairs), cube[h])
        torch.testing.assert_close(model.score_t(pairs, slice_size=2), cube[h])
        some = torch.tensor([5, 0, 5])
        torch.testing.assert_close(model.score_t(pairs, tails=some), cube[h][:, some])
        torch.testing.assert_close(model.score_t(pairs, tails=some.expand(RELATIONS, 3)), cube[h][:, some])
        pairs = torch.cartesian_prod(torch.tensor([h]), torch.arange(ENTITIES))
        torch.testing.assert_close(model.score_r(pairs), cube[h].T)
        torch.testing.assert_close(model.score_r(pairs, slice_size=2), cube[h].T)
    pairs = torch.cartesian_prod(torch.arange(RELATIONS), torch.arange(ENTITIES))
    torch.testing.assert_close(model.score_h(pairs), cube.flatten(1).T)
    torch.testing.assert_close(model.score_h(pairs, slice_size=3), cube.flatten(1).T)


@every_model
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_a_scorer_gives_the_models_scores_and_gradients(name, dtype, tolerance):
    model = build(name, dtype=dtype)
    scorer = SCORERS[name](model)
    h, r, t = torch.tensor([[0, 2, 1], [6, 0, 6], [3, 2, 5], [0, 1, 0], [4, 2, 2]]).unbind(1)
    for fast, own in [
        (lambda: scorer.triples(h, r, t), lambda: model.score_hrt(torch.stack([h, r, t], 1)).squeeze(1)),
        (lambda: scorer.tails(h, r), lambda: model.score_t(torch.stack([h, r], 1))),
        (lambda: scorer.heads(r, t), lambda: model.score_h(torch.stack([r, t], 1))),
        (lambda: scorer.relations(h, t), lambda: model.score_r(torch.stack([h, t], 1))),
    ]:
        torch.testing.assert_close(fast(), own(), rtol=tolerance, atol=tolerance)
        gradients = [torch.autograd.grad(of().sigmoid().sum(), list(model.parameters())) for of in (fast, own)]
        for quick, slow in zip(*gradients, strict=True):
            torch.testing.assert_close(quick, slow, rtol=10 * tolerance, atol=10 * tolerance)


@every_model
def test_with_inverse_triples_heads_are_pykeens_predictions(name):
    model = build(name, inverse=True)
    scorer = Reciprocal(SCORERS[name](model))
    r, t = torch.tensor([2, 0, 1]), torch.tensor([6, 0, 6])
    torch.testing.assert_close(scorer.heads(r, t), model.predict_h(torch.stack([r, t], 1)))
    torch.testing.assert_close(scorer.tails(t, r), model.predict_t(torch.stack([t, r], 1)))


class Largest(TorchDispatchMode):
    """Keeps the size of the largest tensor that was made."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.numel = max(self.numel, out.numel())
        return out


@pytest.mark.parametrize(
    ("name", "ways"),
    [
        ("hyper", ["tails"]),
        ("convr", ["tails"]),
        ("murp", ["tails", "heads", "relations"]),
        ("atth", ["tails", "heads"]),
    ],
)
def test_candidates_are_scored_without_a_tensor_of_batch_by_entities_by_dimension(name, ways):
    batch, entities, relations = 64, 300, 100
    model = build(name, entities, relations)
    scorer = SCORERS[name](model)
    ids = torch.arange(batch)
    for way in ways:
        with torch.no_grad(), Largest() as seen:
            getattr(scorer, way)(ids, ids)
        assert seen.numel <= 2 * batch * entities, way


# ---------------------------------------------------------------- geometry

CURVATURES = st.sampled_from([0.05, 0.5, 1.0, 2.5])
examples = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def balls(draw, count, radius=0.95):
    """A curvature and that many points in its ball, of any length from 0 to `radius` of the ball's."""
    c = draw(CURVATURES)
    points = []
    for _ in range(count):
        direction = torch.tensor(draw(st.lists(st.floats(-1, 1), min_size=4, max_size=4)), dtype=torch.float64)
        length = draw(st.one_of(st.just(0.0), st.floats(1e-6, radius))) / math.sqrt(c)
        points.append(direction / direction.norm().clamp_min(1e-3) * length)
    return c, *points


def close(x, y, tolerance=1e-8):
    torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance)


def d(x, y, c):
    return poincare.squared_distance(x, y, c).sqrt()


@examples
@given(balls(2))
def test_mobius_addition_has_a_zero_inverses_and_left_cancellation(drawn):
    c, x, y = drawn
    zero = torch.zeros_like(x)
    close(poincare.mobius_add(zero, x, c), x)
    close(poincare.mobius_add(x, zero, c), x)
    close(poincare.mobius_add(-x, x, c), zero)
    close(poincare.mobius_add(-x, poincare.mobius_add(x, y, c), c), y, 1e-6)
    np.testing.assert_allclose(poincare.mobius_add(x, y, c), mobius(x.numpy(), y.numpy(), c), rtol=1e-8, atol=1e-8)


@examples
@given(balls(1, radius=3.0), st.floats(1e-5, 10))
def test_log0_inverts_exp0(drawn, c):
    _, v = drawn
    v = v / max(1.0, math.sqrt(c) * float(v.norm()) / 4)  # beyond 6.1 / √c the ball's margin takes over
    close(poincare.log0(poincare.exp0(v, c), c), v)


@examples
@given(balls(3))
def test_distance_is_a_metric(drawn):
    c, x, y, z = drawn
    close(d(x, y, c), d(y, x, c))
    assert d(x, x, c) == 0
    assert d(x, z, c) <= d(x, y, c) + d(y, z, c) + 1e-9
    close(d(torch.zeros_like(x), x, c), 2 * torch.atanh(math.sqrt(c) * x.norm()) / math.sqrt(c))
    if not torch.equal(x, y):
        assert math.isclose(float(d(x, y, c)), distance(x.numpy(), y.numpy(), c), rel_tol=1e-6, abs_tol=1e-7)


@examples
@given(balls(3))
def test_left_translation_is_an_isometry(drawn):
    c, x, y, z = drawn
    close(d(poincare.mobius_add(z, x, c), poincare.mobius_add(z, y, c), c), d(x, y, c), 1e-5)


@examples
@given(balls(5))
def test_distances_of_all_pairs_are_those_of_rows(drawn):
    c, *points = drawn
    x, y = torch.stack(points[:2]), torch.stack(points[2:])
    close(poincare.squared_distances(x, y, c), poincare.squared_distance(x[:, None], y, c), 1e-6)
    per_row = torch.tensor([[c], [c / 2]], dtype=torch.float64)
    expected = poincare.squared_distance(x[:, None], y, per_row[:, None])
    close(poincare.squared_distances(x, y, per_row), expected, 1e-6)


@examples
@given(balls(1), st.lists(st.floats(-7, 7), min_size=2, max_size=2))
def test_rotations_and_reflections_keep_norms(drawn, angles):
    _, x = drawn
    angle = torch.tensor(angles, dtype=torch.float64)
    close(rotate(x, angle).norm(), x.norm())
    close(reflect(x, angle).norm(), x.norm())
    close(rotate(rotate(x, angle), -angle), x)
    close(reflect(reflect(x, angle), angle), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_tangent_vectors_stop_at_the_margin(dtype):
    v = torch.tensor([[1e3, 0.0], [0.0, 1e15], [1e-30, 0.0], [0.0, 0.0]], dtype=dtype, requires_grad=True)
    for c in (1e-6, 1.0, 1e3):
        x = poincare.exp0(v, c)
        assert (c * x.square().sum(1)).max() <= poincare.limit(dtype) ** 2 * (1 + 1e-6)
        total = poincare.squared_distance(poincare.mobius_add(x, x, c), x.flip(0), c).sum() + poincare.log0(x, c).sum()
        (gradient,) = torch.autograd.grad(total, v)
        assert total.isfinite()
        assert gradient.isfinite().all()


def test_a_point_beyond_the_margin_is_brought_back():
    x = torch.tensor([[3.0, 4.0], [0.1, 0.0]], dtype=torch.float64)
    close(poincare.project(x, 1.0), torch.tensor([[0.6 * (1 - 1e-5), 0.8 * (1 - 1e-5)], [0.1, 0.0]], dtype=x.dtype))


def test_the_ball_of_curvature_zero_is_flat():
    x, y = torch.tensor([[0.3, -2.0], [1.0, 1.0]], dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    moved = poincare.squared_distance(poincare.exp0(x, zero), poincare.mobius_add(y, x, zero), zero)
    close(moved.detach(), 4 * y.square().sum())
    (gradient,) = torch.autograd.grad(moved, zero)
    assert gradient.isfinite().all()


def test_gradients_are_those_of_finite_differences():
    draw = torch.Generator().manual_seed(0)
    x, y = (torch.randn(3, 4, generator=draw, dtype=torch.float64).requires_grad_() for _ in range(2))
    c = torch.tensor([[0.3], [1.0], [2.0]], dtype=torch.float64, requires_grad=True)

    def geometry(x, y, c):
        a, b = poincare.exp0(x, c), poincare.exp0(y, c)
        return poincare.squared_distance(poincare.mobius_add(a, b, c), b, c), poincare.log0(a, c)

    assert torch.autograd.gradcheck(geometry, (x, y, c))


def test_half_precision_is_refused():
    with pytest.raises(ValueError, match="float32 or float64"):
        poincare.exp0(torch.ones(2, dtype=torch.float16), 1.0)


# ---------------------------------------------------------------- training


def loss_of(scorer, triples):
    h, r, t = triples.unbind(1)
    cross_entropy = torch.nn.functional.cross_entropy
    return cross_entropy(scorer.tails(h, r), t) + cross_entropy(scorer.heads(r, t), h)


@every_model
def test_training_lowers_the_loss(name):
    model = MODELS[name](triples_factory=KGInfo(20, 2, create_inverse_triples=False), random_seed=0)
    scorer = SCORERS[name](model)
    ring = torch.arange(20)
    triples = torch.cat(
        [torch.stack([ring, 0 * ring, (ring + 1) % 20], 1), torch.stack([ring, 0 * ring + 1, (ring + 5) % 20], 1)]
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    losses = []
    for _ in range(30):
        loss = loss_of(scorer, triples)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@every_hyperbolic
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_steps_neither_leave_the_ball_nor_break_gradients(name, dtype):
    model = build(name, dtype=dtype).train()
    scorer = SCORERS[name](model)
    h, r, t = all_triples()[::5].unbind(1)
    optimiser = torch.optim.Adam(model.parameters(), lr=2.0)
    for step in range(50):
        sign = 1 if step % 20 < 10 else -1  # apart, then together
        loss = sign * (scorer.tails(h, r).mean() + scorer.heads(r, t).mean() + scorer.triples(h, r, t).mean())
        optimiser.zero_grad()
        loss.backward()
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters()), step
        optimiser.step()
        heads, tails, c = points(name, model, h, r, t)
        for point in (heads, tails):
            assert (c * point.square().sum(1, keepdim=True)).max() < 1
        assert scorer.relations(h, t).isfinite().all()


def points(name, model, h, r, t):
    """The two points whose distance is the score, and the curvature."""
    e, links = model.entity_representations[0], tuple(link(r) for link in model.relation_representations)
    if name == "murp":
        return model.interaction.head_point(e(h), links), model.interaction.tail_point(e(t), links), 1.0
    query, c = model.interaction.query(e(h), links)
    return query, poincare.exp0(e(t), c), c


@every_hyperbolic
@pytest.mark.parametrize("value", [0.0, 1e-20, -1e4])
def test_gradients_are_finite_at_degenerate_parameters(name, value):
    model = build(name, dtype=torch.float32)
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, value)
    scorer = SCORERS[name](model)
    h, r, t = all_triples()[::7].unbind(1)
    for scores in (scorer.tails(h, r), scorer.heads(r, t), scorer.relations(h, t), scorer.triples(h, r, t)):
        assert scores.isfinite().all()
        for gradient in torch.autograd.grad(scores.sum(), list(model.parameters())):
            assert gradient.isfinite().all()


@every_model
def test_a_new_model_starts_from_its_seed_and_can_be_reset(name):
    info = KGInfo(ENTITIES, RELATIONS, create_inverse_triples=True)
    one, same = (MODELS[name](triples_factory=info, random_seed=3).eval() for _ in range(2))
    torch.testing.assert_close(one.score_hrt(all_triples()), same.score_hrt(all_triples()))
    before = one.score_hrt(all_triples())
    one.reset_parameters_()
    assert not torch.equal(one.score_hrt(all_triples()), before)


def test_dropout_only_acts_in_training():
    model = build("hyper")
    pairs = torch.tensor([[0, 1], [2, 0]])
    assert torch.equal(model.score_t(pairs), model.score_t(pairs))
    model.train()
    assert not torch.equal(model.score_t(pairs), model.score_t(pairs))


# ---------------------------------------------------------------- what a careless user would do


def test_published_sizes_and_small_ones_are_accepted():
    assert image_shape(64, None, None) == (8, 8)
    assert image_shape(200, None, None) == (10, 20)
    assert image_shape(200, None, 10) == (20, 10)
    for interaction in (HypERInteraction(), HypERInteraction(64, 64), ConvRInteraction(), ConvRInteraction(64)):
        size, other = interaction.embedding_dim, interaction.relation_dim
        assert interaction.eval().query(torch.zeros(2, 1, size), torch.zeros(1, 3, other)).shape == (2, 3, size)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HypERInteraction(embedding_dim=8, filter_length=9), "does not fit"),
        (lambda: HypERInteraction(filter_length=0), "does not fit"),
        (lambda: ConvRInteraction(embedding_dim=64, height=5), "do not make an image of 5"),
        (lambda: ConvRInteraction(embedding_dim=64, height=8, width=9), "do not make an image of 8"),
        (lambda: ConvRInteraction(embedding_dim=13), "3 × 3 does not fit into 1 × 13"),
        (lambda: ConvRInteraction(embedding_dim=64, filter_width=9), "does not fit"),
        (lambda: AttH(triples_factory=KGInfo(3, 1, False), embedding_dim=7), "even"),
        (lambda: HypERInteraction().query(torch.zeros(2, 200), torch.zeros(2, 100)), "dimensions"),
        (lambda: ConvRInteraction().query(torch.zeros(2, 1), torch.zeros(2, 900)), "dimensions"),
        (lambda: MurPInteraction().head_point(torch.zeros(2, 8), (torch.zeros(2, 8), torch.zeros(2, 1))), "dimension"),
        (lambda: MurPInteraction().tail_point(torch.zeros(2, 1), (torch.zeros(2, 8), torch.zeros(2, 8))), "dimension"),
        (lambda: AttHInteraction().query(torch.zeros(2, 8), attention(8, 8)), "d/2"),
        (lambda: AttHInteraction().query(torch.zeros(2, 8), attention(6, 4)), "d/2"),
        (lambda: mismatched(MurPInteraction(), [5, 6]), "Shape verification failed"),
        (lambda: mismatched(MurPInteraction(), [5, 5]).score_hrt(all_triples(3, 1)), "not 8 and 5"),
        (lambda: mismatched(HypERInteraction(), 100), "requires 2 entity representations"),
    ],
)
def test_wrong_shapes_are_value_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def attention(dimension, angles):
    shapes = [(2, dimension), (2, angles), (2, angles), (2, dimension), (2,)]
    return tuple(torch.zeros(shape) for shape in shapes)


def mismatched(interaction, relations):
    return ERModel(
        triples_factory=KGInfo(3, 1, False),
        interaction=interaction,
        entity_representations_kwargs=[{"shape": 8}, {"shape": ()}, {"shape": ()}]
        if isinstance(relations, list)
        else {"shape": 200},
        relation_representations_kwargs=[{"shape": shape} for shape in np.atleast_1d(relations).tolist()],
        random_seed=0,
    )
