"""What the headers of a report's sections are called, and what a name announces."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from kgplatform.construct.modality import is_exam_name

FINDINGS, IMPRESSION, OTHER = "findings", "impression", "other"
FORM: Final = "form"  # a header of the report's form, which announces no content
ANATOMY: Final = "anatomy"  # a part of the body, within findings
EXAM: Final = "exam"  # an exam's name ("CT HEAD:"), whose text is findings unless it stands under a comparison
UNKNOWN: Final = "unknown"

_NAMES: Final = {
    FINDINGS: (
        "finding", "findings", "description", "observation", "observations", "report", "body", "comment", "comments",
        "interpretation", "discussion", "result", "results", "narrative", "last paragraph", "chest",
    ),
    IMPRESSION: (
        "impression", "impressions", "conclusion", "conclusions", "summary", "opinion", "assessment", "imp",
        "radiologic diagnosis", "radiological diagnosis", "final diagnosis",
    ),
    OTHER: (
        "addendum", "clinical history", "clinical indication", "clinical information", "comparison", "comparisons",
        "date", "exam", "examination", "history", "indication", "indications", "notification", "plan", "procedure",
        "reason for exam", "reason for examination", "reason for study", "recommendation", "recommendations", "study",
        "technique", "views", "wet read", "hx", "clinical data", "clinical question", "communication", "dose",
    ),
    FORM: ("final report", "preliminary report", "radiology report", "x ray report", "full report", "report text"),
    ANATOMY: (
        "lungs", "lung", "lungs and pleura", "lungs and airways", "heart", "heart and mediastinum", "cardiac",
        "cardiac silhouette", "cardiomediastinal silhouette", "cardiovascular", "mediastinum", "mediastinum and hila",
        "hila", "hilum", "pleura", "pleural spaces", "pleural space", "airway", "airways", "trachea", "bones",
        "bones and soft tissues", "bony structures", "osseous structures", "skeleton", "musculoskeletal",
        "soft tissues",
        "chest wall", "diaphragm", "diaphragms", "abdomen", "upper abdomen", "aorta", "vasculature", "vessels",
        "pulmonary vasculature", "lines", "tubes", "lines and tubes", "lines tubes", "lines tubes and devices",
        "devices",
        "support devices", "support apparatus", "tubes and lines", "hardware", "spine", "ribs", "other findings",
        "brain", "brain parenchyma", "ventricles", "extra axial spaces", "skull", "calvarium", "orbits", "sinuses",
        "paranasal sinuses", "mastoid air cells", "thyroid", "salivary glands", "liver", "gallbladder", "bile ducts",
        "biliary tree", "pancreas", "spleen", "adrenals", "adrenal glands", "kidneys", "right kidney", "left kidney",
        "kidneys and ureters", "bowel", "stomach", "appendix", "mesentery", "peritoneum", "retroperitoneum",
        "lymph nodes", "bladder", "urinary bladder", "prostate", "uterus", "ovaries", "adnexa", "pelvis",
        "alignment", "vertebrae", "vertebral bodies", "discs", "spinal cord", "spinal canal", "joints", "joint spaces",
        "menisci", "ligaments", "tendons", "cartilage", "breasts", "right breast", "left breast",
    ),
}  # fmt: skip
KINDS: Final = {name: kind for kind, names in _NAMES.items() for name in names}
_FINDINGS_NOUNS: Final = frozenset(["finding", "findings"])
_IMPRESSION_NOUNS: Final = frozenset(["impression", "impressions", "conclusion", "conclusions", "summary"])
# A name that consists of these words alone is of another section: "PATIENT HISTORY", "REFERENCE EXAM", "DICTATED BY".
_OTHER_WORDS: Final = frozenset(
    "a accession acquired addenda addendum additional admission age and approved at attending attestation "  # noqa: SIM905
    "authored begins by chief clinical code communication comparison comparisons complaint complaints "
    "contrast copies critical data date dates details diagnosis diagnostic dictated dictation dob dose dr "
    "electronically ended end exam examination examinations exams facility film films final finalized "
    "first follow followup for from given history hospital hx id images in indication indications "
    "information interpreted location md medical mrn name notification notified number of on or ordered "
    "ordering past patient performed person physician plan preliminary present primary prior previous "
    "procedure procedures protocol provider radiologist radiologists read reason recommendation "
    "recommendations record reference referring reported requested requesting resident result results "
    "review reviewed s second sex service sign signature signed signs status studies study suggestion "
    "suggestions supervised symptoms system technical technique techniques technologist the time to "
    "transcribed transcription transcriptionist transcriptionists type unit up update verified version "
    "visit wet with 1 2 3 4 5".split()
)
_OTHER_MARKS: Final = frozenset(["a", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"])
_VIEW_WORDS: Final = frozenset(
    "a additional am and anteroposterior ap at bedside bilateral chest cxr decubitus digital erect exam "  # noqa: SIM905
    "examination expiratory film films for four frontal image images in inspiratory lat lateral left "
    "lordotic m mobile multiple oblique obliques of on one p pa plain pm portable post posteroanterior "
    "projection ra radiograph radiographs ray rays repeat right semi semierect semiupright series single "
    "standard study supine the thorax three two upright view views with x xr xray".split()
)
_VIEW_MARKS: Final = frozenset(["chest", "cxr", "thorax", "xr"])
_IMAGING_WORDS: Final = _VIEW_WORDS - frozenset(
    ["a", "and", "at", "for", "four", "in", "left", "m", "of", "on", "one", "p", "right", "the", "three", "two", "with"]
)
_SIGNATURES: Final = frozenset(
    {("electronically", "signed"), ("electronically", "approved")}
    | {(verb, "by") for verb in ("approved", "dictated", "interpreted", "read", "reviewed", "signed", "verified")}
)
_NO_MISSPELLINGS: Final = frozenset(["contusion", "contusions", "concussion", "concussions", "confusion", "inclusion"])

_JOINED: Final = re.compile(r"[\s/&+,()\[\]*_#.'’\-]+")
PARTS: Final = re.compile(r"\s*(?:[/&+,]|\band\b)\s*", re.IGNORECASE)
_BRACKETED: Final = re.compile(r"\([^()]{0,40}\)?|\[[^\[\]]{0,40}\]?|#\s*\d+|(?<=\w)\s\d{1,2}$")
COMMON_WORDS: Final = frozenset(["chest", "report", "comment", "body", "discussion", "result", "results", "summary"])
_TIME: Final = re.compile(r"\d{1,2}\s*:\s*\d{2}")


def is_view_header(name: str) -> bool:
    """Whether the name of a view is a header: in capitals, or with a word of imaging next to "chest"."""
    words = set(name_words(name))
    if " ".join(name_words(name)) in KINDS and name.lower() != "chest":
        return True
    return name.isupper() or len(words & _IMAGING_WORDS) > 1 or words.isdisjoint(_VIEW_MARKS)


def name_words(name: str) -> list[str]:
    """The words of a header's name in lower case, without a time."""
    return [word for word in _JOINED.split(_TIME.sub(" ", name).lower()) if word]


@lru_cache(maxsize=20_000)
def header_kind(name: str) -> str | None:
    """What a header announces, `UNKNOWN` for one of no known name; None for words that can be no header."""
    words = name_words(name)
    if not words or len(words) > 12:
        return None
    if tuple(words[:2]) in _SIGNATURES:
        return OTHER
    if words[0] == "end" and " ".join(words[2 if words[1:2] == ["of"] else 1 :]) in KINDS:
        return OTHER  # "END OF IMPRESSION:"
    for plain_name in (" ".join(words), " ".join(name_words(_BRACKETED.sub("", name)))):
        if plain_name in KINDS:
            return KINDS[plain_name]
    if not _VIEW_MARKS.isdisjoint(words) and all(word in _VIEW_WORDS or word.isdigit() for word in words):
        return FINDINGS
    part_kinds = {_kind_of_part(part) for part in PARTS.split(_BRACKETED.sub("", name)) if part.strip()}
    for kind in (FINDINGS, IMPRESSION):
        if kind in part_kinds:
            return kind
    if all(word in _OTHER_WORDS or word.isdigit() for word in words) and not _OTHER_MARKS.issuperset(words):
        return OTHER
    if is_exam_name(name):
        return EXAM
    return _kind_of_misspelling(" ".join(words))


@lru_cache(maxsize=20_000)
def _kind_of_misspelling(plain_name: str) -> str:
    known_name = next((known_name for known_name in KINDS if _is_misspelling(plain_name, known_name)), None)
    return UNKNOWN if known_name is None else KINDS[known_name]


def _kind_of_part(part: str) -> str:
    """What a part of a joined name announces, of "TECHNIQUE/FINDINGS" or "PRELIMINARY IMPRESSION"."""
    words = name_words(part)
    plain_part = " ".join(words)
    if not words:
        return UNKNOWN
    part_kind = KINDS.get(plain_part) or _kind_of_misspelling(plain_part)
    if part_kind in (FINDINGS, IMPRESSION) and plain_part not in COMMON_WORDS:
        return part_kind
    if len(words) <= 5 and part.strip().isupper():
        for nouns, kind in ((_FINDINGS_NOUNS, FINDINGS), (_IMPRESSION_NOUNS, IMPRESSION)):
            if words[-1] in nouns or (words[0] in nouns and words[1] in ("of", "in", "on", "for", "with")):
                return kind
    return UNKNOWN


def _is_misspelling(name: str, known_name: str) -> bool:
    """Whether the name differs from a known one of seven letters or more by one edit, of ten or more by two."""
    if len(known_name) < 7 or abs(len(name) - len(known_name)) > 2 or name in _NO_MISSPELLINGS:
        return False
    if name[:1] != known_name[:1] and name[:2] != known_name[1:3]:
        return False
    return _edit_distance(name, known_name) <= (2 if len(known_name) >= 10 and name[:1] == known_name[:1] else 1)


def _edit_distance(first: str, second: str) -> int:
    """The letters to insert, leave out, change or swap with their neighbours to make the one text the other (optimal
    string alignment).
    """
    before_last: list[int] = []
    last = list(range(len(second) + 1))
    for row, first_letter in enumerate(first, 1):
        current = [row]
        for column, second_letter in enumerate(second, 1):
            cost = min(last[column] + 1, current[-1] + 1, last[column - 1] + (first_letter != second_letter))
            if row > 1 and column > 1 and first_letter == second[column - 2] and first[row - 2] == second_letter:
                cost = min(cost, before_last[column - 2] + 1)
            current.append(cost)
        before_last, last = last, current
    return last[-1]
