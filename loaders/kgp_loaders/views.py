"""The views of images that a user selects, e.g. AP and PA."""

from __future__ import annotations

from collections.abc import Sequence


class ViewFilter:
    """Admits images of the selected views, whatever their case, and knows which it has met. No selection admits all."""

    def __init__(self, views: Sequence[str]) -> None:
        self._views = {view.casefold(): view for view in views}
        self._met: set[str] = set()

    def admits(self, view: str | None) -> bool:
        """Whether an image of this view is selected; None where the data set does not state it."""
        view_key = (view or "").casefold()
        if view_key in self._views:
            self._met.add(view_key)
        return not self._views or view_key in self._views

    def absent(self) -> dict[str, int]:
        """Once all images are read: a count of 0 for each selected view that none of them has, by reason."""
        return {f"images of the view {view}": 0 for view_key, view in self._views.items() if view_key not in self._met}
