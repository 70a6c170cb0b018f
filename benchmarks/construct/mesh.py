"""How well construction finds what OpenI's human indexers found: the heads of their MeSH codes, with the attributes.

    python -m benchmarks.construct.mesh --data $KGP_DATA_DIR [--part held-out] [--previous FILE]

Gold are the codes of `openi_xray`, such as `Opacity/lung/upper lobe/right/streaky`: a head, then anatomy, side and
other qualifiers. `settings/mesh_heads.tsv` says which concepts state a head; `normal` and `No Indexing` are left out.
Two thirds of the reports (by a hash of the uid, see `benchmarks.construct.openi`) are for development. The lexicon is
the one that comes with the package, as on an empty graph. Two readings:

    stance     some of the head's concepts is POSITIVE
    indexers   or UNCERTAIN, and likely or one of several alternatives: as the development part shows, so they index

Baselines: a regular expression a head with a plain negation before it in the sentence, and the k most common heads for
every report, with the k that is best. `--previous FILE` scores stances that another engine wrote (`cui` and `stance` by
`study`, JSON), here the engine of version 0.2.0.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.construct.errors import count_errors
from benchmarks.construct.openi import PARTS, figures, is_indexed, split_part
from benchmarks.harness import record
from kgplatform.cli.output import note
from kgplatform.construct.annotate import Annotation, annotate
from kgplatform.construct.attribute_table import Attribute
from kgplatform.construct.lexicon import Lexicon
from kgplatform.construct.open_lexicon import ontology_names, own_words
from kgplatform.construct.open_lexicon.terms import own_terms
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import Allowed
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.schema import Stance

HEADS: Final = Path(__file__).parent / "settings" / "mesh_heads.tsv"
RESULTS: Final = Path(__file__).parent / "results"
NO_FINDINGS: Final = frozenset({"normal", "No Indexing"})
READINGS: Final = ("stance", "indexers")
MIN_REPORTS: Final = 10  # of a head that is scored
COMMON: Final = 40
RESAMPLES: Final = 1_000
SIDES: Final = ("left", "right", "bilateral")
SEVERITIES: Final = {  # the indexers' qualifier, and the values that state it
    "mild": ("mild", "small", "minimal"),
    "moderate": ("moderate",),
    "severe": ("severe", "large"),
    "small": ("small", "minimal", "mild"),
    "large": ("large", "severe"),
    "borderline": ("mild",),
}
LOCATIONS: Final = {  # the indexers' anatomy, and the locations that state it
    "base": ("base", "costophrenic angle", "lower lobe"),
    "upper lobe": ("upper lobe", "apex"),
    "middle lobe": ("middle lobe", "mid lung"),
    "lower lobe": ("lower lobe", "base"),
    "lingula": ("lingula",),
    "apex": ("apex", "upper lobe"),
    "hilum": ("hilum", "perihilar"),
    "ribs": ("rib",),
    "clavicle": ("clavicle",),
    "mediastinum": ("mediastinum",),
    "thoracic vertebrae": ("thoracic spine", "thoracolumbar spine", "spine"),
    "lumbar vertebrae": ("lumbar spine", "thoracolumbar spine"),
    "retrocardiac": ("retrocardiac",),
}
_DENIED: Final = re.compile(r"\b(?:no|not|without|negative for|free of|clear of|absence of)\b[^.;:]*$", re.IGNORECASE)


class Condition(NamedTuple):
    """A concept that states a head, and the locations that it must have, or must not have with a `-` before them."""

    cui: str
    locations: str

    def holds(self, mention: Mapping[Attribute, Sequence[Any]]) -> bool:
        """Whether a mention of the concept with these attributes states the head."""
        if not self.locations:
            return True
        stated = " ".join(mention.get(Attribute.LOCATION, ()))
        required = self.locations.removeprefix("-").split(",")
        if self.locations == "spine":
            return "spine" in mention.get(Attribute.LOCATION, ())
        return any(location in stated for location in required) is not self.locations.startswith("-")


class Head(NamedTuple):
    """Heads that mean one thing: their names, the concepts, and the baseline's regular expression."""

    names: tuple[str, ...]
    conditions: tuple[Condition, ...]
    pattern: re.Pattern[str]

    @property
    def name(self) -> str:
        """The names in one."""
        return " + ".join(self.names)


def read_heads() -> list[Head]:
    """The heads of the table."""
    cuis_by_name = {term.name: term.cui for term in own_terms()}
    heads = []
    for line in HEADS.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith(("#", "head\t")):
            continue
        names, concepts, pattern = line.split("\t")
        conditions = (concept.partition(" @ ") for concept in concepts.split(" | "))
        heads.append(
            Head(
                tuple(names.split(" + ")),
                tuple(Condition(cuis_by_name[name], locations) for name, _, locations in conditions),
                re.compile(pattern, re.IGNORECASE),
            )
        )
    return heads


def gold_codes(mesh: str) -> list[list[str]]:
    """The codes of a report, each as its parts."""
    return [[part.strip() for part in code.split("/")] for code in mesh.split(";")]


Stated = dict[str, list[Mapping[Attribute, Sequence[Any]]]]  # by CUI the attributes of each mention that counts


def stated_concepts(annotation: Annotation, reading: str) -> Stated:
    """The concepts that a report shows, in that reading."""
    stated: Stated = {}
    for (concept, relation), evidence in annotation.edges.items():
        for mention in evidence:
            counts = relation is Stance.UNCERTAIN and reading == "indexers" and is_indexed(mention)
            if relation is Stance.POSITIVE or counts:
                stated.setdefault(concept.cui, []).append(mention.attributes)
    return stated


def predicted_heads(stated: Stated, heads: Sequence[Head]) -> dict[str, list[Mapping[Attribute, Sequence[Any]]]]:
    """The heads that these concepts state, with the attributes of the mentions that do."""
    predicted: dict[str, list[Mapping[Attribute, Sequence[Any]]]] = {}
    for head in heads:
        for condition in head.conditions:
            holding = [mention for mention in stated.get(condition.cui, ()) if condition.holds(mention)]
            if holding:
                predicted.setdefault(head.name, []).extend(holding)
    return predicted


def by_regex(text: str, heads: Sequence[Head]) -> set[str]:
    """The heads that the baseline reads in a report: a match without a negation before it in its sentence."""
    matched: set[str] = set()
    for sentence in re.split(r"(?<=[.;])\s+", text):
        for head in heads:
            match = head.pattern.search(sentence)
            if match is not None and _DENIED.search(sentence[: match.start()]) is None:
                matched.add(head.name)
    return matched


def score(
    gold: Sequence[set[str]], predicted: Sequence[Iterable[str]], scored: Sequence[str], common: Sequence[str]
) -> dict[str, Any]:
    """Counts and figures of each head, micro figures over all, and recall over the common ones."""
    counts = {name: Counter[str]() for name in scored}
    for gold_heads, predicted_names in zip(gold, map(set, predicted), strict=True):
        for name in scored:
            outcome = ("tp" if name in gold_heads else "fp") if name in predicted_names else "fn"
            if name in gold_heads or name in predicted_names:
                counts[name][outcome] += 1
    hits = sum(counts[name]["tp"] for name in common)
    return {
        "micro": {**figures(sum(counts.values(), Counter())), "f1_interval": _interval(gold, predicted, scored)},
        "recall_of_common": hits / (hits + sum(counts[name]["fn"] for name in common)),
        "heads": {name: figures(counts[name]) for name in scored},
    }


def _interval(gold: Sequence[set[str]], predicted: Sequence[Iterable[str]], scored: Sequence[str]) -> list[float]:
    """The 95 % interval of the micro-F1, by resampling reports."""
    names = set(scored)
    outcomes = []
    for gold_heads, predicted_names in zip(gold, map(set, predicted), strict=True):
        expected, stated = gold_heads & names, predicted_names & names
        outcomes.append((len(expected & stated), len(expected) + len(stated)))
    generator = random.Random(0)
    values = []
    for _ in range(RESAMPLES):
        sample = generator.choices(outcomes, k=len(outcomes))
        total = sum(size for _, size in sample)
        values.append(2 * sum(hits for hits, _ in sample) / total if total else 0.0)
    values.sort()
    return [values[int(0.025 * RESAMPLES)], values[int(0.975 * RESAMPLES) - 1]]


def attribute_figures(
    codes: Sequence[list[list[str]]],
    predicted: Sequence[Mapping[str, Sequence[Mapping[Attribute, Sequence[Any]]]]],
    heads: Sequence[Head],
) -> dict[str, Any]:
    """Of the codes whose head was found: how often the side, severity and location that they state was stated, too."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("side", "severity", "location")}
    names = {name: head.name for head in heads for name in head.names}
    for report_codes, report_heads in zip(codes, predicted, strict=True):
        for name, *qualifiers in report_codes:
            mentions = report_heads.get(names.get(name, ""), ())
            if not mentions:
                continue
            sides = {side for mention in mentions for side in mention.get(Attribute.SIDE, ())}
            sides |= {"bilateral"} if {"left", "right"} <= sides else set()
            severities = {value for mention in mentions for value in mention.get(Attribute.SEVERITY, ())}
            locations = {value for mention in mentions for value in mention.get(Attribute.LOCATION, ())}
            for qualifier in qualifiers:
                if qualifier in SIDES:
                    counts["side"]["stated" if qualifier in sides else "stated otherwise" if sides else "missed"] += 1
                elif qualifier in SEVERITIES:
                    is_stated = not severities.isdisjoint(SEVERITIES[qualifier])
                    counts["severity"]["stated" if is_stated else "stated otherwise" if severities else "missed"] += 1
                elif qualifier in LOCATIONS:
                    is_stated = not locations.isdisjoint(LOCATIONS[qualifier])
                    counts["location"]["stated" if is_stated else "stated otherwise" if locations else "missed"] += 1
    return {
        name: {**dict(outcomes), "recall": outcomes["stated"] / max(1, outcomes.total())}
        for name, outcomes in counts.items()
    }


def best_constant(gold: Sequence[set[str]], scored: Sequence[str]) -> list[str]:
    """The k most common heads, with the k whose prediction for every report has the best micro-F1."""
    counts = Counter(name for heads in gold for name in heads if name in scored)
    total = counts.total()
    ordered = [name for name, _ in counts.most_common()]
    hits = [sum(counts[name] for name in ordered[:k]) for k in range(1, len(ordered) + 1)]
    f1s = [2 * hit / (k * len(gold) + total) for k, hit in enumerate(hits, 1)]
    return ordered[: f1s.index(max(f1s)) + 1]


def _run_benchmark(arguments: argparse.Namespace) -> None:
    heads = read_heads()
    with (arguments.data / "openi_xray" / "indiana_reports.csv").open(newline="", encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table) if split_part(row["uid"]) == arguments.part]
    codes = [gold_codes(row["MeSH"]) for row in rows]
    merged = {name: head.name for head in heads for name in head.names}
    gold = [{merged.get(code[0], code[0]) for code in report_codes} - NO_FINDINGS for report_codes in codes]
    report_counts = Counter(name for report_heads in gold for name in report_heads)
    scored = [name for name, count in report_counts.most_common() if count >= MIN_REPORTS]
    common = scored[:COMMON]
    lexicon = Lexicon([*own_words(), *ontology_names()])
    tagger = DictionaryTagger(lexicon, Allowed())
    reports = [
        Report(row["uid"], f"I{row['uid']}", {name: row[name] for name in ("findings", "impression")}) for row in rows
    ]
    start_time = time.perf_counter()
    annotations = [annotate(report, tagger, rules()) for report in reports]
    seconds = time.perf_counter() - start_time
    readings = {
        reading: [predicted_heads(stated_concepts(annotation, reading), heads) for annotation in annotations]
        for reading in READINGS
    }
    texts = [f"{row['findings']} {row['impression']}" for row in rows]
    constant = best_constant(gold, scored)
    cuis = {head.name: {condition.cui for condition in head.conditions} for head in heads if head.name in scored}
    document: dict[str, Any] = {
        "context": record.context(),
        "part": arguments.part,
        "reports": len(rows),
        "heads": len(scored),
        "heads_without_concepts": [name for name in scored if name not in {head.name for head in heads}],
        "judge": rules().name,
        "lexicon": {"names": lexicon.names, "sha256": lexicon.sha256()},
        "readings": {
            reading: {
                **score(gold, predicted, scored, common),
                "attributes": attribute_figures(codes, predicted, heads),
                "errors": count_errors(annotations, texts, gold, predicted, cuis),
            }
            for reading, predicted in readings.items()
        },
        "regex": score(gold, [by_regex(text, heads) for text in texts], scored, common),
        "constant": {"heads": constant, **score(gold, [constant] * len(rows), scored, common)["micro"]},
        "reports_per_second": len(rows) / seconds,
    }
    if arguments.previous is not None:
        document["previous"] = score(gold, _previous(arguments.previous, rows, heads), scored, common)
    for reading in (*READINGS, "regex", "previous"):
        figures_of = document["readings"].get(reading) or document.get(reading)
        if figures_of:
            micro = figures_of["micro"]
            note(
                f"{reading:9} P {micro['precision']:.3f} R {micro['recall']:.3f} F1 {micro['f1']:.3f}, "
                f"recall of the {len(common)} most common {figures_of['recall_of_common']:.3f}"
            )
    for name, outcomes in document["readings"]["indexers"]["attributes"].items():
        note(f"{name}: {outcomes}")
    if arguments.verbose:
        for name, outcome in document["readings"]["indexers"]["heads"].items():
            note(f"{name:55} tp {outcome['tp']:4} fp {outcome['fp']:4} fn {outcome['fn']:4}")
    if not arguments.dry_run:
        note(f"stored in {record.store(RESULTS / f'construct_mesh_{arguments.part}.json', document)}")


def _previous(path: Path, rows: Sequence[Mapping[str, str]], heads: Sequence[Head]) -> list[Iterable[str]]:
    """The heads that the stances of another engine state; it has no locations, so conditions on them do not count."""
    stances = json.loads(path.read_text(encoding="utf-8"))
    positive: dict[str, set[str]] = {}
    for row in stances:
        if row["stance"] == Stance.POSITIVE.value:
            positive.setdefault(str(row["study"]), set()).add(row["cui"])
    return [
        [
            head.name
            for head in heads
            if any(condition.cui in positive.get(row["uid"], ()) for condition in head.conditions)
        ]
        for row in rows
    ]


def main() -> int:
    """Read the arguments and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with openi_xray")
    parser.add_argument("--part", choices=PARTS, default=PARTS[0])
    parser.add_argument("--previous", type=Path, help="stances of another engine, JSON")
    parser.add_argument("--verbose", action="store_true", help="print every head")
    parser.add_argument("--dry-run", action="store_true", help="store nothing")
    return record.exit_code(lambda: _run_benchmark(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
