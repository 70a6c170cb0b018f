"""The truth of the invented studies: mentions, edges, RadGraph graphs, questions with answers.

truth/mentions.jsonl   {"study_id", "mentions": [{"section", "start", "end", "cui", "stance"}]}   stance null: dropped
truth/edges.csv        Head,Relation,Tail: what the graph is to have, images, stances and relations of UMLS's kind
truth/shown.csv        study_id,finding,side,zone,severity: what is drawn
truth/radgraph.json    RadGraph's schema: a graph a report, tokens inclusive
truth/drawn.json       triplets of what is drawn, in the concepts' usual names, by the reports' names
truth/vqa.json         VQA-RAD's schema: questions about what is drawn
"""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from kgp_loaders.phantom.findings import Kind, Side
from kgp_loaders.phantom.ontology import concepts, relations
from kgp_loaders.phantom.report import LOBES, Part, Report
from kgp_loaders.phantom.studies import DEVICES, FINDINGS, Study
from kgp_loaders.phantom.wording import Role, Said, pick
from kgplatform.construct.semantic_types import EXCLUDED
from kgplatform.schema import Stance

_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
_PRESENCE: Final = {Stance.POSITIVE: "OBS-DP", Stance.NEGATIVE: "OBS-DA", Stance.UNCERTAIN: "OBS-U"}
_DEVICE_PLACES: Final = {
    Kind.ET_TUBE: ("trachea",),
    Kind.NG_TUBE: ("stomach",),
    Kind.CENTRAL_LINE: ("superior vena cava",),
    Kind.PORT: ("superior vena cava",),
}
_RELATION: Final = {Role.PLACE: "located_at", Role.SIDE: "located_at", Role.SEVERITY: "modify"}


def mentions(study: Study, report: Report) -> dict[str, Any]:
    """What the report says, by characters of its sections."""
    return {
        "study_id": str(study.study),
        "mentions": [
            {
                "section": part.section,
                "start": said.start,
                "end": said.end,
                "cui": concepts()[said.concept].cui,
                "stance": None if said.stance is None else said.stance.value,
            }
            for part in report.parts
            for said in part.said
            if said.concept is not None
        ],
    }


def stances(study: Study, report: Report) -> list[tuple[str, str, str]]:
    """The image's edges: a radiograph in the AP view, its stances, each once."""
    if "AP" not in study.views:
        return []
    found = [
        (f"I{study.study}", said.stance.value, concepts()[said.concept].cui)
        for part in report.parts
        for said in part.said
        if said.concept is not None and said.stance is not None and concepts()[said.concept].type not in EXCLUDED
    ]
    return list(dict.fromkeys(found))


def related(edges: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    """The ontology's relations between the concepts of these edges."""
    among = {tail for _, _, tail in edges}
    for head, name, tail in dict.fromkeys(relations()):
        if head in among and tail in among:
            yield head, name, tail


def radgraph(study: Study, report: Report) -> tuple[str, dict[str, Any]]:
    """The graph of the report's findings and impression, under the name that RadGraph gives it."""
    words: list[str] = []
    entities: dict[str, dict[str, Any]] = {}
    for part in report.parts:
        tokens = [(found.start(), found.end()) for found in _TOKEN.finditer(part.text)]
        for first, last in part.sentences:
            _add_sentence(entities, part, part.said[first:last], tokens, len(words))
        words.extend(part.text[start:end] for start, end in tokens)
    graph = {"text": " ".join(words), "entities": entities, "data_source": "phantom", "data_split": study.split}
    return report_name(study), graph


def report_name(study: Study) -> str:
    """The name by which RadGraph knows the report."""
    return f"p{str(study.subject)[:2]}/p{study.subject}/s{study.study}.txt"


def _add_sentence(
    entities: dict[str, dict[str, Any]],
    part: Part,
    said: Sequence[Said],
    tokens: Sequence[tuple[int, int]],
    offset: int,
) -> None:
    """Add a sentence's entities; its first finding is what the others modify, locate or are suggested by."""
    head = next((item for item in said if item.role is Role.FINDING and item.stance is not None), None)
    names: dict[Said, str] = {}
    for item in said:
        if item.concept is not None and item.stance is None:
            continue
        if item.concept is None and head is None:
            continue
        number = names[item] = str(len(entities) + 1)
        inside = [place for place, (start, end) in enumerate(tokens) if start < item.end and end > item.start]
        entities[number] = {
            "tokens": " ".join(part.text[slice(*tokens[place])] for place in inside),
            "label": _label(item, head),
            "start_ix": offset + inside[0],
            "end_ix": offset + inside[-1],
            "relations": [],
        }
    if head is None:
        return
    for item, number in names.items():
        if item.role in (Role.PLACE, Role.SIDE) and item is not head:
            entities[names[head]]["relations"].append([_RELATION[item.role], number])
        elif item.role is Role.SEVERITY:
            entities[number]["relations"].append(["modify", names[head]])
        elif item.role is Role.SUGGESTED:
            entities[names[head]]["relations"].append(["suggestive_of", number])


def _label(item: Said, head: Said | None) -> str:
    if item.role in (Role.PLACE, Role.SIDE):
        return "ANAT-DP"
    stance = item.stance or (head.stance if head is not None else None)
    return _PRESENCE[stance or Stance.POSITIVE]


def drawn(study: Study) -> Iterator[tuple[str, str, str]]:
    """What the study's radiographs show, as triplets: where each finding and device is, and how severe a finding is."""
    for item in study.shown:
        finding = concepts()[item.kind.value].names[0].lower()
        side = (item.side.value,) if item.side is not Side.NONE else ()
        lobe = LOBES.get((item.side, item.zone), ())[:1]
        for place in (*(lobe or side), *_DEVICE_PLACES.get(item.kind, ())):
            yield finding, "located_at", place
        if item.kind not in DEVICES:
            yield item.severity.value, "modify", finding


def questions(study: Study, seed: int) -> Iterator[dict[str, Any]]:
    """Questions about the first image: what is there, what is not, where, and the view."""
    rng = random.Random(f"kgp phantom questions {seed} {study.number}")  # noqa: S311  not for secrets
    shown = {item.kind: item for item in study.shown}
    absent = [kind for kind in FINDINGS if kind not in shown]
    asked: list[tuple[str, str, str, str]] = []
    for kind, item in list(shown.items())[:3]:
        asked.append((f"Is there {article(kind.value)}?", "yes", "CLOSED", "PRES"))
        if item.side in (Side.LEFT, Side.RIGHT) and kind not in DEVICES:
            asked.append((f"On which side is the {kind.value}?", item.side.value, "OPEN", "POS"))
            side = pick(rng, (Side.LEFT, Side.RIGHT))
            answer = "yes" if side is item.side else "no"
            asked.append((f"Is the {kind.value} on the {side.value} side?", answer, "CLOSED", "POS"))
    denied = [absent.pop(int(rng.random() * len(absent))) for _ in range(min(3, max(1, len(shown))))]
    asked += [(f"Is there {article(kind.value)}?", "no", "CLOSED", "PRES") for kind in denied]
    asked.append(("What is the view of this radiograph?", study.views[0], "OPEN", "PLANE"))
    for place, (question, answer, kind_of_answer, kind_of_question) in enumerate(asked):
        yield {
            "qid": study.number * 100 + place,
            "image_name": f"{study.images[0]}.png",
            "image_organ": "CHEST",
            "question": question,
            "answer": answer,
            "answer_type": kind_of_answer,
            "question_type": kind_of_question,
            "phrase_type": "freeform",
            "split": study.split,
        }


def article(name: str) -> str:
    """The name with the article that it takes, if it takes one."""
    if name.endswith("s") and not name.endswith("is"):
        return name  # opacities, wires
    if name in ("cardiomegaly", "atelectasis", "consolidation", "pulmonary edema", "emphysema", "scoliosis"):
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def write(folder: Path, studies: Sequence[Study], reports: Sequence[Report], seed: int) -> None:
    """Write the truth of the studies into a new folder."""
    folder.mkdir(parents=True)
    pairs = list(zip(studies, reports, strict=True))
    edges = [edge for study, report in pairs for edge in stances(study, report)]
    with (folder / "mentions.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(mentions(study, report)) + "\n" for study, report in pairs)
    _table(folder / "edges.csv", ("Head", "Relation", "Tail"), [*sorted(edges), *sorted(related(edges))])
    shown = [(study.study, *map(str, item)) for study in studies for item in study.shown]
    _table(folder / "shown.csv", ("study_id", "finding", "side", "zone", "severity"), shown)
    _json(folder / "radgraph.json", dict(radgraph(study, report) for study, report in pairs))
    _json(folder / "drawn.json", {report_name(study): list(drawn(study)) for study in studies})
    _json(folder / "vqa.json", [row for study in studies for row in questions(study, seed)])


def _table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")
