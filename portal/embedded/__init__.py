"""PostgreSQL and Valkey from wheels, for when no server of one's own is given."""

from __future__ import annotations

from portal.embedded.errors import EmbeddedError

__all__ = ["EmbeddedError"]
