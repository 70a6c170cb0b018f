"""The truth of the synthetic studies: mentions, edges, RadGraph graphs, questions with answers.

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
from kgp_loaders.phantom.report import LOBES, ReportSection, SyntheticReport
from kgp_loaders.phantom.studies import DEVICES, FINDINGS, SyntheticStudy
from kgp_loaders.phantom.wording import LabelledSpan, Role, pick
from kgplatform.construct.semantic_types import EXCLUDED
from kgplatform.schema import Stance

_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
_PRESENCE: Final = {Stance.POSITIVE: "OBS-DP", Stance.NEGATIVE: "OBS-DA", Stance.UNCERTAIN: "OBS-U"}
_DEVICE_POSITIONS: Final = {
    Kind.ET_TUBE: ("trachea",),
    Kind.NG_TUBE: ("stomach",),
    Kind.CENTRAL_LINE: ("superior vena cava",),
    Kind.PORT: ("superior vena cava",),
}
_RELATION: Final = {Role.LOCATION: "located_at", Role.SIDE: "located_at", Role.SEVERITY: "modify"}


def report_mentions(study: SyntheticStudy, report: SyntheticReport) -> dict[str, Any]:
    """What the report says, by characters of its sections."""
    return {
        "study_id": str(study.study),
        "mentions": [
            {
                "section": report_part.section,
                "start": mention.start,
                "end": mention.end,
                "cui": concepts()[mention.concept].cui,
                "stance": None if mention.stance is None else mention.stance.value,
            }
            for report_part in report.parts
            for mention in report_part.spans
            if mention.concept is not None
        ],
    }


def stances(study: SyntheticStudy, report: SyntheticReport) -> list[tuple[str, str, str]]:
    """The image's edges: a radiograph in the AP view, its stances, each once."""
    if "AP" not in study.views:
        return []
    edges = [
        (f"I{study.study}", mention.stance.value, concepts()[mention.concept].cui)
        for report_part in report.parts
        for mention in report_part.spans
        if mention.concept is not None
        and mention.stance is not None
        and concepts()[mention.concept].type not in EXCLUDED
    ]
    return list(dict.fromkeys(edges))


def related(edges: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    """The ontology's relations between the concepts of these edges."""
    edge_concepts = {tail for _, _, tail in edges}
    for head, relation, tail in dict.fromkeys(relations()):
        if head in edge_concepts and tail in edge_concepts:
            yield head, relation, tail


def _report_radgraph(study: SyntheticStudy, report: SyntheticReport) -> tuple[str, dict[str, Any]]:
    """The graph of the report's findings and impression, under the name that RadGraph gives it."""
    words: list[str] = []
    entities: dict[str, dict[str, Any]] = {}
    for report_part in report.parts:
        tokens = [(match.start(), match.end()) for match in _TOKEN.finditer(report_part.text)]
        for first_mention, last_mention in report_part.sentences:
            _add_sentence(entities, report_part, report_part.spans[first_mention:last_mention], tokens, len(words))
        words.extend(report_part.text[token_start:token_end] for token_start, token_end in tokens)
    graph = {"text": " ".join(words), "entities": entities, "data_source": "phantom", "data_split": study.split}
    return report_name(study), graph


def report_name(study: SyntheticStudy) -> str:
    """The name by which RadGraph knows the report."""
    return f"p{str(study.subject)[:2]}/p{study.subject}/s{study.study}.txt"


def _add_sentence(
    entities: dict[str, dict[str, Any]],
    report_part: ReportSection,
    mentions: Sequence[LabelledSpan],
    tokens: Sequence[tuple[int, int]],
    offset: int,
) -> None:
    """Add a sentence's entities; its first finding is what the others modify, locate or are suggested by."""
    head_mention = next(
        (mention for mention in mentions if mention.role is Role.FINDING and mention.stance is not None), None
    )
    entity_ids: dict[LabelledSpan, str] = {}
    for mention in mentions:
        if mention.concept is not None and mention.stance is None:
            continue
        if mention.concept is None and head_mention is None:
            continue
        entity_id = entity_ids[mention] = str(len(entities) + 1)
        token_indices = [
            token_index
            for token_index, (token_start, token_end) in enumerate(tokens)
            if token_start < mention.end and token_end > mention.start
        ]
        entities[entity_id] = {
            "tokens": " ".join(report_part.text[slice(*tokens[token_index])] for token_index in token_indices),
            "label": _label(mention, head_mention),
            "start_ix": offset + token_indices[0],
            "end_ix": offset + token_indices[-1],
            "relations": [],
        }
    if head_mention is None:
        return
    for mention, entity_id in entity_ids.items():
        if mention.role in (Role.LOCATION, Role.SIDE) and mention is not head_mention:
            entities[entity_ids[head_mention]]["relations"].append([_RELATION[mention.role], entity_id])
        elif mention.role is Role.SEVERITY:
            entities[entity_id]["relations"].append(["modify", entity_ids[head_mention]])
        elif mention.role is Role.SUGGESTED:
            entities[entity_ids[head_mention]]["relations"].append(["suggestive_of", entity_id])


def _label(mention: LabelledSpan, head_mention: LabelledSpan | None) -> str:
    if mention.role in (Role.LOCATION, Role.SIDE):
        return "ANAT-DP"
    stance = mention.stance or (head_mention.stance if head_mention is not None else None)
    return _PRESENCE[stance or Stance.POSITIVE]


def _image_triplets(study: SyntheticStudy) -> Iterator[tuple[str, str, str]]:
    """What the study's radiographs show, as triplets: where each finding and device is, and how severe a finding is."""
    for item in study.findings:
        finding = concepts()[item.kind.value].names[0].lower()
        side = (item.side.value,) if item.side is not Side.NONE else ()
        lobe = LOBES.get((item.side, item.zone), ())[:1]
        for location in (*(lobe or side), *_DEVICE_POSITIONS.get(item.kind, ())):
            yield finding, "located_at", location
        if item.kind not in DEVICES:
            yield item.severity.value, "modify", finding


def _study_questions(study: SyntheticStudy, seed: int) -> Iterator[dict[str, Any]]:
    """Questions about the first image: what is present, what is not, where, and the view."""
    rng = random.Random(f"kgp phantom questions {seed} {study.number}")  # noqa: S311  not for secrets
    items_by_kind = {item.kind: item for item in study.findings}
    absent_kinds = [kind for kind in FINDINGS if kind not in items_by_kind]
    question_rows: list[tuple[str, str, str, str]] = []
    for kind, item in list(items_by_kind.items())[:3]:
        question_rows.append((f"Is there {article(kind.value)}?", "yes", "CLOSED", "PRES"))
        if item.side in (Side.LEFT, Side.RIGHT) and kind not in DEVICES:
            question_rows.append((f"On which side is the {kind.value}?", item.side.value, "OPEN", "POS"))
            side = pick(rng, (Side.LEFT, Side.RIGHT))
            answer = "yes" if side is item.side else "no"
            question_rows.append((f"Is the {kind.value} on the {side.value} side?", answer, "CLOSED", "POS"))
    denied_kinds = [
        absent_kinds.pop(int(rng.random() * len(absent_kinds))) for _ in range(min(3, max(1, len(items_by_kind))))
    ]
    question_rows += [(f"Is there {article(kind.value)}?", "no", "CLOSED", "PRES") for kind in denied_kinds]
    question_rows.append(("What is the view of this radiograph?", study.views[0], "OPEN", "PLANE"))
    for index, (question, answer, answer_kind, question_kind) in enumerate(question_rows):
        yield {
            "qid": study.number * 100 + index,
            "image_name": f"{study.images[0]}.png",
            "image_organ": "CHEST",
            "question": question,
            "answer": answer,
            "answer_type": answer_kind,
            "question_type": question_kind,
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


def write_truth(folder: Path, studies: Sequence[SyntheticStudy], reports: Sequence[SyntheticReport], seed: int) -> None:
    """Write the truth of the studies into a new folder."""
    folder.mkdir(parents=True)
    study_reports = list(zip(studies, reports, strict=True))
    edges = [edge for study, report in study_reports for edge in stances(study, report)]
    with (folder / "mentions.jsonl").open("w", encoding="utf-8", newline="\n") as mentions_file:
        mentions_file.writelines(json.dumps(report_mentions(study, report)) + "\n" for study, report in study_reports)
    _table(folder / "edges.csv", ("Head", "Relation", "Tail"), [*sorted(edges), *sorted(related(edges))])
    finding_rows = [(study.study, *map(str, item)) for study in studies for item in study.findings]
    _table(folder / "shown.csv", ("study_id", "finding", "side", "zone", "severity"), finding_rows)
    _json(folder / "radgraph.json", dict(_report_radgraph(study, report) for study, report in study_reports))
    _json(folder / "drawn.json", {report_name(study): list(_image_triplets(study)) for study in studies})
    _json(folder / "vqa.json", [question for study in studies for question in _study_questions(study, seed)])


def _table(csv_path: Path, columns: Sequence[str], csv_rows: Iterable[Sequence[object]]) -> None:
    with csv_path.open("w", encoding="utf-8", newline="") as csv_file:
        csv.writer(csv_file, lineterminator="\n").writerows([columns, *csv_rows])


def _json(json_path: Path, content: object) -> None:
    json_path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")
