"""The audit's checks of pairs against plain Python, and which of them are errors under which protocol."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.audit import Finding, Severity, audit_pairs
from kgplatform.errors import UsageError
from kgplatform.retrieval import checks
from kgplatform.retrieval.checks import Audited, overlaps
from kgplatform.retrieval.graph_studies import Used
from kgplatform.retrieval.pairs import PARTS, PROTOCOLS, Pair, PairSet, split
from tests.unit.test_pair_files import made
from tests.unit.test_retrieval_pairs import PAIRS, pair

NOTHING = Used(frozenset(), frozenset())


def pair_set(parts: dict[str, list[Pair]], protocol: str = "paper") -> PairSet:
    return PairSet({part: parts.get(part, []) for part in PARTS}, "openi", Path(), None, protocol)


def found(pairs: PairSet, used: Used = NOTHING) -> dict[str, Finding]:
    return {finding.id: finding for finding in audit_pairs(pairs, used)}


@given(PAIRS, st.lists(st.sampled_from(PARTS), min_size=60, max_size=60), st.sampled_from(list(PROTOCOLS)))
def test_what_stands_in_several_parts(pairs: list[Pair], parts: list[str], protocol: str) -> None:
    dealt = pair_set(
        {part: [one for one, p in zip(pairs, parts, strict=False) if p == part] for part in PARTS}, protocol
    )
    audited = Audited(dealt, NOTHING)
    for check, key, name in (
        (checks.spread_subjects, lambda one: one.subject, "subject"),
        (checks.spread_reports, lambda one: one.study, "report"),
        (checks.spread_texts, lambda one: one.text.lower(), "text"),
    ):
        among = {
            value: {part for part in PARTS for one in dealt.parts[part] if key(one) == value}
            for value in map(key, pairs)
        }
        among.pop("", None)
        result = check(audited)
        spread = sorted(value for value, where in among.items() if len(where) > 1)
        assert (result.count, result.of) == (len(spread), len(among))
        if name != "text":
            assert list(result.examples) == spread[:5]
        known = {key(one) for one in dealt.parts["train"]} - {""}
        tested = sum(key(one) in known for one in dealt.parts["test"])
        assert overlaps(dealt)[name] == tested
        assert result.detail == f"{tested} of {len(dealt.parts['test'])} test images, protocol {protocol}"
    unknown = [one for one in dealt.pairs if not one.subject] if protocol == "subject" else []
    assert checks.unknown_subjects(audited).count == len(unknown)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_leak_is_an_error_whatever_the_protocol_meant(protocol: str) -> None:
    leaking = pair_set({"train": [pair("a", "s", "p", "x")], "test": [pair("b", "s", "p", "X")]}, protocol)
    told = found(leaking)
    assert {id_: finding.severity for id_, finding in told.items()} == {
        "KGP-A301": Severity.ERROR,
        "KGP-A302": Severity.ERROR,
        "KGP-A303": Severity.WARNING,
    }
    assert told["KGP-A302"].title == (f"reports with images in several parts: 1 of 1 test images, protocol {protocol}")
    assert told["KGP-A302"].examples == ("s",)


def test_texts_are_named_by_their_studies(tmp_path: Path) -> None:
    told = found(pair_set({"train": [pair("a", "s1", text="secret")], "valid": [pair("b", "s2", text="Secret")]}))
    assert list(told) == ["KGP-A303"]
    assert told["KGP-A303"].examples == ("s1 = s2",)
    assert "secret" not in repr(told).lower()
    assert not found(pair_set({"valid": [pair("a", text="x")], "test": [pair("b", text="y")]}))
    assert "Finding 1" not in repr(found(made(tmp_path)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_split_by_subject_or_report_does_not_leak_what_it_keeps_together(protocol: str) -> None:
    pairs = [pair(f"{n}", f"s{n // 2}", f"p{n // 4}", f"text {n // 2}") for n in range(400)]
    told = found(pair_set(split(pairs, protocol), protocol)).keys()
    assert (
        told
        == {
            "subject": set(),
            "report": {"KGP-A301"},
            "paper": {"KGP-A301", "KGP-A302", "KGP-A303"},
        }[protocol]
    )


def test_images_of_the_graph_are_an_error_by_study_and_by_subject() -> None:
    pairs = pair_set({"train": [pair("a", "1", "p"), pair("b", "2", "p"), pair("c", "3", "q"), pair("e", "5", "r")]})
    assert not found(pairs, Used(frozenset({("other", "1"), ("d", "9")}), frozenset({("other", "p"), ("d", "z")})))
    error = found(pairs, Used(frozenset({("d", "1")}), frozenset({("d", "q")})))["KGP-A304"]
    assert (error.severity, error.count, error.of, error.examples) == (Severity.ERROR, 3, 4, ("a", "b", "c"))
    assert error.title.endswith("1 by their study, 2 by their subject alone")


def test_unknown_subjects_are_told_where_subjects_are_to_be_apart() -> None:
    pairs = {"train": [pair("a"), pair("b", subject="p")]}
    told = found(pair_set(pairs, "subject"))
    assert (told["KGP-A305"].count, told["KGP-A305"].of, told["KGP-A305"].examples) == (1, 2, ("a",))
    assert not found(pair_set(pairs, "report"))


@pytest.mark.data
def test_openis_real_reports(data_dir: Path) -> None:
    from kgplatform.retrieval.pairs import read

    folder = data_dir / "openi"
    pairs, _ = read("openi", folder, require_images=False)
    counts = {
        protocol: {
            id_: (finding.count, finding.of)
            for id_, finding in found(PairSet(split(pairs, protocol), "openi", folder, None, protocol)).items()
        }
        for protocol in PROTOCOLS
    }
    assert counts == {
        "subject": {"KGP-A303": (67, 2_206), "KGP-A305": (5_250, 5_250)},
        "report": {"KGP-A303": (67, 2_206)},
        "paper": {"KGP-A302": (847, 2_701), "KGP-A303": (752, 2_206)},
    }


def test_a_graph_that_knows_what_is_held_out_is_refused() -> None:
    pairs = [pair(f"i{n}", f"s{n}", f"p{n}") for n in range(4)]
    dealt = pair_set({"train": pairs[:2], "valid": [pairs[2]], "test": [pairs[3]]})
    dataset = pairs[0].dataset
    checks.refuse_known(dealt, Used(frozenset({(dataset, "s0")}), frozenset()))  # training may know it
    for used in (Used(frozenset({(dataset, "s3")}), frozenset()), Used(frozenset(), frozenset({(dataset, "p2")}))):
        with pytest.raises(UsageError, match="1 of the 2 pairs that are held out"):
            checks.refuse_known(dealt, used)
