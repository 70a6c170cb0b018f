"""Triplets of the codes that OpenI's indexers gave to reports, such as ``Opacity/lung/base/left/streaky``.

A code is a head (a finding, or a part of the body that is described), then anatomy, sides and other qualifiers
(Demner-Fushman et al. 2016). Each part after the head is one triplet: an anatomy is where the head is (`located_at`),
all else describes it (`modify`). A bare head gives none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kgplatform.triplets.text import Relation, Triplet, entity

NO_FINDINGS: Final = frozenset({"normal", "no indexing"})  # codes that state no finding
ANATOMIES: Final = frozenset(
    (
        "abdomen", "aorta", "aorta thoracic", "aortic valve", "apex", "azygos lobe", "base", "blood vessels", "breast",
        "breast implants", "bronchi", "cardiophrenic angle", "cervical vertebrae", "clavicle",
        "coronary vessels", "costophrenic angle", "diaphragm", "heart", "heart atria", "heart ventricles", "hilum",
        "humerus", "lingula", "lower lobe", "lumbar vertebrae", "lung", "lymph nodes", "mediastinum", "middle lobe",
        "neck", "paratracheal", "pleura", "pleural sinus", "pulmonary alveoli", "pulmonary artery", "retrocardiac",
        "ribs", "shoulder", "spine", "sternum", "sulcus", "supracardiac", "thoracic vertebrae", "thorax", "trachea",
        "trachea carina", "upper lobe",
    )
)  # fmt: skip


def code_triplets(codes: Iterable[str]) -> tuple[Triplet, ...]:
    """The triplets of a report's codes, each once, in order."""
    triplets: dict[Triplet, None] = {}
    for code in codes:
        head, *parts = (entity(part) for part in code.split("/"))
        if head in NO_FINDINGS or not head:
            continue
        for part in filter(None, parts):
            is_anatomy = part in ANATOMIES
            triplet = Triplet(head, Relation.LOCATED_AT, part) if is_anatomy else Triplet(part, Relation.MODIFY, head)
            triplets[triplet] = None
    return tuple(triplets)
