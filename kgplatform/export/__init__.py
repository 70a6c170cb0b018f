"""The way out of Neo4j: the graph as numbers, for PyKEEN, PyG, CSV and Parquet."""
