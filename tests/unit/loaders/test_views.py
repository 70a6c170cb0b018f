"""Selection of images by view: the case does not matter, and a view that no image has is reported."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kgp_loaders.reports import Reports
from kgp_loaders.views import ViewFilter

VIEWS = st.sampled_from(["AP", "ap", "PA", "Lateral", "LATERAL", "", "FOO"])


@given(st.lists(VIEWS), st.lists(VIEWS | st.none()))
def test_a_view_is_admitted_whatever_its_case_and_one_that_is_nowhere_is_counted_as_absent(
    selected: list[str], views: list[str | None]
) -> None:
    view_filter = ViewFilter(selected)
    admitted = [view for view in views if view_filter.admits(view)]
    names = {name.upper() for name in selected}
    assert admitted == [view for view in views if not selected or (view or "").upper() in names]
    present = {(view or "").upper() for view in views}
    absent = view_filter.absent()
    assert set(absent.values()) <= {0}
    assert len(absent) == len(names - present)


def test_a_table_of_reports_says_that_no_image_has_a_selected_view(tmp_path: Path) -> None:
    table_path = tmp_path / "reports.jsonl"
    rows = [
        {"id": str(number), "text": "FINDINGS: clear.", "view": view} for number, view in enumerate(("AP", "PA", "AP"))
    ]
    table_path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    source = Reports(table_path, ("ap", "FOO"))
    assert len(list(source.reports())) == 2
    assert source.left_out == Counter({"rows of other views than ap, FOO": 1, "images of the view FOO": 0})
