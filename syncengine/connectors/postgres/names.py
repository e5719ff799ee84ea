"""Names of the objects we keep in a customer's database."""

from __future__ import annotations

from syncengine.mapping.model import Side

OWN_SCHEMA = "dualwrite"
"""Schema of our own tables `position` and `installed`."""

MARK_PREFIX = "dualwrite"

OWN_SEPARATOR = b"/"
"""In the mark of a live stream's writes: before the position they come from."""
"""Prefix of the transactional message that opens each transaction we write."""

SIGN_PREFIX = "dualwrite.sign"
"""Prefix of the message that shows that a stream moves."""


def slot_name(link: str, side: Side) -> str:
    """Name of the replication slot of one side of a connection set.

    Slots share one name space per server, and both environments of a connection set
    may live on one server: the side belongs to the name.
    """
    return f"dualwrite_{link}_{side.value}"


def publication_name(link: str, side: Side) -> str:
    """Name of the publication; the same as the slot's."""
    return slot_name(link, side)


def row_name(link: str, side: Side) -> str:
    """What rows of our own tables are filed under: both sides of a connection set
    may live in one database."""
    return f"{link}:{side.value}"
