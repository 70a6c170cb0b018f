"""How well images and texts find each other: Precision@K and Recall@K (MedMKG appendix J.2), ranks, and by chance.

Of a query q with the relevant items R(q) and the items T(q, k) that stand first by cosine:

    P@k = |R(q) ∩ T(q, k)| / k        R@k = |R(q) ∩ T(q, k)| / |R(q)|

both from 0 to 1, more is better. k stays k where there are fewer items. Texts find images (queries: the distinct texts,
with one or several relevant images) or images find texts (items: the distinct texts, one of them relevant).

Equal cosines are no order: each order of them is as likely as another, and every figure is its expected value. So a
model that gives the same vector to all is exactly as good as chance, and not lucky by the order of the files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgplatform.triplets.metrics import Interval

KS: Final = (1, 5, 10, 20, 50, 100)
BLOCK: Final = 256  # queries at a time: their cosines with 10,000 items take 20 MB
TIE: Final = 1e-9  # cosines nearer than about this are equal: the same vectors differ by rounding

Floats: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scores:
    """A direction's figures, query by query, for means and for `paired_bootstrap`.

    `precision` and `recall` have the shape (queries, len(ks)); `first` is the rank of the first relevant item, from 1,
    `reciprocal` is 1 / rank.
    """

    ks: tuple[int, ...]
    precision: Floats
    recall: Floats
    first: Floats
    reciprocal: Floats
    relevant: Numbers
    items: int

    def at(self, name: str) -> Floats:
        """The figure of each query by name: ``P@10``, ``R@100`` or ``RR``, the reciprocal rank."""
        if name == "RR":
            return self.reciprocal
        of = {"P": self.precision, "R": self.recall}[name[0]]
        column: Floats = of[:, self.ks.index(int(name[2:]))]
        return column

    def means(self) -> dict[str, float]:
        """Over the queries: ``P@k`` and ``R@k`` for each k, ``MRR``, and the ``median rank`` of the first relevant."""
        names = [f"{figure}@{k}" for figure in "PR" for k in self.ks]
        ranks = {"MRR": float(self.at("RR").mean()), "median rank": float(np.median(self.first))}
        return {name: float(self.at(name).mean()) for name in names} | ranks

    def as_dict(self) -> dict[str, Any]:
        """The means, and how many queries and items there were, in plain types."""
        sizes = {"queries": len(self.first), "items": self.items, "relevant": float(self.relevant.mean())}
        return {**sizes, **self.means()}


def both(images: ArrayLike, texts: ArrayLike, groups: Numbers, ks: Sequence[int] = KS) -> dict[str, Scores]:
    """Scores of ``text_to_image`` and ``image_to_text``. `groups` (n,) numbers the images' texts from 0, as
    `kgplatform.retrieval.pairs.groups` does; `texts` (groups, d) has the vector of each. Raises `ValueError`.
    """
    each = np.arange(len(np.asarray(texts)))
    return {
        "text_to_image": score(texts, images, each, groups, ks),
        "image_to_text": score(images, texts, groups, each, ks),
    }


def score(
    queries: ArrayLike,
    items: ArrayLike,
    query_groups: ArrayLike,
    item_groups: ArrayLike,
    ks: Sequence[int] = KS,
    block: int = BLOCK,
) -> Scores:
    """Scores of queries (q, d) among items (n, d) by cosine; an item is relevant to the queries of its group. A vector
    of zeros has the cosine 0 with all. Memory grows with `block` · n, not with q · n.

    Raises `ValueError` for values that are not finite, other shapes, and a query without a relevant item.
    """
    left, right = _unit(queries, "queries"), _unit(items, "items")
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"queries have {left.shape[1]} values and items {right.shape[1]}")
    return _scores(lambda start: left[start : start + block] @ right.T, query_groups, item_groups, ks, block)


def popularity(
    weights: ArrayLike, query_groups: ArrayLike, item_groups: ArrayLike, ks: Sequence[int] = KS, block: int = BLOCK
) -> Scores:
    """Scores of a ranking that is the same for every query, by the items' weights (n,): say, how often each text stands
    in training, for images that look for texts. For texts that look for images it can do no better in precision than
    chance: every image is relevant to one text.
    """
    row = np.asarray(weights, dtype=np.float64).reshape(1, -1)
    if not np.isfinite(row).all():
        raise ValueError("a weight is not finite")
    order = np.unique(row, return_inverse=True)[1].reshape(1, -1) * (2 * TIE)  # nothing else of them counts
    count = len(np.asarray(query_groups))
    return _scores(
        lambda start: np.repeat(order, min(block, count - start), axis=0), query_groups, item_groups, ks, block
    )


def chance(query_groups: ArrayLike, item_groups: ArrayLike, ks: Sequence[int] = KS) -> Scores:
    """The expected scores of a random order: of n items min(k, n) are looked at, so R@k = min(k, n) / n and
    P@k = |R(q)| min(k, n) / (n k); the first relevant one is expected at rank (n + 1) / (|R(q)| + 1).
    """
    _, _, count = _relevant(query_groups, item_groups)
    n = len(np.asarray(item_groups))
    cuts = np.asarray(_cuts(ks))
    seen = np.minimum(cuts, n) / n
    precision, recall = np.outer(count, seen) / cuts, np.broadcast_to(seen, (len(count), len(cuts)))
    first = (n + 1) / (count + 1.0)
    sizes, place = np.unique(count, return_inverse=True)
    reciprocal = np.array([_reciprocal(0, n, int(size)) for size in sizes])[place]
    return Scores(tuple(cuts.tolist()), precision, recall.copy(), first, reciprocal, count, n)


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, clusters: ArrayLike | None = None, repeats: int = 10_000, seed: int = 42
) -> Interval:
    """The mean of a - b over queries and its 95 % percentile interval; they differ where it leaves out 0.

    `a` and `b` are a figure of each query, (queries,), or of each seed and query, (seeds, queries): averaged over seeds
    first. Queries are drawn with replacement, the same for both; with `clusters` (queries,), such as subjects, whole
    clusters are, as queries of one patient are alike.
    """
    one, other = (np.atleast_2d(np.asarray(values, dtype=np.float64)).mean(axis=0) for values in (a, b))
    if one.shape != other.shape or not one.size:
        raise ValueError(f"{one.size} and {other.size} queries do not make pairs")
    difference = one - other
    if not np.isfinite(difference).all():
        raise ValueError("a figure is not finite")
    labels = np.arange(difference.size) if clusters is None else np.asarray(clusters)
    if labels.shape != difference.shape:
        raise ValueError(f"{labels.size} clusters for {difference.size} queries")
    place = np.unique(labels, return_inverse=True)[1].reshape(-1)
    sums, sizes = np.bincount(place, weights=difference), np.bincount(place)
    rng = np.random.default_rng(seed)
    step = max(1, 2_000_000 // len(sums))
    means: list[Floats] = []
    for start in range(0, repeats, step):
        drawn = rng.integers(len(sums), size=(min(step, repeats - start), len(sums)))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return Interval(float(difference.mean()), float(low), float(high))


def _unit(vectors: ArrayLike, what: str) -> Floats:
    """The vectors at length 1, in double precision, so that the same vectors have the same cosines."""
    found = np.array(vectors, dtype=np.float64)
    if found.ndim != 2 or not found.size:
        raise ValueError(f"{what} have the shape {found.shape}, where (n, d) is wanted")
    if not np.isfinite(found).all():
        raise ValueError(f"a value of the {what}' vectors is not finite")
    found /= np.abs(found).max(axis=1, keepdims=True, initial=np.finfo(np.float64).tiny)  # no overflow in squares
    length = np.linalg.norm(found, axis=1, keepdims=True)
    found /= np.where(length > 0, length, 1)
    return found


def _cuts(ks: Sequence[int]) -> tuple[int, ...]:
    if not ks or any(k < 1 for k in ks):
        raise ValueError("each k must be at least 1")
    return tuple(ks)


def _relevant(query_groups: ArrayLike, item_groups: ArrayLike) -> tuple[Numbers, Numbers, Numbers]:
    """The items by group; where each query's begin there; and how many they are."""
    asked, there = np.asarray(query_groups), np.asarray(item_groups)
    order = np.argsort(there, kind="stable")
    start = np.searchsorted(there[order], asked, side="left")
    count = np.searchsorted(there[order], asked, side="right") - start
    if not asked.size or not count.all():
        raise ValueError(f"{int((count == 0).sum()):,} of {asked.size:,} queries have no relevant item")
    return order, start, count


def _scores(
    cosines: Callable[[int], Floats], query_groups: ArrayLike, item_groups: ArrayLike, ks: Sequence[int], block: int
) -> Scores:
    """The scores, by blocks of queries. Of a relevant item it counts how many items stand before it (`above`) and how
    many stand level with it, itself among them: it is among the first k with the probability (k - above) / level, and
    these add up to how many are expected there.
    """
    cuts = np.asarray(_cuts(ks))
    order, start, count = _relevant(query_groups, item_groups)
    hits = np.zeros((len(count), len(cuts)))
    first, reciprocal = np.zeros(len(count)), np.zeros(len(count))
    for begin in range(0, len(count), block):
        matrix = cosines(begin)
        if matrix.shape != (min(block, len(count) - begin), len(order)):
            raise ValueError("there are not as many vectors as groups")
        np.rint(np.divide(matrix, TIE, out=matrix), out=matrix)
        for query, row in enumerate(matrix, begin):
            wanted = row[order[start[query] : start[query] + count[query]]]
            row.sort()
            upto = np.searchsorted(row, wanted, side="right")
            above, level = len(row) - upto, upto - np.searchsorted(row, wanted, side="left")
            hits[query] = np.clip((cuts - above[:, None]) / level[:, None], 0, 1).sum(axis=0)
            best = above.argmin()
            among = int(np.count_nonzero(above == above[best]))
            first[query] = above[best] + (level[best] + 1) / (among + 1)
            reciprocal[query] = _reciprocal(int(above[best]), int(level[best]), among)
    return Scores(tuple(cuts.tolist()), hits / cuts, hits / count[:, None], first, reciprocal, count, len(order))


def _reciprocal(above: int, level: int, among: int) -> float:
    """The expected 1 / rank of the first of `among` relevant items that stand with others, `level` in all, behind
    `above` items. The first of them is the j-th of all with the probability C(level - j, among - 1) / C(level, among).
    """
    if level == 1:
        return 1 / (above + 1)
    left = level - np.arange(level - among)  # how many are left when none of the first j was relevant
    none_yet = np.cumprod(np.concatenate([[1.0], (left - among) / left]))
    ranks = above + 1 + np.arange(len(none_yet))
    return float((none_yet * among / (level - np.arange(len(none_yet))) / ranks).sum())
