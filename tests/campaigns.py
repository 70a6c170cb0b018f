"""How many inputs or repetitions a campaign has: few in `make test`, all of them in `make test-long`."""

from __future__ import annotations

import os
from typing import Final

FULL: Final = os.environ.get("KGP_CAMPAIGNS") == "full"


def rounds(short: int, full: int) -> int:
    """The number of inputs: `short` in `make test`, `full` in `make test-long`, which sets ``KGP_CAMPAIGNS=full``."""
    return full if FULL else short
