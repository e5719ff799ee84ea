"""How a record is found by its key on either side, with or without the company."""

from __future__ import annotations

from zlib import crc32

SEPARATOR = " / "


def hashed(key: str, *, company: bool) -> int:
    """The hash of a key in any case, without its company where it has one."""
    return crc32(_folded(_without_company(key) if company else key))


def normal(text: str) -> str:
    """A searched key as keys are shown: ` / ` between its parts."""
    return SEPARATOR.join(part.strip() for part in text.strip().split("/"))


def spellings(text: str) -> list[str]:
    """What a search may mean: the text, and what is left without a company."""
    wanted = normal(text)
    return list(dict.fromkeys([wanted, _without_company(wanted)]))


def hashes(text: str) -> list[int]:
    """The hashes a searched key may be kept under."""
    return [crc32(_folded(one)) for one in spellings(text)]


def fits(text: str, key: str) -> bool:
    """True when a kept key is what was searched: the same, or the same without the
    company that one of them lacks."""
    wanted = _folded(normal(text))
    folded = _folded(key)
    return folded == wanted or folded.endswith(_folded(SEPARATOR) + wanted)


def _without_company(key: str) -> str:
    return key.partition(SEPARATOR)[2] or key


def _folded(key: str) -> bytes:
    return key.casefold().encode("utf-8", "surrogatepass")
