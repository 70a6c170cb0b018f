"""The attributes of an edge, merged from those of its mentions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from kgplatform.construct.attribute_table import Attribute, ranks
from kgplatform.schema import Stance

Values: TypeAlias = Mapping[Attribute, Sequence[Any]]  # of a mention; not to be changed: remembered by sentence
LEFT, RIGHT, BILATERAL = "left", "right", "bilateral"


def merge_values(mentions: Sequence[Mapping[Attribute, Sequence[Any]]], stance: Stance) -> dict[str, Any]:
    """The properties of an edge whose evidence are these mentions.

    Left and right make bilateral; of several severities, changes and acuities the one of the higher row of the table
    counts; a size is the largest. What a NEGATIVE edge denies is the whole where one of its mentions does: then it has
    no attributes. Where all deny a part alone ("no large effusion"), `only` names it.
    """
    merged: dict[str, Any] = {}
    for attribute in Attribute:
        stated = [values[attribute] for values in mentions if values.get(attribute)]
        if not stated or (stance is Stance.NEGATIVE and len(stated) < len(mentions)):
            continue
        distinct = list(dict.fromkeys(value for values in stated for value in values))
        if attribute is Attribute.SIDE:
            merged[attribute.value] = distinct[0] if len(distinct) == 1 else BILATERAL
        elif attribute is Attribute.LOCATION:
            merged[attribute.value] = sorted(distinct)
        elif attribute is Attribute.SIZE:
            merged[attribute.value] = max(distinct)
        else:
            merged[attribute.value] = min(distinct, key=lambda value: ranks()[attribute, value])
    if stance is Stance.NEGATIVE:
        parts = [merged[part.value] for part in _PARTS if merged.get(part.value, "resolved") not in _NO_PARTS]
        if parts:
            merged["only"] = parts
    return merged


_PARTS: Final = (Attribute.SEVERITY, Attribute.ACUITY, Attribute.CHANGE)
_NO_PARTS: Final = frozenset(["resolved", "unchanged", "better"])  # changes to a finding that is gone
