"""Settings, read once from the environment.

- ``KGP_HOME``: where the platform keeps everything on disk (default: the user's data directory)
- ``KGP_DATA_DIR``: folder of data sets (``medmkg/``, ``openi/`` …); no default
- ``NEO4J_URI``: use this server instead of the local one; with ``NEO4J_USERNAME`` (default ``neo4j``),
  ``NEO4J_PASSWORD`` (required then) and ``NEO4J_DATABASE`` (default: the user's home database)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import platformdirs

from kgplatform.errors import SettingsError

SCHEMES: Final = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")


@dataclass(frozen=True)
class Settings:
    """What the environment says. The password is kept out of `repr`."""

    home: Path
    data_dir: Path | None = None
    uri: str | None = None
    username: str = "neo4j"
    password: str | None = field(default=None, repr=False)
    database: str | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the settings; raises `SettingsError` when ``NEO4J_URI`` comes without a password."""
        env = os.environ if env is None else env
        home_folder = env.get("KGP_HOME")
        data_dir = env.get("KGP_DATA_DIR")
        settings = cls(
            home=Path(home_folder).expanduser().absolute()
            if home_folder
            else platformdirs.user_data_path("kgplatform"),
            data_dir=Path(data_dir).expanduser().absolute() if data_dir else None,
            uri=env.get("NEO4J_URI") or None,
            username=env.get("NEO4J_USERNAME") or "neo4j",
            password=env.get("NEO4J_PASSWORD") or None,
            database=env.get("NEO4J_DATABASE") or None,
        )
        if settings.uri and not settings.password:
            raise SettingsError("NEO4J_URI is set but NEO4J_PASSWORD is not", "Set NEO4J_PASSWORD, or unset NEO4J_URI.")
        if settings.uri:
            _check_uri(settings.uri)
        return settings

    @property
    def server_home(self) -> Path:
        """Home of the local Neo4j: its store, configuration, log and password file."""
        return self.home / "neo4j"

    @property
    def cache(self) -> Path:
        """Downloads checked against known hashes."""
        return self.home / "cache"


def _check_uri(uri: str) -> None:
    """Raise `SettingsError`, which does not quote it, for what is no address of Neo4j, or has a password in it."""
    if "@" in uri:
        hint = "Put them into NEO4J_USERNAME and NEO4J_PASSWORD, and the host alone into NEO4J_URI."
        raise SettingsError("NEO4J_URI holds a user name or a password", hint)
    try:
        split_uri = urlsplit(uri)
        is_usable = (
            bool(split_uri.hostname) and split_uri.scheme in SCHEMES and (split_uri.port is None or split_uri.port > 0)
        )
    except ValueError:
        is_usable = False
    if not is_usable:
        raise SettingsError(
            "NEO4J_URI is not a usable Neo4j address", "Write it as neo4j://HOST:7687 or neo4j+s://HOST."
        )
