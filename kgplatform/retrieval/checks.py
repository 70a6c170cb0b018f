"""What `kgplatform.audit` looks for in pairs of images and reports: each check counts and names a few."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from kgplatform.errors import UsageError
from kgplatform.export.checks import EXAMPLES, Found
from kgplatform.retrieval.graph_studies import Used, exclude, study_key
from kgplatform.retrieval.pairs import PARTS, Pair, PairSet

Key = Callable[[Pair], str]

KEYS: Final[dict[str, Key]] = {
    "report": lambda pair: pair.study,
    "text": lambda pair: pair.wording,
    "subject": lambda pair: pair.subject,
}


class Audited(NamedTuple):
    """Pairs, and what the graph was built from that they are to be used with."""

    pairs: PairSet
    used: Used


def overlaps(pairs: PairSet, part: str = "test") -> dict[str, int]:
    """How many images of a part have their ``report``, their ``text`` (another report may have the same) and their
    ``subject`` in training, too.
    """
    return {name: len(_in_training(pairs, key, part)) for name, key in KEYS.items()}


def _in_training(pairs: PairSet, key: Key, part: str) -> list[Pair]:
    known = {key(pair) for pair in pairs.parts["train"]} - {""}
    return [pair for pair in pairs.parts[part] if key(pair) in known]


def spread_subjects(audited: Audited) -> Found:
    """Subjects with images in several parts."""
    return _spread(audited.pairs, "subject", lambda pairs: pairs[0].subject)


def spread_reports(audited: Audited) -> Found:
    """Reports, and so studies, with images in several parts: a view here, another there."""
    return _spread(audited.pairs, "report", lambda pairs: pairs[0].study)


def spread_texts(audited: Audited) -> Found:
    """Texts in several parts, be it of one report or of several that say the same; named by their studies."""
    return _spread(audited.pairs, "text", lambda pairs: " = ".join(dict.fromkeys(pair.study for pair in pairs)))


def _spread(pairs: PairSet, what: str, named: Callable[[list[Pair]], str]) -> Found:
    key = KEYS[what]
    members: dict[str, list[Pair]] = {}
    parts: dict[str, set[str]] = {}
    for part in PARTS:
        for pair in pairs.parts[part]:
            members.setdefault(key(pair), []).append(pair)
            parts.setdefault(key(pair), set()).add(part)
    spread = sorted(value for value, among in parts.items() if value and len(among) > 1)
    tested = f"{overlaps(pairs)[what]:,} of {len(pairs.parts['test']):,} test images, protocol {pairs.protocol}"
    examples = [named(members[value]) for value in spread[:EXAMPLES]]
    return Found(len(spread), len(members.keys() - {""}), examples, tested)


def of_the_graph(audited: Audited) -> Found:
    """Images of studies and subjects that the graph was built from."""
    pairs, used = audited.pairs.pairs, audited.used
    left = {pair.image for pair in exclude(pairs, used.studies, used.subjects)}
    found = [pair for pair in pairs if pair.image not in left]
    studies = sum(study_key(pair.dataset, pair.study) in used.studies for pair in found)
    detail = f"{studies:,} by their study, {len(found) - studies:,} by their subject alone"
    return Found(len(found), len(pairs), _images(found), detail)


def refuse_known(pairs: PairSet, used: Used) -> None:
    """Raise `UsageError` where the graph was built from a study or a subject that is validated or tested on."""
    asked = [pair for part in PARTS if part != "train" for pair in pairs.parts[part]]
    found = len(asked) - len(exclude(asked, used.studies, used.subjects))
    if found:
        raise UsageError(
            f"the graph knows studies or subjects of {found:,} of the {len(asked):,} pairs that are held out",
            "Make the pairs again without them: kgp pairs.",
        )


def unknown_subjects(audited: Audited) -> Found:
    """Images without a known subject, where subjects are to be apart."""
    pairs = audited.pairs.pairs
    unknown = [pair for pair in pairs if not pair.subject] if audited.pairs.protocol == "subject" else []
    return Found(len(unknown), len(pairs), _images(unknown))


def _images(pairs: Iterable[Pair]) -> list[str]:
    return [pair.image for pair in pairs][:EXAMPLES]
