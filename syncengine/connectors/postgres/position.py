"""Positions in the write-ahead log as text that sorts like the log itself."""

from __future__ import annotations


def format_position(number: int) -> str:
    """The log position as `XXXXXXXX/XXXXXXXX`: both halves padded, upper hex."""
    return f"{number >> 32:08X}/{number & 0xFFFFFFFF:08X}"


def parse_position(text: str) -> int:
    """The number of a position, padded or as the server writes it (`0/16B3748`). Of
    one within a transaction: where the transaction's commit begins."""
    high, _, low = text.partition("#")[0].partition("/")
    return (int(high, 16) << 32) | int(low, 16)
