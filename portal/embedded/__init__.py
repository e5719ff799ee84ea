"""PostgreSQL and Valkey from wheels, for when no server of one's own is given."""

from __future__ import annotations

from portal.embedded.errors import EmbeddedError
from portal.embedded.servers import data_directory, ensure_running, given

__all__ = ["EmbeddedError", "data_directory", "ensure_running", "given"]
