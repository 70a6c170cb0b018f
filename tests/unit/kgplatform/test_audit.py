"""The audit's checks of exports and splits against plain Python, and its registry."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform import queries
from kgplatform.audit import Checked, Finding, audit_export, audit_split, ordered
from kgplatform.audit_rules import EXPORT, GRAPH, PAIRS, QUESTIONS, SPLIT, AuditSeverity, Rule
from kgplatform.cli import audit as cli
from kgplatform.datasets import split_checks as checks
from kgplatform.datasets.splits import KINDS, Split, leak
from kgplatform.errors import InputError, UsageError
from kgplatform.export.triples import Node, Triples
from tests import ROOT

PAGE = ROOT / "docs" / "audit.md"
RULES: list[Rule[Any]] = [*GRAPH, *EXPORT, *SPLIT, *PAIRS, *QUESTIONS]
NODES = st.builds(
    Node,
    key=st.sampled_from(["a", "b", "Concept:a", "c\x1b[2J", "d"]),
    kind=st.sampled_from(["Image", "Concept", "Thing"]),
    name=st.sampled_from(["", "x"]),
    subject=st.sampled_from(["", "s1", "s2"]),
)


@st.composite
def _triples_strategy(draw: st.DrawFn) -> Triples:
    nodes = draw(st.lists(NODES, min_size=1, max_size=7, unique=True))
    relations = ["isa", "inverse_isa", "POSITIVE"][: draw(st.integers(1, 3))]
    node_index, relation_index = st.integers(0, len(nodes) - 1), st.integers(0, len(relations) - 1)
    triple_rows = draw(st.lists(st.tuples(node_index, relation_index, node_index), max_size=15, unique=True))
    return Triples(np.array(sorted(triple_rows), dtype=np.int64).reshape(-1, 3), nodes, relations)


@st.composite
def splits(draw: st.DrawFn) -> Split:
    triples = draw(_triples_strategy())
    part_numbers = draw(st.lists(st.integers(0, 2), min_size=len(triples), max_size=len(triples)))
    return Split(triples, np.array(part_numbers, dtype=np.int8), draw(st.sampled_from(list(KINDS))), 42)


def by_id(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.id: finding for finding in findings}


@given(_triples_strategy())
def test_shared_labels_and_unused_ids(triples: Triples) -> None:
    label_counts = Counter(triples.labels)
    shared_check = checks.shared_labels(triples)
    assert (shared_check.count, shared_check.total) == (
        sum(occurrences > 1 for occurrences in label_counts.values()),
        len(label_counts),
    )
    assert set(shared_check.examples) == {label for label, occurrences in label_counts.items() if occurrences > 1}
    used_ids = {node_id for head, _, tail in triples.ids.tolist() for node_id in (head, tail)}
    unused_names = [triples.labels[index] for index in range(len(triples.nodes)) if index not in used_ids]
    unused_names += [
        relation_name
        for index, relation_name in enumerate(triples.relations)
        if index not in set(triples.ids[:, 1].tolist())
    ]
    unused_check = checks.unused_ids(triples)
    assert (unused_check.count, list(unused_check.examples)) == (len(unused_names), unused_names)


@pytest.mark.slow
@given(_triples_strategy())
def test_hashed_ids(triples: Triples) -> None:
    def ids(names: list[str]) -> set[int]:
        return {int(hashlib.md5(hashed_name.encode()).hexdigest(), 16) % len(names) for hashed_name in names}  # noqa: S324

    collisions = checks.hashed_collisions(triples)
    assert (collisions.entities, collisions.entity_ids) == (len(triples.nodes), len(ids(list(triples.labels))))
    assert (collisions.relations, collisions.relation_ids) == (
        len(triples.relations),
        len(ids(list(triples.relations))),
    )
    finding = by_id(audit_export(triples)).get("KGP-A103")
    assert (finding.count if finding else 0) == collisions.entities - collisions.entity_ids


@pytest.mark.slow
@given(splits(), st.sampled_from(["valid", "test"]))
def test_leaks(split: Split, part: str) -> None:
    training_pairs = {(head, tail) for head, _, tail in split.train.tolist()}
    held_out = split.part(part).tolist()
    parallel_marks = [(head, tail) in training_pairs for head, _, tail in held_out]
    reversed_marks = [(tail, head) in training_pairs for head, _, tail in held_out]
    leaking_triples = [
        triple
        for triple, is_parallel, is_reversed in zip(held_out, parallel_marks, reversed_marks, strict=True)
        if is_parallel or is_reversed
    ]
    leak_count = checks.leak_check(part)(split)
    assert (leak_count.count, leak_count.total) == (len(leaking_triples), len(held_out))
    assert leak_count.detail == f"{sum(reversed_marks)} reversed, {sum(parallel_marks)} parallel"
    labels, relations = split.triples.labels, split.triples.relations
    assert leak_count.examples == [
        f"{labels[head]} {relations[relation]} {labels[tail]}" for head, relation, tail in leaking_triples[:5]
    ]
    assert leak(split, part).either == leak_count.count


@pytest.mark.slow
@given(splits())
def test_unseen_entities(split: Split) -> None:
    nodes = split.triples.nodes
    exempt_nodes = {node_id for node_id, node in enumerate(nodes) if split.kind == "inductive" and node.kind == "Image"}
    training_nodes = {endpoint for head, _, tail in split.train.tolist() for endpoint in (head, tail)}
    test_nodes = {endpoint for head, _, tail in split.test.tolist() for endpoint in (head, tail)} - exempt_nodes
    unseen_check = checks.unseen_entities(split)
    assert (unseen_check.count, unseen_check.total) == (len(test_nodes - training_nodes), len(test_nodes))
    assert unseen_check.examples == [
        split.triples.labels[node_id] for node_id in sorted(test_nodes - training_nodes)[:5]
    ]


@pytest.mark.slow
@given(splits())
def test_images_and_subjects_in_several_parts(split: Split) -> None:
    parts_by_image: dict[str, set[int]] = {}
    parts_by_subject: dict[str, set[int]] = {}
    for (head, _, tail), part_number in zip(split.triples.ids.tolist(), split.parts.tolist(), strict=True):
        for node in (split.triples.nodes[head], split.triples.nodes[tail]):
            if node.kind == "Image":
                parts_by_image.setdefault(node.key, set()).add(part_number)
                if node.subject:
                    parts_by_subject.setdefault(node.subject, set()).add(part_number)
    for spread_check, parts_by_name in (
        (checks.spread_images, parts_by_image),
        (checks.spread_subjects, parts_by_subject),
    ):
        spread_names = sorted(group_name for group_name, name_parts in parts_by_name.items() if len(name_parts) > 1)
        checked = spread_check(split)
        assert (checked.count, checked.total, list(checked.examples)) == (
            len(spread_names),
            len(parts_by_name),
            spread_names,
        )
    images = [node for node in split.triples.nodes if node.kind == "Image"]
    unknown_images = [node.key for node in images if not node.subject] if split.kind == "inductive" else []
    assert list(checks.unknown_subjects(split).examples) == unknown_images


@given(splits())
def test_findings_are_few_words_in_order_of_severity(split: Split) -> None:
    findings = ordered([*audit_export(split.triples), *audit_split(split)])
    severity_order = ["error", "warning", "info"]
    assert [entry.severity for entry in findings] == sorted(
        [entry.severity for entry in findings], key=severity_order.index
    )
    for finding in findings:
        assert 0 < finding.count <= finding.of
        assert len(finding.examples) <= 5
        assert all(example.isprintable() and len(example) <= 100 for example in finding.examples)


def _two_image_split(parts: list[int], kind: str) -> Split:
    """Two images of one subject, three concepts: a pair both ways, and a stance of each image."""
    nodes = [
        Node("I1", "Image", "", "s"),
        Node("I2", "Image", "", "s"),
        *(Node(concept_key, "Concept") for concept_key in "abc"),
    ]
    triple_rows = [(0, 2, 2), (1, 2, 3), (2, 1, 3), (2, 0, 4), (3, 0, 2)]
    return Split(
        Triples(np.array(triple_rows), nodes, ["inverse_isa", "isa", "POSITIVE"]), np.array(parts, np.int8), kind, 1
    )


def test_a_test_that_training_answers_is_an_error() -> None:
    leak_finding = by_id(audit_split(_two_image_split([0, 0, 0, 0, 2], "paper")))["KGP-A201"]
    assert (leak_finding.severity, leak_finding.count, leak_finding.of) == (AuditSeverity.ERROR, 1, 1)
    assert leak_finding.title == "test triples with ends joined in training: 1 reversed, 0 parallel"
    assert leak_finding.examples == ("b inverse_isa a",)
    validation_findings = by_id(audit_split(_two_image_split([0, 0, 0, 0, 1], "paper")))
    assert validation_findings.keys() & {"KGP-A201", "KGP-A202"} == {"KGP-A202"}
    assert validation_findings["KGP-A202"].severity is AuditSeverity.WARNING


@pytest.mark.parametrize(("kind", "severity"), [("paper", "info"), ("leakage-free", "info"), ("inductive", "error")])
def test_subjects_in_several_parts_are_by_design_unless_the_split_is_inductive(kind: str, severity: str) -> None:
    findings = by_id(audit_split(_two_image_split([0, 2, 0, 0, 0], kind)))
    assert findings["KGP-A204"].severity == severity
    assert findings["KGP-A204"].examples == ("s",)
    assert "KGP-A205" not in findings


def test_an_id_map_that_names_two_entities_alike_is_an_error() -> None:
    nodes = [Node("I1", "Image"), Node("a", "Thing", "one name"), Node("a", "Thing", "another")]
    triples = Triples(np.array([(0, 0, 1), (0, 0, 2)]), nodes, ["isa"])
    finding = by_id(audit_export(triples))["KGP-A101"]
    assert (finding.severity, finding.count, finding.examples) == (AuditSeverity.ERROR, 1, ("Thing:a",))


def test_careless_calls_of_the_command_are_refused_before_the_graph_is_asked(tmp_path: Path) -> None:
    def call(export_folder: Path | None, split_path: Path | None, pairs_path: Path | None = None) -> None:
        cli.audit_command(
            export=export_folder, split=split_path, pairs=pairs_path, fail_on=cli.FailOn.error, as_json=False
        )

    with pytest.raises(UsageError, match="--split needs the export"):
        call(None, tmp_path / "s.parquet")
    with pytest.raises(InputError, match=r"entities\.tsv"):
        call(tmp_path / "none", None)
    _two_image_split([0, 0, 0, 0, 0], "paper").triples.write(tmp_path / "export")
    (tmp_path / "s.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not a split"):
        call(tmp_path / "export", tmp_path / "s.parquet")
    with pytest.raises(InputError, match="not a file of pairs"):
        call(None, None, tmp_path / "s.parquet")


def test_severities_are_in_order() -> None:
    assert AuditSeverity.ERROR.reaches("info")
    assert AuditSeverity.WARNING.reaches("warning")
    assert not AuditSeverity.INFO.reaches("warning")


def test_ids_are_unique_and_each_is_documented() -> None:
    rule_ids = [rule.id for rule in RULES]
    assert rule_ids == sorted(set(rule_ids))
    assert all(re.fullmatch(r"KGP-A\d{3}", rule.id) for rule in RULES)
    page_text = PAGE.read_text(encoding="utf-8")
    table_rows = re.findall(r"^\| (KGP-A\d{3}) \| ([a-z, ]+) \| ([^|]+) \|", page_text, re.MULTILINE)
    documented = {rule_id: (severity.strip(), title.strip()) for rule_id, severity, title in table_rows}
    assert len(table_rows) == len(RULES)
    for rule in RULES:
        severity = f"{rule.severity}, inductive {rule.inductive}" if rule.inductive else str(rule.severity)
        assert documented[rule.id] == (severity, rule.title)
    assert len({rule.title for rule in RULES}) == len(RULES)


def test_the_page_has_every_field_of_the_json() -> None:
    page_text = PAGE.read_text(encoding="utf-8")
    described_json = "".join(re.findall(r"`\{[^`]*\}`", page_text))
    field_names = [field.name for document_class in (Checked, Finding) for field in fields(document_class)]
    assert re.findall(r"\w+", described_json) == ["checked", *field_names[:3], "findings", *field_names[3:]]


def test_the_graph_has_a_rule_for_each_query_of_the_audit() -> None:
    assert len(queries.query_names("audit")) == len(GRAPH)
    headers = [
        queries.get(query_name).parameters["names"].default
        for query_name in ("audit/section_headers", "explore/section_headers")
    ]
    assert headers[0] == headers[1]
