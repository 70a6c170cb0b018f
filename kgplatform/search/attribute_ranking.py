"""Images in the order of how many attributes of their findings agree with what is looked for.

First come images whose edges agree and contradict nothing, those with most agreeing attributes first; then images whose
edges state nothing of it; then those whose edges contradict it, the fewest contradictions first. Among equals the
similarity, or NaF, decides. Images without an edge to the findings come last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, NamedTuple

from kgplatform import queries
from kgplatform.errors import UsageError
from kgplatform.graph import Graph
from kgplatform.schema import Stance
from kgplatform.search.attributes import (
    COMPARED,
    DescribedFinding,
    TextFinding,
    attributes_alone,
    compare_attributes,
    has_attribute_words,
    has_required,
    text_findings,
)
from kgplatform.search.names import GraphConcept
from kgplatform.vqa.negation import is_negated

NOTHING_STATED: Final = (
    "no edge of the graph states the side, severity, location, change or acuity of a finding, "
    "so they could not be compared; `kgp construct run` records them"
)

Rank = Callable[[list[str]], Sequence[dict[str, Any]]]  # the best rows of some images


@dataclass(frozen=True)
class FindingEdge:
    """An image's edge to a finding that is looked for: what it states, and what of it agrees or contradicts."""

    name: str
    cui: str
    attributes: Mapping[str, Any]
    agreeing: tuple[str, ...]
    contradicting: tuple[str, ...]


@dataclass(frozen=True)
class FindingEdges:
    """The edges of images to the findings that are looked for: of each image and finding the one that agrees best."""

    findings: tuple[DescribedFinding, ...] = ()
    edges: Mapping[str, Mapping[int, FindingEdge]] = field(default_factory=dict)  # by image and number of the finding
    is_stated: bool = False  # whether any edge to the findings states an attribute

    @property
    def is_required(self) -> bool:
        """Whether no other images are wanted than those of these edges."""
        return any(finding.required for finding in self.findings)

    def image_edges(self, image: str) -> tuple[FindingEdge, ...]:
        """The image's edges, in the order of the findings."""
        return tuple(edge for _, edge in sorted(self.edges.get(image, {}).items()))

    def best(self, rank: Rank, top: int) -> list[dict[str, Any]]:
        """The rows of the best images; `rank` orders those that agree equally."""
        rows: list[dict[str, Any]] = []
        for _, tier in groupby(sorted(self.edges, key=self._merit), key=self._merit):
            rows += rank(sorted(tier))[: top - len(rows)]
            if len(rows) >= top:
                break
        return rows

    def _merit(self, image: str) -> tuple[int, int, int]:
        edges = self.edges[image].values()
        contradicting = sum(len(edge.contradicting) for edge in edges)
        return contradicting, -sum(len(edge.agreeing) for edge in edges), -len(edges)


def described_findings(
    graph: Graph, text: str, concepts: Sequence[GraphConcept], stance: Stance, required: Mapping[str, str]
) -> tuple[DescribedFinding, ...]:
    """The findings that are looked for with attributes: the concepts, which have the stance, and the other findings
    that the text names, POSITIVE. What is `required` holds for the concepts, or else for the text's findings. A negated
    text names none. Raises `UsageError` where there is nothing that the required attributes could be of.
    """
    named: list[_NamedFinding] = []
    alone: Mapping[str, tuple[str, ...]] = {}
    if text and not is_negated(text) and (has_attribute_words(text) or (required and not concepts)):
        findings_of_text = text_findings(graph, text)
        named = list(_in_graph(graph, findings_of_text))
        alone = attributes_alone(text) if concepts and not findings_of_text else {}
    findings = []
    for concept in concepts:
        same = next((finding for finding in named if concept.cui in finding.cuis), None)
        described = alone if same is None else same.attributes
        findings.append(DescribedFinding(concept.name, (concept.cui,), stance, described, required))
        named = [finding for finding in named if finding is not same]
    exact = {} if concepts else required
    findings += [
        DescribedFinding(finding.name, finding.cuis, Stance.POSITIVE, finding.attributes, exact) for finding in named
    ]
    if required and not findings:
        options = ", ".join(f"--{attribute}" for attribute in required)
        raise UsageError(f"{options}: of which finding?", "Name it with --concept, or in the text.")
    return tuple(finding for finding in findings if finding.attributes or finding.required)


class _NamedFinding(NamedTuple):
    """A finding of a text that the graph has images of: its name there."""

    name: str
    cuis: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]


def _in_graph(graph: Graph, findings: Sequence[TextFinding]) -> Iterator[_NamedFinding]:
    """The findings of which the graph has images, each with the first of its meanings that has."""
    cuis = sorted({cui for finding in findings for meaning in finding.meanings for cui in meaning})
    rows = graph.read(queries.get("search/concepts_with_images"), cuis=cuis) if cuis else ()
    names = {row["cui"]: row["name"] for row in rows}
    for finding in findings:
        for meaning in finding.meanings:
            present = tuple(cui for cui in meaning if cui in names)
            if present:
                yield _NamedFinding(names[present[0]], present, finding.attributes)
                break


def read_edges(
    graph: Graph, findings: Sequence[DescribedFinding], *, wanted: list[str], stance: str, without: list[str]
) -> FindingEdges:
    """The edges to the findings, of images that have that stance to all `wanted` concepts and are POSITIVE for none
    of `without`.
    """
    if not findings:
        return FindingEdges()
    looked_up = [[number, list(finding.cuis), finding.stance.value] for number, finding in enumerate(findings)]
    rows = graph.read(
        queries.get("search/edge_attributes"), findings=looked_up, wanted=wanted, stance=stance, without=without
    )
    edges: dict[str, dict[int, FindingEdge]] = {}
    is_stated = False
    for row in rows:
        finding = findings[row["finding"]]
        stated = {attribute.value: row[attribute] for attribute in COMPARED if row[attribute] is not None}
        is_stated = is_stated or bool(stated)
        if not has_required(finding, stated):
            continue
        edge = FindingEdge(finding.name, row["cui"], stated, *compare_attributes(finding, stated))
        for image in row["images"]:
            other = edges.setdefault(image, {}).setdefault(row["finding"], edge)
            if _agreement(edge) < _agreement(other):
                edges[image][row["finding"]] = edge
    exact = {number for number, finding in enumerate(findings) if finding.required}
    complete = {image: image_edges for image, image_edges in edges.items() if exact <= image_edges.keys()}
    return FindingEdges(tuple(findings), complete, is_stated)


def _agreement(edge: FindingEdge) -> tuple[int, int, str]:
    return len(edge.contradicting), -len(edge.agreeing), edge.cui


def unstated_note(graph: Graph, edges: FindingEdges) -> str:
    """What to say where no edge to the findings states an attribute; empty where one does."""
    if not edges.findings or edges.is_stated:
        return ""
    [answer] = graph.read(queries.get("search/has_attributes"))
    if not answer["stated"]:
        return NOTHING_STATED
    names = ", ".join(dict.fromkeys(finding.name for finding in edges.findings))
    return f"no edge to {names} states its side, severity, location, change or acuity, so they could not be compared"
