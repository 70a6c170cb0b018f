"""The assessment's workbook and its scores; agreement against published figures and plain oracles."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from PIL import Image

from kgplatform.assess.agreement import ICC, cohen_kappa, icc, weighted_kappa
from kgplatform.assess.picture import Thumbnails, thumbnail
from kgplatform.assess.sample import ConceptItem, ImageItem, RatedConcept, Sample
from kgplatform.assess.score import score_ratings
from kgplatform.assess.workbook import CONCEPTS, GUIDE, HIDDEN, IMAGES, METRICS, read_ratings, write_rating_workbook
from kgplatform.errors import InputError, UsageError

SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
SAMPLE = Sample(
    42,
    (
        ImageItem("I1", "a.png", (RatedConcept("effusion", "fluid", "POSITIVE"), RatedConcept("=1+1", "", "NEGATIVE"))),
        ImageItem("I2", "", (RatedConcept("@mass\x00", "", "UNCERTAIN"),)),
    ),
    (ConceptItem("C9900001", "effusion", "fluid", (("I1", "a.png"), ("I3", "b.png")), 12),),
)


def fill(path: Path, ratings: Mapping[str, Mapping[int, Any]], rater: str = "") -> None:
    """As a rater would: numbers in cells. Rows by sheet and column letter."""
    workbook = load_workbook(path)
    workbook[GUIDE]["B3"] = rater
    for column_address, row_ratings in ratings.items():
        sheet_name, column_letter = column_address.split("!")
        for row_number, rating in row_ratings.items():
            workbook[sheet_name][f"{column_letter}{row_number}"] = rating
    workbook.save(path)


class TestAgreement:
    def test_icc_is_that_of_shrout_and_fleiss(self) -> None:
        agreement = icc(SHROUT_FLEISS)
        assert agreement.single == pytest.approx(0.29, abs=0.005)
        assert agreement.mean == pytest.approx(0.62, abs=0.005)

    @pytest.mark.parametrize("ratings", [[], [[1, 2]], [[1], [2]], [[3, 3], [3, 3]]])
    def test_icc_is_undefined_without_items_raters_or_variance(self, ratings: list[list[float]]) -> None:
        assert icc(ratings) == ICC(None, None)

    def test_kappa_of_categories_is_that_of_a_worked_example(self) -> None:
        counts = {("A", "A"): 5, ("A", "B"): 3, ("B", "A"): 12, ("B", "B"): 40}
        pairs = [pair for pair, count in counts.items() for _ in range(count)]
        expected = (8 * 17 + 52 * 43) / 60
        assert cohen_kappa(*map(list, zip(*pairs, strict=True))) == pytest.approx((45 - expected) / (60 - expected))

    @given(st.lists(st.tuples(st.sampled_from("PNU-"), st.sampled_from("PNU-")), max_size=40))
    def test_kappa_of_categories_is_that_of_scikit_learn(self, pairs: list[tuple[str, str]]) -> None:
        metrics = pytest.importorskip("sklearn.metrics")
        first, second = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        if len({*first, *second}) < 2:
            assert cohen_kappa(first, second) is None
        else:
            assert cohen_kappa(first, second) == pytest.approx(metrics.cohen_kappa_score(first, second))

    def test_kappa_of_categories_needs_the_same_items(self) -> None:
        with pytest.raises(ValueError, match="different numbers"):
            cohen_kappa("PN", "P")

    def test_raters_who_agree_in_all_have_one(self) -> None:
        assert icc([[1, 1], [5, 5], [9, 9]]) == pytest.approx((1.0, 1.0))
        assert weighted_kappa([1, 5, 9], [1, 5, 9]) == pytest.approx(1.0)

    @given(st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=1, max_size=30))
    def test_kappa_is_that_of_its_definition_and_of_scikit_learn(self, pairs: list[tuple[int, int]]) -> None:
        first_ratings, second_ratings = (
            [first_rating for first_rating, _ in pairs],
            [second_rating for _, second_rating in pairs],
        )
        observed_disagreement = sum((first_rating - second_rating) ** 2 for first_rating, second_rating in pairs) / len(
            pairs
        )
        expected_disagreement = (
            sum(
                (first_rating - second_rating) ** 2
                for first_rating, second_rating in product(first_ratings, second_ratings)
            )
            / len(pairs) ** 2
        )
        computed_kappa = weighted_kappa(first_ratings, second_ratings)
        if expected_disagreement == 0:
            assert computed_kappa is None
            return
        assert computed_kappa == pytest.approx(1 - observed_disagreement / expected_disagreement)
        metrics = pytest.importorskip("sklearn.metrics")
        assert computed_kappa == pytest.approx(
            metrics.cohen_kappa_score(first_ratings, second_ratings, labels=range(1, 11), weights="quadratic")
        )


class TestWorkbook:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        Image.new("L", (2000, 1000), 90).save(tmp_path / "a.png")
        (tmp_path / "b.png").write_bytes(b"no image")
        assert (
            write_rating_workbook(SAMPLE, tmp_path / "w.xlsx", Thumbnails(tmp_path), {"I1": "FINDINGS: an effusion."})
            == 2
        )
        return tmp_path / "w.xlsx"

    def test_it_asks_what_the_guide_asks(self, path: Path) -> None:
        workbook = load_workbook(path)
        assert workbook.sheetnames == [GUIDE, IMAGES, CONCEPTS, HIDDEN]
        assert workbook[HIDDEN].sheet_state == "hidden"
        image_sheet: Any = workbook[IMAGES]  # its type lacks _images
        assert [cell.value for cell in image_sheet[1]][:7] == [
            "Image", "Extracted Concept", "Definition", "Extracted Relation", "Report as Reference",
            "Concept Coverage (1-10)", "Relation Correctness (1-10)",
        ]  # fmt: skip
        assert [[cell.value for cell in row_cells[1:5]] for row_cells in image_sheet.iter_rows(min_row=2)] == [
            ["effusion", "fluid", "POSITIVE", "FINDINGS: an effusion."],
            ["=1+1", None, "NEGATIVE", None],
            ["@mass�", None, "UNCERTAIN", None],
        ]
        assert {cell.data_type for row_cells in image_sheet.iter_rows(min_row=2, max_col=4) for cell in row_cells} <= {
            "s",
            "inlineStr",
            "n",
        }
        assert image_sheet["B3"].data_type != "f"
        assert image_sheet.column_dimensions["H"].hidden
        assert [
            (str(validation.sqref), validation.formula1, validation.formula2)
            for validation in image_sheet.data_validations.dataValidation
        ] == [("F2:F4 G2:G4", "1", "10")]
        assert len(image_sheet._images) == 1
        assert workbook[CONCEPTS]["A2"].value == "effusion (2 of 12 images)"
        assert workbook[CONCEPTS]["C3"].value == "b.png"

    def test_ratings_come_back_and_missing_ones_are_counted(self, path: Path) -> None:
        fill(path, {f"{IMAGES}!F": {2: 8, 4: 10.0}, f"{IMAGES}!G": {2: "7"}, f"{CONCEPTS}!D": {2: 3}}, " Ada ")
        ratings = read_ratings(path)
        assert ratings.rater == "Ada"
        assert ratings.identity == SAMPLE.identity
        assert dict(ratings.by_metric) == {
            METRICS[0]: {"I1": 8, "I2": 10},
            METRICS[1]: {"I1": 7},
            METRICS[2]: {"C9900001": 3},
        }
        assert dict(ratings.possible) == {METRICS[0]: 2, METRICS[1]: 2, METRICS[2]: 1}

    @pytest.mark.parametrize("value", [0, 11, 7.5, "eight", -1, True, "=1+1", 10**30])
    def test_a_rating_that_is_none_names_sheet_and_cell(self, path: Path, value: object) -> None:
        fill(path, {f"{IMAGES}!G": {4: value}})
        if value == "=1+1":  # a formula that no program has computed is an empty cell
            assert read_ratings(path).by_metric[METRICS[1]] == {}
            return
        with pytest.raises(InputError, match=f"sheet {IMAGES}, cell G4"):
            read_ratings(path)

    @given(cut=st.integers(0, 6000), flip=st.integers(0, 6000), value=st.integers(0, 255))
    @example_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_damaged_workbook_is_read_or_refused(self, path: Path, cut: int, flip: int, value: int) -> None:
        workbook_bytes = bytearray(path.read_bytes())
        workbook_bytes[flip % len(workbook_bytes)] = value
        damaged_path = path.with_name("damaged.xlsx")
        damaged_path.write_bytes(
            bytes(workbook_bytes[: len(workbook_bytes) - cut % len(workbook_bytes)] if cut % 2 else workbook_bytes)
        )
        try:
            read_ratings(damaged_path)
        except InputError as error:
            assert "damaged.xlsx" in str(error)

    @pytest.mark.parametrize(("sheet", "column"), [(IMAGES, 6), (IMAGES, 8), (CONCEPTS, 4)])
    def test_a_workbook_without_a_column_is_refused(self, path: Path, sheet: str, column: int) -> None:
        workbook = load_workbook(path)
        workbook[sheet].delete_cols(column)
        workbook.save(path)
        with pytest.raises(InputError, match=f"sheet {sheet} lacks a column"):
            read_ratings(path)

    def test_other_files_are_refused(self, tmp_path: Path) -> None:
        from openpyxl import Workbook

        Workbook().save(tmp_path / "other.xlsx")
        (tmp_path / "text.xlsx").write_text("text", encoding="utf-8")
        for file_name in ("other.xlsx", "text.xlsx", "missing.xlsx"):
            with pytest.raises(InputError, match=file_name):
                read_ratings(tmp_path / file_name)


class TestPicture:
    def test_it_is_small_and_grey(self, tmp_path: Path) -> None:
        Image.new("RGB", (900, 450), (90, 0, 0)).save(tmp_path / "a.jpg")
        thumbnail_bytes = thumbnail("a.jpg", tmp_path)
        assert thumbnail_bytes is not None
        (tmp_path / "s.png").write_bytes(thumbnail_bytes)
        with Image.open(tmp_path / "s.png") as image:
            assert (image.size, image.mode) == ((300, 150), "L")

    @pytest.mark.parametrize("path", ["../a.png", "/etc/passwd", "", "missing.png", "link.png", "bad.png", "bad.dcm"])
    def test_what_is_elsewhere_or_no_image_is_none(self, tmp_path: Path, path: str) -> None:
        image_folder = tmp_path / "root"
        image_folder.mkdir()
        Image.new("L", (9, 9)).save(tmp_path / "a.png")
        (image_folder / "link.png").symlink_to(tmp_path / "a.png")
        (image_folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
        (image_folder / "bad.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 60)
        assert thumbnail(path, image_folder) is None

    def test_a_bomb_is_refused(self, tmp_path: Path) -> None:
        Image.new("1", (9_000, 9_000)).save(tmp_path / "bomb.png")
        assert thumbnail("bomb.png", tmp_path) is None

    @pytest.mark.data
    def test_real_radiographs_and_dicom_files_are_read(self, data_dir: Path) -> None:
        image_paths = [*(data_dir / "cxr_samples").iterdir(), *(data_dir / "dicom").glob("*.dcm")]
        assert len(image_paths) >= 5
        assert all(
            thumbnail(image_path.name, image_path.parent)
            for image_path in image_paths
            if image_path.suffix in (".png", ".jpg", ".jpeg", ".dcm")
        )


def raters(tmp_path: Path, *columns: dict[int, object]) -> list[Path]:
    workbook_paths = []
    for rater_number, row_ratings in enumerate(columns):
        workbook_path = tmp_path / f"r{rater_number}.xlsx"
        write_rating_workbook(MANY, workbook_path)
        fill(workbook_path, {f"{IMAGES}!F": row_ratings}, "Ada")
        workbook_paths.append(workbook_path)
    return workbook_paths


MANY = Sample(
    1, tuple(ImageItem(f"I{image_number}", "", (RatedConcept("x", "", "POSITIVE"),)) for image_number in range(6)), ()
)


def test_scores_are_those_computed_by_hand(tmp_path: Path) -> None:
    rating_columns: list[dict[int, object]] = [
        {row + 2: SHROUT_FLEISS[row][rater_number] for row in range(6)} for rater_number in range(4)
    ]
    workbook_paths = raters(tmp_path, *rating_columns)
    coverage, correctness, diversity = score_ratings([read_ratings(workbook_path) for workbook_path in workbook_paths])
    all_ratings = [rating for row in SHROUT_FLEISS for rating in row]
    assert coverage.mean == pytest.approx(fmean(all_ratings))
    assert coverage.sd == pytest.approx(stdev(all_ratings))
    assert coverage.percent == pytest.approx(10 * fmean(all_ratings))
    assert coverage.icc_single == pytest.approx(0.29, abs=0.005)
    assert (coverage.items, coverage.ratings, coverage.missing, coverage.rated_by_all) == (6, 24, 0, 6)
    assert list(coverage.by_rater) == ["Ada", "Ada (2)", "Ada (3)", "Ada (4)"]
    assert len(coverage.kappa) == 6
    assert (correctness.mean, correctness.ratings, correctness.missing, correctness.mean_kappa) == (None, 0, 24, None)
    assert diversity.items == 0


def test_agreement_is_over_what_all_rated(tmp_path: Path) -> None:
    workbook_paths = raters(tmp_path, {2: 1, 3: 5, 4: 9, 5: 2}, {2: 1, 3: 5, 4: 9})
    coverage, *_ = score_ratings([read_ratings(workbook_path) for workbook_path in workbook_paths])
    assert (coverage.rated_by_all, coverage.missing) == (3, 5)
    assert coverage.mean_kappa == pytest.approx(1.0)


def test_a_workbook_given_twice_is_wrong_usage(tmp_path: Path) -> None:
    write_rating_workbook(SAMPLE, tmp_path / "w.xlsx")
    with pytest.raises(UsageError, match="given twice"):
        score_ratings([read_ratings(tmp_path / "w.xlsx"), read_ratings(tmp_path / "w.xlsx")])


def test_raters_of_different_samples_are_not_scored_together(tmp_path: Path) -> None:
    write_rating_workbook(SAMPLE, tmp_path / "a.xlsx")
    write_rating_workbook(MANY, tmp_path / "b.xlsx")
    with pytest.raises(InputError, match="another sample"):
        score_ratings([read_ratings(tmp_path / "a.xlsx"), read_ratings(tmp_path / "b.xlsx")])


def test_workbooks_that_nobody_has_filled_in_are_not_scored(tmp_path: Path) -> None:
    write_rating_workbook(SAMPLE, tmp_path / "w.xlsx")
    with pytest.raises(InputError, match="no workbook has a rating"):
        score_ratings([read_ratings(tmp_path / "w.xlsx")])
