"""PostgreSQL: the platform's own cluster, and a server for the programs of each submission."""

from sandbox.postgres.cluster import Cluster
from sandbox.postgres.database_server import DatabaseServer
from sandbox.postgres.lending import Database, lend_database

__all__ = ["Cluster", "Database", "DatabaseServer", "lend_database"]
