"""The audit's checks of pairs against plain Python, and which of them are errors under which protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.audit import Finding, audit_pairs
from kgplatform.audit_rules import AuditSeverity
from kgplatform.datasets import pair_checks as checks
from kgplatform.datasets.graph_studies import Used
from kgplatform.datasets.pair_checks import Audited, pair_overlaps
from kgplatform.datasets.pair_source import Pair
from kgplatform.datasets.pairs import PARTS, PROTOCOLS, PairSet, partition_pairs
from kgplatform.datasets.split_checks import CheckCount
from kgplatform.errors import UsageError
from tests.unit.kgplatform.datasets.test_pair_files import openi_pair_set
from tests.unit.kgplatform.datasets.test_pairs import PAIRS, pair

NOTHING = Used(frozenset(), frozenset())


def pair_set(parts: dict[str, list[Pair]], protocol: str = "paper") -> PairSet:
    return PairSet({part: parts.get(part, []) for part in PARTS}, "openi", Path(), None, protocol)


def _findings_by_id(pairs: PairSet, used: Used = NOTHING) -> dict[str, Finding]:
    return {finding.id: finding for finding in audit_pairs(pairs, used)}


@given(PAIRS, st.lists(st.sampled_from(PARTS), min_size=60, max_size=60), st.sampled_from(list(PROTOCOLS)))
def test_what_stands_in_several_parts(pairs: list[Pair], parts: list[str], protocol: str) -> None:
    split_pairs = pair_set(
        {
            part_name: [
                image_pair for image_pair, pair_part in zip(pairs, parts, strict=False) if pair_part == part_name
            ]
            for part_name in PARTS
        },
        protocol,
    )
    audited = Audited(split_pairs, NOTHING)
    keyed_checks: list[tuple[Callable[[Audited], CheckCount], Callable[[Pair], str], str]] = [
        (checks.spread_pair_subjects, lambda image_pair: image_pair.subject, "subject"),
        (checks.spread_reports, lambda image_pair: image_pair.study, "report"),
        (checks.spread_texts, lambda image_pair: image_pair.text.lower(), "text"),
    ]
    for check, key, check_name in keyed_checks:
        value_parts = {
            value: {
                part_name
                for part_name in PARTS
                for image_pair in split_pairs.parts[part_name]
                if key(image_pair) == value
            }
            for value in map(key, pairs)
        }
        value_parts.pop("", None)
        result = check(audited)
        spread = sorted(value for value, part_names in value_parts.items() if len(part_names) > 1)
        assert (result.count, result.total) == (len(spread), len(value_parts))
        if check_name != "text":
            assert list(result.examples) == spread[:5]
        training_keys = {key(image_pair) for image_pair in split_pairs.parts["train"]} - {""}
        shared_count = sum(key(image_pair) in training_keys for image_pair in split_pairs.parts["test"])
        assert pair_overlaps(split_pairs)[check_name] == shared_count
        assert result.detail == f"{shared_count} of {len(split_pairs.parts['test'])} test images, protocol {protocol}"
    unknown = (
        [image_pair for image_pair in split_pairs.pairs if not image_pair.subject] if protocol == "subject" else []
    )
    assert checks.unknown_pair_subjects(audited).count == len(unknown)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_leak_is_an_error_whatever_the_protocol_meant(protocol: str) -> None:
    leaking = pair_set({"train": [pair("a", "s", "p", "x")], "test": [pair("b", "s", "p", "X")]}, protocol)
    findings = _findings_by_id(leaking)
    assert {finding_id: finding.severity for finding_id, finding in findings.items()} == {
        "KGP-A301": AuditSeverity.ERROR,
        "KGP-A302": AuditSeverity.ERROR,
        "KGP-A303": AuditSeverity.WARNING,
    }
    assert findings["KGP-A302"].title == (
        f"reports with images in several parts: 1 of 1 test images, protocol {protocol}"
    )
    assert findings["KGP-A302"].examples == ("s",)


def test_texts_are_named_by_their_studies(tmp_path: Path) -> None:
    findings = _findings_by_id(
        pair_set({"train": [pair("a", "s1", text="secret")], "valid": [pair("b", "s2", text="Secret")]})
    )
    assert list(findings) == ["KGP-A303"]
    assert findings["KGP-A303"].examples == ("s1 = s2",)
    assert "secret" not in repr(findings).lower()
    assert not _findings_by_id(pair_set({"valid": [pair("a", text="x")], "test": [pair("b", text="y")]}))
    assert "Finding 1" not in repr(_findings_by_id(openi_pair_set(tmp_path)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_split_by_subject_or_report_does_not_leak_what_it_keeps_together(protocol: str) -> None:
    pairs = [pair(f"{number}", f"s{number // 2}", f"p{number // 4}", f"text {number // 2}") for number in range(400)]
    finding_ids = _findings_by_id(pair_set(partition_pairs(pairs, protocol), protocol)).keys()
    assert (
        finding_ids
        == {
            "subject": set(),
            "report": {"KGP-A301"},
            "paper": {"KGP-A301", "KGP-A302", "KGP-A303"},
        }[protocol]
    )


def test_images_of_the_graph_are_an_error_by_study_and_by_subject() -> None:
    pairs = pair_set({"train": [pair("a", "1", "p"), pair("b", "2", "p"), pair("c", "3", "q"), pair("e", "5", "r")]})
    assert not _findings_by_id(
        pairs, Used(frozenset({("other", "1"), ("d", "9")}), frozenset({("other", "p"), ("d", "z")}))
    )
    finding = _findings_by_id(pairs, Used(frozenset({("d", "1")}), frozenset({("d", "q")})))["KGP-A304"]
    assert (finding.severity, finding.count, finding.of, finding.examples) == (
        AuditSeverity.ERROR,
        3,
        4,
        ("a", "b", "c"),
    )
    assert finding.title.endswith("1 by their study, 2 by their subject only")


def test_unknown_subjects_are_told_where_subjects_are_to_be_apart() -> None:
    pairs = {"train": [pair("a"), pair("b", subject="p")]}
    findings = _findings_by_id(pair_set(pairs, "subject"))
    assert (findings["KGP-A305"].count, findings["KGP-A305"].of, findings["KGP-A305"].examples) == (1, 2, ("a",))
    assert not _findings_by_id(pair_set(pairs, "report"))


@pytest.mark.data
def test_pair_checks_on_openis_real_reports(data_dir: Path) -> None:
    from kgplatform.datasets.pairs import read_pairs

    openi_folder = data_dir / "openi"
    pairs = read_pairs("openi", openi_folder, require_images=False).pairs
    finding_counts = {
        protocol: {
            finding_id: (finding.count, finding.of)
            for finding_id, finding in _findings_by_id(
                PairSet(partition_pairs(pairs, protocol), "openi", openi_folder, None, protocol)
            ).items()
        }
        for protocol in PROTOCOLS
    }
    assert finding_counts == {
        "subject": {"KGP-A303": (67, 2_206), "KGP-A305": (5_250, 5_250)},
        "report": {"KGP-A303": (67, 2_206)},
        "paper": {"KGP-A302": (847, 2_701), "KGP-A303": (752, 2_206)},
    }


def test_a_graph_that_knows_what_is_held_out_is_refused() -> None:
    pairs = [pair(f"i{number}", f"s{number}", f"p{number}") for number in range(4)]
    split_pairs = pair_set({"train": pairs[:2], "valid": [pairs[2]], "test": [pairs[3]]})
    dataset = pairs[0].dataset
    checks.refuse_graph_pairs(split_pairs, Used(frozenset({(dataset, "s0")}), frozenset()))  # training may know it
    for used_studies in (
        Used(frozenset({(dataset, "s3")}), frozenset()),
        Used(frozenset(), frozenset({(dataset, "p2")})),
    ):
        with pytest.raises(UsageError, match="1 of the 2 pairs that are held out"):
            checks.refuse_graph_pairs(split_pairs, used_studies)
