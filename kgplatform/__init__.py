"""kgplatform: a knowledge-graph platform for medical imaging on Neo4j."""

__version__ = "0.1.0"
