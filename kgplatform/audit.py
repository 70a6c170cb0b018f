"""What is wrong, or apt to mislead, in a graph, its exports and splits, pairs and questions; docs/audit.md explains it.

Applies the rules of `kgplatform.audit_rules`. Findings name ids and concepts, never text of a report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kgplatform import queries
from kgplatform.audit_rules import EXPORT, GRAPH, PAIRS, QUESTIONS, SPLIT, AuditSeverity, Rule, T
from kgplatform.datasets.graph_studies import Used
from kgplatform.datasets.pair_checks import Audited
from kgplatform.datasets.pairs import PairSet
from kgplatform.datasets.question_checks import AuditedQuestions
from kgplatform.datasets.split_checks import EXAMPLES
from kgplatform.datasets.splits import PARTS, Split
from kgplatform.errors import KgpError
from kgplatform.export.triples import Triples
from kgplatform.graph import Graph

_MAX_EXAMPLE_LENGTH: Final = 100  # characters of an example


@dataclass(frozen=True)
class Finding:
    """Something found: `count` out of `of`, with at most five `examples`, and what to do about it."""

    id: str
    severity: AuditSeverity
    title: str
    count: int
    of: int
    examples: tuple[str, ...]
    what_to_do: str


@dataclass(frozen=True)
class Checked:
    """What was looked at, what it holds, and how many rules were applied."""

    what: str
    holds: Mapping[str, int]
    rules: int

    def __str__(self) -> str:
        """In words."""
        return (
            f"{self.what}: {', '.join(f'{count:,} {kind_name}' for kind_name, count in self.holds.items())}; "
            f"{self.rules} rules"
        )


def audit(graph: Graph) -> list[Finding]:
    """What is found in the graph, worst first. Raises `KgpError` for an empty graph."""
    [answer] = graph.read(queries.get("ingest/is_empty"))
    if answer["empty"]:
        raise KgpError("the graph is empty, so there is nothing to audit", "Load something first: kgp ingest medmkg")
    return ordered(_apply(GRAPH, graph))


def audit_export(triples: Triples) -> list[Finding]:
    """What is found in an export, worst first."""
    return ordered(_apply(EXPORT, triples))


def audit_split(split: Split) -> list[Finding]:
    """What is found in a split, worst first."""
    return ordered(_apply(SPLIT, split, inductive=split.kind == "inductive"))


def audit_pairs(pairs: PairSet, used: Used) -> list[Finding]:
    """What is found in pairs of images and reports, worst first; `used` is what their graph was built from."""
    return ordered(_apply(PAIRS, Audited(pairs, used)))


def audit_questions(audited: AuditedQuestions) -> list[Finding]:
    """What is found in questions about images, worst first."""
    return ordered(_apply(QUESTIONS, audited))


def checked_graph(graph: Graph) -> Checked:
    """What `audit` looks at."""
    [figures] = graph.read(queries.get("stats/overview"))
    return Checked(
        "graph", {figure_name: figures[figure_name] for figure_name in ("images", "concepts", "edges")}, len(GRAPH)
    )


def checked_export(triples: Triples) -> Checked:
    """What `audit_export` looks at."""
    return Checked("export", {"triples": len(triples), "entities": triples.num_entities}, len(EXPORT))


def checked_split(split: Split) -> Checked:
    """What `audit_split` looks at."""
    return Checked("split", {f"{part_name} triples": len(split.part(part_name)) for part_name in PARTS}, len(SPLIT))


def checked_pairs(pairs: PairSet) -> Checked:
    """What `audit_pairs` looks at."""
    return Checked(
        "pairs", {f"{part_name} pairs": len(part_pairs) for part_name, part_pairs in pairs.parts.items()}, len(PAIRS)
    )


def checked_questions(audited: AuditedQuestions) -> Checked:
    """What `audit_questions` looks at."""
    image_counts = {
        "images": len(audited.picture_hashes),
        "different images": len(set(audited.picture_hashes.values())),
    }
    return Checked("questions", {"questions": len(audited.question_set.questions), **image_counts}, len(QUESTIONS))


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The findings, worst first, then by id."""
    return sorted(findings, key=lambda finding: (-list(AuditSeverity).index(finding.severity), finding.id))


def _apply(rules: Iterable[Rule[T]], subject: T, *, inductive: bool = False) -> Iterator[Finding]:
    for rule in rules:
        check_result = rule.check(subject)
        if check_result.count:
            severity = (inductive and rule.inductive) or rule.severity
            title = rule.title + (f": {check_result.detail}" if check_result.detail else "")
            examples = tuple(map(_printable, check_result.examples[:EXAMPLES]))
            yield Finding(rule.id, severity, title, check_result.count, check_result.total, examples, rule.what_to_do)


def _printable(example_text: str) -> str:
    printable_text = "".join(character if character.isprintable() else "�" for character in example_text)
    return (
        printable_text
        if len(printable_text) <= _MAX_EXAMPLE_LENGTH
        else printable_text[: _MAX_EXAMPLE_LENGTH - 1] + "…"
    )
