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
from kgplatform.audit import (
    EXPORT,
    GRAPH,
    PAIRS,
    QUESTIONS,
    SPLIT,
    Checked,
    Finding,
    Rule,
    Severity,
    audit_export,
    audit_split,
    ordered,
)
from kgplatform.cli import audit as cli
from kgplatform.errors import InputError, UsageError
from kgplatform.export import checks
from kgplatform.export.splits import KINDS, Split, leak
from kgplatform.export.triples import Node, Triples

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
RULES: list[Rule[Any]] = [*GRAPH, *EXPORT, *SPLIT, *PAIRS, *QUESTIONS]
NODES = st.builds(
    Node,
    key=st.sampled_from(["a", "b", "Concept:a", "c\x1b[2J", "d"]),
    kind=st.sampled_from(["Image", "Concept", "Thing"]),
    name=st.sampled_from(["", "x"]),
    subject=st.sampled_from(["", "s1", "s2"]),
)


@st.composite
def graphs(draw: st.DrawFn) -> Triples:
    nodes = draw(st.lists(NODES, min_size=1, max_size=7, unique=True))
    relations = ["isa", "inverse_isa", "POSITIVE"][: draw(st.integers(1, 3))]
    end, relation = st.integers(0, len(nodes) - 1), st.integers(0, len(relations) - 1)
    rows = draw(st.lists(st.tuples(end, relation, end), max_size=15, unique=True))
    return Triples(np.array(sorted(rows), dtype=np.int64).reshape(-1, 3), nodes, relations)


@st.composite
def splits(draw: st.DrawFn) -> Split:
    triples = draw(graphs())
    parts = draw(st.lists(st.integers(0, 2), min_size=len(triples), max_size=len(triples)))
    return Split(triples, np.array(parts, dtype=np.int8), draw(st.sampled_from(list(KINDS))), 42)


def by_id(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.id: finding for finding in findings}


@given(graphs())
def test_shared_labels_and_unused_ids(triples: Triples) -> None:
    times = Counter(triples.labels)
    shared = checks.shared_labels(triples)
    assert (shared.count, shared.of) == (sum(n > 1 for n in times.values()), len(times))
    assert set(shared.examples) == {label for label, n in times.items() if n > 1}
    used = {end for h, _, t in triples.ids.tolist() for end in (h, t)}
    unused = [triples.labels[i] for i in range(len(triples.nodes)) if i not in used]
    unused += [name for i, name in enumerate(triples.relations) if i not in set(triples.ids[:, 1].tolist())]
    found = checks.unused_ids(triples)
    assert (found.count, list(found.examples)) == (len(unused), unused)


@given(graphs())
def test_hashed_ids(triples: Triples) -> None:
    def ids(names: list[str]) -> set[int]:
        return {int(hashlib.md5(name.encode()).hexdigest(), 16) % len(names) for name in names}  # noqa: S324

    hashed = checks.hashed_collisions(triples)
    assert (hashed.entities, hashed.entity_ids) == (len(triples.nodes), len(ids(list(triples.labels))))
    assert (hashed.relations, hashed.relation_ids) == (len(triples.relations), len(ids(list(triples.relations))))
    found = by_id(audit_export(triples)).get("KGP-A103")
    assert (found.count if found else 0) == hashed.entities - hashed.entity_ids


@given(splits(), st.sampled_from(["valid", "test"]))
def test_leaks(split: Split, part: str) -> None:
    train = {(h, t) for h, _, t in split.train.tolist()}
    held = split.part(part).tolist()
    forth = [(h, t) in train for h, _, t in held]
    back = [(t, h) in train for h, _, t in held]
    leaking = [row for row, a, b in zip(held, forth, back, strict=True) if a or b]
    found = checks.leak_of(part)(split)
    assert (found.count, found.of) == (len(leaking), len(held))
    assert found.detail == f"{sum(back)} reversed, {sum(forth)} parallel"
    labels, relations = split.triples.labels, split.triples.relations
    assert found.examples == [f"{labels[h]} {relations[r]} {labels[t]}" for h, r, t in leaking[:5]]
    assert leak(split, part).either == found.count


@given(splits())
def test_unseen_entities(split: Split) -> None:
    nodes = split.triples.nodes
    meant = {i for i, node in enumerate(nodes) if split.kind == "inductive" and node.kind == "Image"}
    known = {end for h, _, t in split.train.tolist() for end in (h, t)}
    held = {end for h, _, t in split.test.tolist() for end in (h, t)} - meant
    found = checks.unseen_entities(split)
    assert (found.count, found.of) == (len(held - known), len(held))
    assert found.examples == [split.triples.labels[i] for i in sorted(held - known)[:5]]


@given(splits())
def test_images_and_subjects_in_several_parts(split: Split) -> None:
    of_image: dict[str, set[int]] = {}
    of_subject: dict[str, set[int]] = {}
    for (h, _, t), part in zip(split.triples.ids.tolist(), split.parts.tolist(), strict=True):
        for node in (split.triples.nodes[h], split.triples.nodes[t]):
            if node.kind == "Image":
                of_image.setdefault(node.key, set()).add(part)
                if node.subject:
                    of_subject.setdefault(node.subject, set()).add(part)
    for check, parts in ((checks.spread_images, of_image), (checks.spread_subjects, of_subject)):
        spread = sorted(name for name, seen in parts.items() if len(seen) > 1)
        found = check(split)
        assert (found.count, found.of, list(found.examples)) == (len(spread), len(parts), spread)
    images = [node for node in split.triples.nodes if node.kind == "Image"]
    unknown = [node.key for node in images if not node.subject] if split.kind == "inductive" else []
    assert list(checks.unknown_subjects(split).examples) == unknown


@given(splits())
def test_findings_are_few_words_in_order_of_severity(split: Split) -> None:
    findings = ordered([*audit_export(split.triples), *audit_split(split)])
    order = ["error", "warning", "info"]
    assert [f.severity for f in findings] == sorted([f.severity for f in findings], key=order.index)
    for finding in findings:
        assert 0 < finding.count <= finding.of
        assert len(finding.examples) <= 5
        assert all(example.isprintable() and len(example) <= 100 for example in finding.examples)


def small(parts: list[int], kind: str) -> Split:
    """Two images of one subject, three concepts: a pair both ways, and a stance of each image."""
    nodes = [Node("I1", "Image", "", "s"), Node("I2", "Image", "", "s"), *(Node(c, "Concept") for c in "abc")]
    rows = [(0, 2, 2), (1, 2, 3), (2, 1, 3), (2, 0, 4), (3, 0, 2)]
    return Split(Triples(np.array(rows), nodes, ["inverse_isa", "isa", "POSITIVE"]), np.array(parts, np.int8), kind, 1)


def test_a_test_that_training_answers_is_an_error() -> None:
    leaking = by_id(audit_split(small([0, 0, 0, 0, 2], "paper")))["KGP-A201"]
    assert (leaking.severity, leaking.count, leaking.of) == (Severity.ERROR, 1, 1)
    assert leaking.title == "test triples whose ends training joins: 1 reversed, 0 parallel"
    assert leaking.examples == ("b inverse_isa a",)
    in_validation = by_id(audit_split(small([0, 0, 0, 0, 1], "paper")))
    assert in_validation.keys() & {"KGP-A201", "KGP-A202"} == {"KGP-A202"}
    assert in_validation["KGP-A202"].severity is Severity.WARNING


@pytest.mark.parametrize(("kind", "severity"), [("paper", "info"), ("leakage-free", "info"), ("inductive", "error")])
def test_subjects_in_several_parts_are_by_design_unless_the_split_is_inductive(kind: str, severity: str) -> None:
    found = by_id(audit_split(small([0, 2, 0, 0, 0], kind)))
    assert found["KGP-A204"].severity == severity
    assert found["KGP-A204"].examples == ("s",)
    assert "KGP-A205" not in found


def test_an_id_map_that_names_two_entities_alike_is_an_error() -> None:
    nodes = [Node("I1", "Image"), Node("a", "Thing", "one name"), Node("a", "Thing", "another")]
    triples = Triples(np.array([(0, 0, 1), (0, 0, 2)]), nodes, ["isa"])
    found = by_id(audit_export(triples))["KGP-A101"]
    assert (found.severity, found.count, found.examples) == (Severity.ERROR, 1, ("Thing:a",))


def test_careless_calls_of_the_command_are_refused_before_the_graph_is_asked(tmp_path: Path) -> None:
    def call(export: Path | None, split: Path | None, pairs: Path | None = None) -> None:
        cli.audit(export=export, split=split, pairs=pairs, fail_on=cli.FailOn.error, as_json=False)

    with pytest.raises(UsageError, match="--split needs the export"):
        call(None, tmp_path / "s.parquet")
    with pytest.raises(InputError, match=r"entities\.tsv"):
        call(tmp_path / "none", None)
    small([0, 0, 0, 0, 0], "paper").triples.write(tmp_path / "export")
    (tmp_path / "s.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not a split"):
        call(tmp_path / "export", tmp_path / "s.parquet")
    with pytest.raises(InputError, match="no file of pairs"):
        call(None, None, tmp_path / "s.parquet")


def test_severities_are_in_order() -> None:
    assert Severity.ERROR.reaches("info")
    assert Severity.WARNING.reaches("warning")
    assert not Severity.INFO.reaches("warning")


def test_ids_are_unique_and_each_is_documented() -> None:
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"KGP-A\d{3}", rule.id) for rule in RULES)
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (KGP-A\d{3}) \| ([a-z, ]+) \| ([^|]+) \|", page, re.MULTILINE)
    shown = {id_: (severity.strip(), title.strip()) for id_, severity, title in rows}
    assert len(rows) == len(RULES)
    for rule in RULES:
        severity = f"{rule.severity}, inductive {rule.inductive}" if rule.inductive else str(rule.severity)
        assert shown[rule.id] == (severity, rule.title)
    assert len({rule.title for rule in RULES}) == len(RULES)


def test_the_page_has_every_field_of_the_json() -> None:
    page = PAGE.read_text(encoding="utf-8")
    described = "".join(re.findall(r"`\{[^`]*\}`", page))
    names = [field.name for of in (Checked, Finding) for field in fields(of)]
    assert re.findall(r"\w+", described) == ["checked", *names[:3], "findings", *names[3:]]


def test_the_graph_has_a_rule_for_each_query_of_the_audit() -> None:
    assert len(queries.names("audit")) == len(GRAPH)
    headers = [
        queries.get(name).parameters["names"].default for name in ("audit/section_headers", "explore/section_headers")
    ]
    assert headers[0] == headers[1]
