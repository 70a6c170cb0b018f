"""A real local Neo4j Community without docker: fetched once, checked, started detached, loopback only.

jars.py      Neo4j's jars, pinned by sha256        (pin.py writes the pins again)
java.py      a Java 17+ and how to run a main class with those jars
config.py    neo4j.conf: hardening, ports, memory
state.py     what is on disk: folders, password file, ports and pid, the lock
process.py   start, stop, status, reset
tool.py      neo4j-admin from the same jars
"""

from kgplatform.server.process import connection, password, reset, start, status, stop
from kgplatform.server.state import Server, store_exists
from kgplatform.server.tool import admin

__all__ = ["Server", "admin", "connection", "password", "reset", "start", "status", "stop", "store_exists"]
