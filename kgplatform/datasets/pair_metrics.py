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
class RetrievalScores:
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
        figures = {"P": self.precision, "R": self.recall}[name[0]]
        figure_column: Floats = figures[:, self.ks.index(int(name[2:]))]
        return figure_column

    def means(self) -> dict[str, float]:
        """Over the queries: ``P@k`` and ``R@k`` for each k, ``MRR``, and the ``median rank`` of the first relevant."""
        figure_names = [f"{figure}@{k}" for figure in "PR" for k in self.ks]
        rank_figures = {"MRR": float(self.at("RR").mean()), "median rank": float(np.median(self.first))}
        return {figure_name: float(self.at(figure_name).mean()) for figure_name in figure_names} | rank_figures

    def as_dict(self) -> dict[str, Any]:
        """The means, and how many queries and items there were, in plain types."""
        sizes = {"queries": len(self.first), "items": self.items, "relevant": float(self.relevant.mean())}
        return {**sizes, **self.means()}


def retrieval_scores(
    images: ArrayLike, texts: ArrayLike, groups: Numbers, ks: Sequence[int] = KS
) -> dict[str, RetrievalScores]:
    """Scores of ``text_to_image`` and ``image_to_text``. `groups` (n,) numbers the images' texts from 0, as
    `kgplatform.datasets.pairs.pair_groups` does; `texts` (groups, d) has the vector of each. Raises `ValueError`.
    """
    text_numbers = np.arange(len(np.asarray(texts)))
    return {
        "text_to_image": score_retrieval(texts, images, text_numbers, groups, ks),
        "image_to_text": score_retrieval(images, texts, groups, text_numbers, ks),
    }


def score_retrieval(
    queries: ArrayLike,
    items: ArrayLike,
    query_groups: ArrayLike,
    item_groups: ArrayLike,
    ks: Sequence[int] = KS,
    block: int = BLOCK,
) -> RetrievalScores:
    """Scores of queries (q, d) among items (n, d) by cosine; an item is relevant to the queries of its group. A vector
    of zeros has the cosine 0 with all. Memory grows with `block` · n, not with q · n.

    Raises `ValueError` for values that are not finite, other shapes, and a query without a relevant item.
    """
    query_vectors, item_vectors = _unit(queries, "queries"), _unit(items, "items")
    if query_vectors.shape[1] != item_vectors.shape[1]:
        raise ValueError(f"queries have {query_vectors.shape[1]} values and items {item_vectors.shape[1]}")
    return _scores(
        lambda block_start: query_vectors[block_start : block_start + block] @ item_vectors.T,
        query_groups,
        item_groups,
        ks,
        block,
    )


def popularity(
    weights: ArrayLike, query_groups: ArrayLike, item_groups: ArrayLike, ks: Sequence[int] = KS, block: int = BLOCK
) -> RetrievalScores:
    """Scores of a ranking that is the same for every query, by the items' weights (n,): say, how often each text stands
    in training, for images that look for texts. For texts that look for images it can do no better in precision than
    chance: every image is relevant to one text.
    """
    weight_row = np.asarray(weights, dtype=np.float64).reshape(1, -1)
    if not np.isfinite(weight_row).all():
        raise ValueError("a weight is not finite")
    weight_ranks = np.unique(weight_row, return_inverse=True)[1].reshape(1, -1) * (
        2 * TIE
    )  # nothing else of them counts
    query_count = len(np.asarray(query_groups))
    return _scores(
        lambda block_start: np.repeat(weight_ranks, min(block, query_count - block_start), axis=0),
        query_groups,
        item_groups,
        ks,
        block,
    )


def chance(query_groups: ArrayLike, item_groups: ArrayLike, ks: Sequence[int] = KS) -> RetrievalScores:
    """The expected scores of a random order: of n items min(k, n) are looked at, so R@k = min(k, n) / n and
    P@k = |R(q)| min(k, n) / (n k); the first relevant one is expected at rank (n + 1) / (|R(q)| + 1).
    """
    _, _, relevant_counts = _relevant(query_groups, item_groups)
    item_count = len(np.asarray(item_groups))
    cutoffs = np.asarray(_cuts(ks))
    inspected_share = np.minimum(cutoffs, item_count) / item_count
    precision, recall = (
        np.outer(relevant_counts, inspected_share) / cutoffs,
        np.broadcast_to(inspected_share, (len(relevant_counts), len(cutoffs))),
    )
    first_ranks = (item_count + 1) / (relevant_counts + 1.0)
    group_sizes, size_index = np.unique(relevant_counts, return_inverse=True)
    reciprocal = np.array([_reciprocal(0, item_count, int(group_size)) for group_size in group_sizes])[size_index]
    return RetrievalScores(
        tuple(cutoffs.tolist()), precision, recall.copy(), first_ranks, reciprocal, relevant_counts, item_count
    )


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, clusters: ArrayLike | None = None, repeats: int = 10_000, seed: int = 42
) -> Interval:
    """The mean of a - b over queries and its 95 % percentile interval; they differ where it leaves out 0.

    `a` and `b` are a figure of each query, (queries,), or of each seed and query, (seeds, queries): averaged over seeds
    first. Queries are drawn with replacement, the same for both; with `clusters` (queries,), such as subjects, whole
    clusters are, as queries of one patient are alike.
    """
    first_means, second_means = (
        np.atleast_2d(np.asarray(figures, dtype=np.float64)).mean(axis=0) for figures in (a, b)
    )
    if first_means.shape != second_means.shape or not first_means.size:
        raise ValueError(f"{first_means.size} and {second_means.size} queries cannot be paired")
    difference = first_means - second_means
    if not np.isfinite(difference).all():
        raise ValueError("a figure is not finite")
    cluster_labels = np.arange(difference.size) if clusters is None else np.asarray(clusters)
    if cluster_labels.shape != difference.shape:
        raise ValueError(f"{cluster_labels.size} clusters for {difference.size} queries")
    cluster_index = np.unique(cluster_labels, return_inverse=True)[1].reshape(-1)
    cluster_sums, cluster_sizes = np.bincount(cluster_index, weights=difference), np.bincount(cluster_index)
    rng = np.random.default_rng(seed)
    batch_size = max(1, 2_000_000 // len(cluster_sums))
    sample_means: list[Floats] = []
    for batch_start in range(0, repeats, batch_size):
        cluster_sample = rng.integers(
            len(cluster_sums), size=(min(batch_size, repeats - batch_start), len(cluster_sums))
        )
        sample_means.append(cluster_sums[cluster_sample].sum(axis=1) / cluster_sizes[cluster_sample].sum(axis=1))
    lower_bound, upper_bound = np.percentile(np.concatenate(sample_means), [2.5, 97.5])
    return Interval(float(difference.mean()), float(lower_bound), float(upper_bound))


def _unit(vectors: ArrayLike, description: str) -> Floats:
    """The vectors at length 1, in double precision, so that the same vectors have the same cosines."""
    unit_vectors = np.array(vectors, dtype=np.float64)
    if unit_vectors.ndim != 2 or not unit_vectors.size:
        raise ValueError(f"{description} have the shape {unit_vectors.shape}; (n, d) is expected")
    if not np.isfinite(unit_vectors).all():
        raise ValueError(f"a value of the {description}' vectors is not finite")
    unit_vectors /= np.abs(unit_vectors).max(
        axis=1, keepdims=True, initial=np.finfo(np.float64).tiny
    )  # no overflow in squares
    vector_lengths = np.linalg.norm(unit_vectors, axis=1, keepdims=True)
    unit_vectors /= np.where(vector_lengths > 0, vector_lengths, 1)
    return unit_vectors


def _cuts(ks: Sequence[int]) -> tuple[int, ...]:
    if not ks or any(k < 1 for k in ks):
        raise ValueError("each k must be at least 1")
    return tuple(ks)


def _relevant(query_groups: ArrayLike, item_groups: ArrayLike) -> tuple[Numbers, Numbers, Numbers]:
    """The items by group; where each query's begin there; and how many they are."""
    query_labels, item_labels = np.asarray(query_groups), np.asarray(item_groups)
    item_order = np.argsort(item_labels, kind="stable")
    group_starts = np.searchsorted(item_labels[item_order], query_labels, side="left")
    group_counts = np.searchsorted(item_labels[item_order], query_labels, side="right") - group_starts
    if not query_labels.size or not group_counts.all():
        raise ValueError(f"{int((group_counts == 0).sum()):,} of {query_labels.size:,} queries have no relevant item")
    return item_order, group_starts, group_counts


def _scores(
    cosines: Callable[[int], Floats], query_groups: ArrayLike, item_groups: ArrayLike, ks: Sequence[int], block: int
) -> RetrievalScores:
    """The scores, by blocks of queries. Of a relevant item it counts how many items stand before it (`above`) and how
    many stand level with it, itself among them: it is among the first k with the probability (k - above) / level, and
    these add up to how many are expected there.
    """
    cutoffs = np.asarray(_cuts(ks))
    item_order, group_starts, relevant_counts = _relevant(query_groups, item_groups)
    hit_counts = np.zeros((len(relevant_counts), len(cutoffs)))
    first_ranks, reciprocal = np.zeros(len(relevant_counts)), np.zeros(len(relevant_counts))
    for block_start in range(0, len(relevant_counts), block):
        cosine_block = cosines(block_start)
        if cosine_block.shape != (min(block, len(relevant_counts) - block_start), len(item_order)):
            raise ValueError("there are not as many vectors as groups")
        np.rint(np.divide(cosine_block, TIE, out=cosine_block), out=cosine_block)
        for query_index, cosine_row in enumerate(cosine_block, block_start):
            relevant_cosines = cosine_row[
                item_order[group_starts[query_index] : group_starts[query_index] + relevant_counts[query_index]]
            ]
            cosine_row.sort()
            end_positions = np.searchsorted(cosine_row, relevant_cosines, side="right")
            above, level = (
                len(cosine_row) - end_positions,
                end_positions - np.searchsorted(cosine_row, relevant_cosines, side="left"),
            )
            hit_counts[query_index] = np.clip((cutoffs - above[:, None]) / level[:, None], 0, 1).sum(axis=0)
            best_item = above.argmin()
            among = int(np.count_nonzero(above == above[best_item]))
            first_ranks[query_index] = above[best_item] + (level[best_item] + 1) / (among + 1)
            reciprocal[query_index] = _reciprocal(int(above[best_item]), int(level[best_item]), among)
    return RetrievalScores(
        tuple(cutoffs.tolist()),
        hit_counts / cutoffs,
        hit_counts / relevant_counts[:, None],
        first_ranks,
        reciprocal,
        relevant_counts,
        len(item_order),
    )


def _reciprocal(above: int, level: int, among: int) -> float:
    """The expected 1 / rank of the first of `among` relevant items that stand with others, `level` in all, behind
    `above` items. The first of them is the j-th of all with the probability C(level - j, among - 1) / C(level, among).
    """
    if level == 1:
        return 1 / (above + 1)
    remaining = level - np.arange(level - among)  # how many are left when none of the first j was relevant
    miss_chances = np.cumprod(np.concatenate([[1.0], (remaining - among) / remaining]))
    possible_ranks = above + 1 + np.arange(len(miss_chances))
    return float((miss_chances * among / (level - np.arange(len(miss_chances))) / possible_ranks).sum())
