"""What `kgplatform.audit` looks for in pairs of images and reports: each check counts and names a few."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from kgplatform.datasets.graph_studies import Used, exclude, study_key
from kgplatform.datasets.pair_source import Pair
from kgplatform.datasets.pairs import PARTS, PairSet
from kgplatform.datasets.split_checks import EXAMPLES, CheckCount
from kgplatform.errors import UsageError

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


def pair_overlaps(pairs: PairSet, part: str = "test") -> dict[str, int]:
    """How many images of a part have their ``report``, their ``text`` (another report may have the same) and their
    ``subject`` in training, too.
    """
    return {key_name: len(_in_training(pairs, pair_key, part)) for key_name, pair_key in KEYS.items()}


def _in_training(pairs: PairSet, pair_key: Key, part: str) -> list[Pair]:
    training_keys = {pair_key(pair) for pair in pairs.parts["train"]} - {""}
    return [pair for pair in pairs.parts[part] if pair_key(pair) in training_keys]


def spread_pair_subjects(audited: Audited) -> CheckCount:
    """Subjects with images in several parts."""
    return _spread(audited.pairs, "subject", lambda pairs: pairs[0].subject)


def spread_reports(audited: Audited) -> CheckCount:
    """Reports, and so studies, with images in several parts: a view here, another there."""
    return _spread(audited.pairs, "report", lambda pairs: pairs[0].study)


def spread_texts(audited: Audited) -> CheckCount:
    """Texts in several parts, be it of one report or of several that say the same; named by their studies."""
    return _spread(audited.pairs, "text", lambda pairs: " = ".join(dict.fromkeys(pair.study for pair in pairs)))


def _spread(pairs: PairSet, key_name: str, label: Callable[[list[Pair]], str]) -> CheckCount:
    pair_key = KEYS[key_name]
    pairs_by_value: dict[str, list[Pair]] = {}
    parts_by_value: dict[str, set[str]] = {}
    for part_name in PARTS:
        for pair in pairs.parts[part_name]:
            pairs_by_value.setdefault(pair_key(pair), []).append(pair)
            parts_by_value.setdefault(pair_key(pair), set()).add(part_name)
    spread_values = sorted(
        key_value for key_value, value_parts in parts_by_value.items() if key_value and len(value_parts) > 1
    )
    tested_note = (
        f"{pair_overlaps(pairs)[key_name]:,} of {len(pairs.parts['test']):,} test images, protocol {pairs.protocol}"
    )
    example_names = [label(pairs_by_value[key_value]) for key_value in spread_values[:EXAMPLES]]
    return CheckCount(len(spread_values), len(pairs_by_value.keys() - {""}), example_names, tested_note)


def pair_graph_overlap(audited: Audited) -> CheckCount:
    """Images of studies and subjects that the graph was built from."""
    all_pairs, graph_sources = audited.pairs.pairs, audited.used
    remaining_images = {pair.image for pair in exclude(all_pairs, graph_sources.studies, graph_sources.subjects)}
    used_pairs = [pair for pair in all_pairs if pair.image not in remaining_images]
    study_count = sum(study_key(pair.dataset, pair.study) in graph_sources.studies for pair in used_pairs)
    detail = f"{study_count:,} by their study, {len(used_pairs) - study_count:,} by their subject only"
    return CheckCount(len(used_pairs), len(all_pairs), _images(used_pairs), detail)


def refuse_graph_pairs(pairs: PairSet, used: Used) -> None:
    """Raise `UsageError` where the graph was built from a study or a subject that is validated or tested on."""
    held_out_pairs = [pair for part_name in PARTS if part_name != "train" for pair in pairs.parts[part_name]]
    shared_count = len(held_out_pairs) - len(exclude(held_out_pairs, used.studies, used.subjects))
    if shared_count:
        raise UsageError(
            f"the graph contains studies or subjects of {shared_count:,} of the {len(held_out_pairs):,} pairs "
            "that are held out",
            "Make the pairs again without them: kgp pairs.",
        )


def unknown_pair_subjects(audited: Audited) -> CheckCount:
    """Images without a known subject, where subjects are to be apart."""
    all_pairs = audited.pairs.pairs
    unknown_pairs = [pair for pair in all_pairs if not pair.subject] if audited.pairs.protocol == "subject" else []
    return CheckCount(len(unknown_pairs), len(all_pairs), _images(unknown_pairs))


def _images(pairs: Iterable[Pair]) -> list[str]:
    return [pair.image for pair in pairs][:EXAMPLES]
