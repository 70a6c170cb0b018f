"""HypER, ConvR, MurP and AttH against their papers' formulas in plain NumPy."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pykeen")

from pykeen.models import ERModel  # noqa: E402
from pykeen.triples import KGInfo  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from kgp_models.link_prediction import poincare  # noqa: E402
from kgp_models.link_prediction.atth import AttH, AttHInteraction, AttHScorer  # noqa: E402
from kgp_models.link_prediction.convr import ConvR, ConvRInteraction, ConvRScorer, image_shape  # noqa: E402
from kgp_models.link_prediction.hyper import HypER, HypERInteraction, HypERScorer  # noqa: E402
from kgp_models.link_prediction.murp import MurP, MurPInteraction, MurPScorer  # noqa: E402
from kgp_models.link_prediction.scorers import Reciprocal  # noqa: E402
from tests.unit.test_poincare import distance, exp0, log0, mobius  # noqa: E402

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
