"""The health check of a map: what is wrong or notable about it, before it runs.

One small module for each topic; each registers its checks with `registry.check` and is
found by itself. Pure: what systems say reaches the checks as a `Subject`. Codes are
the documented ones (spec sync 12.1, 12.3), our own begin with `VMAP`;
docs/reference/map-findings.md lists them all.
"""

from __future__ import annotations

from syncengine.mapping.health.registry import checks, examine
from syncengine.mapping.health.subject import Member, Subject

__all__ = ["Member", "Subject", "checks", "examine"]
