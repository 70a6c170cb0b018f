"""``neo4j.conf``: written again at every start, so that what is here is what runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
MIB: Final = 1024**2

# A Neo4j started from jars has no packaged configuration, and its defaults then let any query read any file
# (LOAD CSV 'file:///../../etc/passwd') and fetch any address from inside the machine's network.
SECURITY: Final[Mapping[str, str]] = {
    "dbms.security.auth_enabled": "true",
    "dbms.security.allow_csv_import_from_file_urls": "false",
    "internal.dbms.cypher_ip_blocklist": "0.0.0.0/0,::/0",  # LOAD CSV over http, https and ftp
    "server.directories.import": "import",
}

# The only names the server's Java can resolve. LOAD CSV asks for a name before the block list sees its address, and a
# name can carry data away ('http://' + secret + '.example').
HOSTS: Final = f"{HOST} localhost\n"

_FIXED: Final[Mapping[str, str]] = {
    **SECURITY,
    "server.config.strict_validation.enabled": "true",
    "server.default_listen_address": HOST,
    "server.default_advertised_address": HOST,
    "server.https.enabled": "false",
    "server.http_enabled_modules": "TRANSACTIONAL_ENDPOINTS,BROWSER",
    "dbms.usage_report.enabled": "false",
    "client.allow_telemetry": "false",
    "browser.remote_content_hostname_whitelist": "localhost",
    "internal.dbms.bolt.netty_server_shutdown_quiet_period": "0",  # else stopping waits 5 s for nothing
    "db.logs.query.enabled": "OFF",  # queries carry text from reports
    "db.transaction.timeout": "1h",  # for clients without a limit, such as Neo4j Browser
    "db.transaction.monitor.check.interval": "500ms",  # else a limit is kept 2 s late
    "db.tx_log.rotation.retention_policy": "1 hours 512M",  # no backups are taken from it; the default keeps 2 GB
    "db.tx_log.rotation.size": "64M",  # allocated ahead, for each of the two databases
}

# Neo4j's own policy without the outside addresses (analytics, fonts, guides); `connect-src` ends in the Bolt address.
_BROWSER_REACHES: Final = (
    "default-src 'self'; script-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "base-uri 'none'; object-src 'none'; frame-ancestors 'none'; connect-src 'self'"
)


@dataclass(frozen=True)
class Memory:
    """What the server may take, in MiB."""

    heap: int
    page_cache: int

    @property
    def transactions(self) -> int:
        """What all transactions together may take of the heap, in MiB; the rest is the server's own."""
        return self.heap * 7 // 10

    @property
    def transaction(self) -> int:
        """What one transaction may take, in MiB, so that one query does not stop the others."""
        return self.heap // 2

    @property
    def initial_heap(self) -> int:
        """Where the heap starts, in MiB: an idle server stays 250 MB smaller, and starts no slower."""
        return min(self.heap, 256)


@dataclass(frozen=True)
class Ports:
    """Where the server listens on loopback."""

    bolt: int = 7687
    http: int = 7474


def memory() -> Memory:
    """Sized to this machine, or to the container that limits us."""
    import psutil

    return plan_memory(min([psutil.virtual_memory().total, *_container_limits()]))


def plan_memory(total: int) -> Memory:
    """A quarter of `total` bytes: a sixth as heap, which transactions may use 70% of, a twelfth for the page cache.

    8 GB gives 1.3 + 0.7 GB, 24 GB gives 4 + 2 GB; never more than 8 + 8 GB, never less than Neo4j runs with.
    """
    return Memory(
        heap=min(max(total // 6 // MIB, 512), 8192),
        page_cache=min(max(total // 12 // MIB, 128), 8192),
    )


def render(ports: Ports, memory: Memory) -> str:
    """The text of ``neo4j.conf``."""
    settings = {
        **_FIXED,
        "server.bolt.listen_address": f"{HOST}:{ports.bolt}",
        "server.bolt.advertised_address": f"{HOST}:{ports.bolt}",
        "server.http.listen_address": f"{HOST}:{ports.http}",
        "server.http.advertised_address": f"{HOST}:{ports.http}",
        "dbms.security.http_access_control_allow_origin": f"http://{HOST}:{ports.http}",  # not any web page
        "server.memory.heap.initial_size": f"{memory.initial_heap}m",
        "server.memory.heap.max_size": f"{memory.heap}m",
        "server.memory.pagecache.size": f"{memory.page_cache}m",
        "dbms.memory.transaction.total.max": f"{memory.transactions}m",
        "db.memory.transaction.total.max": f"{memory.transactions}m",
        "db.memory.transaction.max": f"{memory.transaction}m",
    }
    browser_policy = f"{_BROWSER_REACHES} ws://{HOST}:{ports.bolt} ws://localhost:{ports.bolt}"
    settings["dbms.security.http_static_content_security_policy_header"] = browser_policy
    setting_lines = [f"{setting_name}={setting_value}" for setting_name, setting_value in sorted(settings.items())]
    return "\n".join(["# Written by `kgp db start`, which overwrites changes.", *setting_lines, ""])


def _container_limits() -> list[int]:
    """Memory limits that psutil does not know of (cgroups: docker, Slurm)."""
    memory_limits = []
    for limit_path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit_file = Path(limit_path)
        limit_text = limit_file.read_text(encoding="ascii").strip() if limit_file.is_file() else ""
        if limit_text.isdigit():
            memory_limits.append(int(limit_text))
    return memory_limits
