"""The tests: unit tests mirror the source folders, integration tests need a Neo4j, e2e tests type commands."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]  # of the repository
