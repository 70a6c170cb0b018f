"""What a synthetic radiograph may show, and where."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """A finding or device that is drawn."""

    CARDIOMEGALY = "cardiomegaly"
    EFFUSION = "pleural effusion"
    PNEUMOTHORAX = "pneumothorax"
    CONSOLIDATION = "consolidation"
    ATELECTASIS = "atelectasis"  # plate-like
    NODULE = "nodule"  # up to 3 cm
    MASS = "mass"
    EDEMA = "pulmonary edema"
    EMPHYSEMA = "emphysema"
    INTERSTITIAL = "interstitial opacities"
    GRANULOMA = "calcified granuloma"
    THICKENING = "pleural thickening"
    FRACTURE = "rib fracture"
    DIAPHRAGM = "elevated hemidiaphragm"
    SCOLIOSIS = "scoliosis"
    HILUM = "hilar enlargement"
    HERNIA = "hiatal hernia"
    ET_TUBE = "endotracheal tube"
    NG_TUBE = "nasogastric tube"
    CENTRAL_LINE = "central venous catheter"
    PACEMAKER = "pacemaker"
    CHEST_TUBE = "chest tube"
    WIRES = "sternal wires"
    PORT = "port"


class View(StrEnum):
    """The way the rays went: between front and back, or from side to side."""

    FRONTAL = "frontal"
    LATERAL = "lateral"


class Side(StrEnum):
    """The patient's side; a frontal radiograph shows the patient's right on the viewer's left."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "bilateral"
    NONE = ""


class Zone(StrEnum):
    """A part of a lung."""

    UPPER = "upper"
    MIDDLE = "middle"
    LOWER = "lower"
    NONE = ""


class Severity(StrEnum):
    """How much of it there is to see."""

    SMALL = "small"
    MODERATE = "moderate"
    LARGE = "large"


class RadiographFinding(NamedTuple):
    """A finding in a radiograph."""

    kind: Kind
    side: Side = Side.NONE
    zone: Zone = Zone.NONE
    severity: Severity = Severity.MODERATE
