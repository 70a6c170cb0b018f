"""The rules of `kgplatform.audit`: for each its id, severity, title, check, and what to do.

A rule is one thing that can be found. Its id is for good: a rule that goes takes its id with it. Checks of the graph
are the queries of ``cypher/audit/``; those of exports and splits are in `kgplatform.datasets.split_checks`, those of
pairs in `kgplatform.datasets.pair_checks`, those of questions in `kgplatform.datasets.question_checks`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Generic, TypeVar

from kgplatform import queries
from kgplatform.datasets import pair_checks as pairing
from kgplatform.datasets import question_checks as asking
from kgplatform.datasets.pair_checks import Audited
from kgplatform.datasets.question_checks import AuditedQuestions
from kgplatform.datasets.split_checks import (
    EXAMPLES,
    CheckCount,
    hashed_ids,
    leak_check,
    shared_labels,
    spread_images,
    spread_subjects,
    unknown_subjects,
    unseen_entities,
    unused_ids,
)
from kgplatform.datasets.splits import Split
from kgplatform.export.triples import Triples
from kgplatform.graph import Graph

T = TypeVar("T")


class AuditSeverity(StrEnum):
    """How bad a finding is, the least first."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    def reaches(self, other: str) -> bool:
        """Whether this is as bad as `other`, or worse."""
        severities = list(AuditSeverity)
        return severities.index(self) >= severities.index(AuditSeverity(other))


@dataclass(frozen=True)
class Rule(Generic[T]):
    """One thing that can be found in a `T`; `inductive` is the severity in an inductive split where it differs."""

    id: str
    severity: AuditSeverity
    title: str
    check: Callable[[T], CheckCount] = field(repr=False)
    what_to_do: str
    inductive: AuditSeverity | None = None


def _query(query_name: str) -> Callable[[Graph], CheckCount]:
    """A check of the graph by the query ``audit/name``."""

    def check(graph: Graph) -> CheckCount:
        [result_row] = graph.read(queries.get(f"audit/{query_name}"))
        return CheckCount(result_row["count"], result_row["of"], result_row["examples"])

    return check


def _shared_meanings(graph: Graph) -> CheckCount:
    """Meanings that several concepts have: those that construction would link to one of them."""
    from kgplatform.construct.graph_meanings import graph_meanings

    groups, meaning_count = graph_meanings(graph)
    examples = (
        f"{best.cui} {best.name} = {', '.join(concept.cui for concept in others)}"
        for best, *others in groups[:EXAMPLES]
    )
    return CheckCount(len(groups), meaning_count, tuple(examples))


GRAPH: Final[tuple[Rule[Graph], ...]] = (
    Rule(
        "KGP-A001",
        AuditSeverity.WARNING,
        "pairs of an image and a concept with several stances",
        _query("conflicts"),
        "`kgp query explore/conflicts` lists them. NaF counts each; `kgp naf score --one-stance` the strongest.",
    ),
    Rule(
        "KGP-A002",
        AuditSeverity.WARNING,
        "stances to section headers, which are not findings",
        _query("section_headers"),
        "`kgp query explore/section_headers` lists the concepts. Leave them out of what you train and test on.",
    ),
    Rule(
        "KGP-A003",
        AuditSeverity.INFO,
        "stances to qualifier values, which are not findings",
        _query("qualifier_values"),
        "`kgp query explore/section_headers` lists the concepts. Leave them out where findings are counted.",
    ),
    Rule(
        "KGP-A004",
        AuditSeverity.INFO,
        "concepts that only one image covers",
        _query("one_image_concepts"),
        "`kgp query explore/one_image_concepts` lists them. No model can learn such a concept from images.",
    ),
    Rule(
        "KGP-A005",
        AuditSeverity.INFO,
        "concepts without an edge to another concept",
        _query("isolated_concepts"),
        "`kgp query explore/isolated_concepts` lists them. Load an ontology that relates them, if there is one.",
    ),
    Rule(
        "KGP-A006",
        AuditSeverity.WARNING,
        "pairs of concepts with edges in both directions",
        _query("reversed_pairs"),
        "A random split puts one into training and its answer into the test: use a leakage-free split.",
    ),
    Rule(
        "KGP-A007",
        AuditSeverity.WARNING,
        "pairs of concepts that several relations join in one direction",
        _query("parallel_pairs"),
        "A random split puts one into training and its answer into the test: use a leakage-free split.",
    ),
    Rule(
        "KGP-A008",
        AuditSeverity.ERROR,
        "triplets that are in the graph several times",
        _query("repeated_edges"),
        "Another program wrote them, and NaF and statistics count every copy. Delete the extra copies by hand.",
    ),
    Rule(
        "KGP-A009",
        AuditSeverity.INFO,
        "relations with a single edge",
        _query("one_edge_relations"),
        "No relation can be learned from one edge: also report results on the more common relations.",
    ),
    Rule(
        "KGP-A010",
        AuditSeverity.WARNING,
        "images whose NaF score is older than the graph",
        _query("outdated_scores"),
        "Run `kgp naf score`.",
    ),
    Rule(
        "KGP-A011",
        AuditSeverity.WARNING,
        "runs that were not finished",
        _query("unfinished_runs"),
        "Load the same source again, or finish the undo: `kgp runs undo RUN`. Until then all figures are incomplete.",
    ),
    Rule(
        "KGP-A012",
        AuditSeverity.WARNING,
        "meanings that several concepts have",
        _shared_meanings,
        "Each has a part of the images: count and search with all of them. `kgp construct run` links to one of them.",
    ),
)

EXPORT: Final[tuple[Rule[Triples], ...]] = (
    Rule(
        "KGP-A101",
        AuditSeverity.ERROR,
        "labels that name several entities",
        shared_labels,
        "Triples that use labels mix them up. Give one of them another key, and export again.",
    ),
    Rule(
        "KGP-A102",
        AuditSeverity.WARNING,
        "entities and relations in the id maps that no triple contains",
        unused_ids,
        "Their embeddings are never trained, but are ranked among the candidates. Export the graph again.",
    ),
    Rule(
        "KGP-A103",
        AuditSeverity.INFO,
        "entities that md5 mod N would merge",
        hashed_ids,
        "Nothing to do: this export numbers names in order. Results with hashed ids are for a different graph.",
    ),
)

SPLIT: Final[tuple[Rule[Split], ...]] = (
    Rule(
        "KGP-A201",
        AuditSeverity.ERROR,
        "test triples with ends joined in training",
        leak_check("test"),
        "Training gives their answers away. Use a leakage-free split, or report the others separately.",
    ),
    Rule(
        "KGP-A202",
        AuditSeverity.WARNING,
        "validation triples with ends joined in training",
        leak_check("valid"),
        "Early stopping and the choice of settings favour models that look up answers. Use a leakage-free split.",
    ),
    Rule(
        "KGP-A203",
        AuditSeverity.WARNING,
        "entities of the test part that are not in training",
        unseen_entities,
        "A model with one embedding for each entity ranks them by chance: also report results without them.",
    ),
    Rule(
        "KGP-A204",
        AuditSeverity.INFO,
        "subjects with images in several parts",
        spread_subjects,
        "By design in a transductive split, which then says nothing about new subjects; a fault in an inductive one.",
        inductive=AuditSeverity.ERROR,
    ),
    Rule(
        "KGP-A205",
        AuditSeverity.INFO,
        "images in several parts",
        spread_images,
        "By design in a transductive split, which then says nothing about new images; a fault in an inductive one.",
        inductive=AuditSeverity.ERROR,
    ),
    Rule(
        "KGP-A206",
        AuditSeverity.WARNING,
        "images of an inductive split without a known subject",
        unknown_subjects,
        "Two of them may show the same person, in different parts. Load the image mapping, export and split again.",
    ),
)

PAIRS: Final[tuple[Rule[Audited], ...]] = (
    Rule(
        "KGP-A301",
        AuditSeverity.ERROR,
        "subjects with pairs in several parts",
        pairing.spread_pair_subjects,
        "The test part contains patients from training. Use `kgp pairs --protocol subject`.",
    ),
    Rule(
        "KGP-A302",
        AuditSeverity.ERROR,
        "reports with images in several parts",
        pairing.spread_reports,
        "The test part contains reports from training. Use `kgp pairs --protocol report`, or subject.",
    ),
    Rule(
        "KGP-A303",
        AuditSeverity.WARNING,
        "texts that are in several parts",
        pairing.spread_texts,
        "Reports of normal chests are often identical. Also report results on the texts that are not in training.",
    ),
    Rule(
        "KGP-A304",
        AuditSeverity.ERROR,
        "images of studies or subjects that the graph was built from",
        pairing.pair_graph_overlap,
        "The graph already contains what their reports say. Make the pairs again: `kgp pairs --exclude-graph`.",
    ),
    Rule(
        "KGP-A305",
        AuditSeverity.WARNING,
        "images without a known subject, in pairs split by subject",
        pairing.unknown_pair_subjects,
        "They are split by report, so two of them may show the same person in different parts: report this, too.",
    ),
)

QUESTIONS: Final[tuple[Rule[AuditedQuestions], ...]] = (
    Rule(
        "KGP-A401",
        AuditSeverity.ERROR,
        "test questions about an image that training also asks about",
        asking.pictures_in_training,
        "The test part contains images from training. Use the protocol image-disjoint, or say so next to each result.",
    ),
    Rule(
        "KGP-A402",
        AuditSeverity.ERROR,
        "test questions that training asks in the same words about the same image",
        asking.questions_in_training,
        "Their answers are in the training part. Leave them out of reported results.",
    ),
    Rule(
        "KGP-A403",
        AuditSeverity.WARNING,
        "questions in the same words about the same image with different answers",
        asking.contradictions,
        "No model can answer both correctly. Check them.",
    ),
    Rule(
        "KGP-A404",
        AuditSeverity.INFO,
        "images that have several names",
        asking.shared_pictures,
        "Names alone do not keep test and training apart; image-disjoint compares the image content.",
    ),
    Rule(
        "KGP-A405",
        AuditSeverity.ERROR,
        "held-out questions about subjects that the graph was built from",
        asking.question_graph_overlap,
        "The graph already contains what their reports say. Ask about other studies; kgp train vqa refuses these.",
    ),
)
