"""Triplets of the indexers' codes: one for each part of a code, by what the part is."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.triplets.codes import ANATOMIES, code_triplets
from kgplatform.triplets.text import Relation, Triplet, entity, parse_triplets, serialise

AT, MODIFY = Relation.LOCATED_AT, Relation.MODIFY


def test_anatomy_is_where_a_finding_is_and_all_else_describes_it() -> None:
    codes = ["Opacity/lung/upper lobe/right/streaky", "Pulmonary Disease, Chronic Obstructive/severe"]
    assert code_triplets(codes) == (
        Triplet("opacity", AT, "lung"),
        Triplet("opacity", AT, "upper lobe"),
        Triplet("right", MODIFY, "opacity"),
        Triplet("streaky", MODIFY, "opacity"),
        Triplet("severe", MODIFY, "pulmonary disease chronic obstructive"),
    )


def test_bare_heads_and_codes_without_a_finding_give_none() -> None:
    assert code_triplets(["Cardiomegaly", "normal", "No Indexing", "", "normal/mild"]) == ()


def test_a_triplet_of_two_codes_is_one() -> None:
    assert code_triplets(["Opacity/lung/left", "Opacity/lung/right"]) == (
        Triplet("opacity", AT, "lung"),
        Triplet("left", MODIFY, "opacity"),
        Triplet("right", MODIFY, "opacity"),
    )


def test_anatomies_are_written_as_entities_are() -> None:
    assert all(name == entity(name) for name in ANATOMIES)


@given(st.lists(st.text(max_size=30)))
def test_any_codes_give_triplets_that_can_be_written_and_read(codes: list[str]) -> None:
    triplets = code_triplets(codes)
    assert set(parse_triplets(serialise(triplets)).triplets) <= set(triplets)
    assert len(set(triplets)) == len(triplets)


@pytest.mark.data
def test_openis_codes_have_few_kinds_of_parts(data_dir: Path) -> None:
    """All parts of its triplets are read, none of them as an anatomy and as a qualifier."""
    triplets_by_uid: dict[str, tuple[Triplet, ...]] = {}
    for name in ("openi", "openi_xray"):
        with (data_dir / name / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
            triplets_by_uid |= {row["uid"]: code_triplets(row["MeSH"].split(";")) for row in csv.DictReader(file)}
    all_triplets = [triplet for triplets in triplets_by_uid.values() for triplet in triplets]
    assert len(all_triplets) > 10_000
    assert len(set(all_triplets)) < 1_000
    described = {triplet.head for triplet in all_triplets if triplet.relation is MODIFY}
    assert {"left", "right", "bilateral", "mild", "severe", "streaky"} <= described
    assert not described & ANATOMIES
