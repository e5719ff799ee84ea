"""Row filters: two dialects in, one tree, three backends out with one meaning."""

from __future__ import annotations

from syncengine.mapping.filters.expression import Expression, columns

__all__ = ["Expression", "columns"]
