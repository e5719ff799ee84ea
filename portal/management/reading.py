"""Reads the files that commands are given."""

from __future__ import annotations

from pathlib import Path

from portal.refusals import Refusal


def read_text(path: str) -> str:
    """The content of a text file; refuses, by name, what cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise Refusal(
            f"{path} cannot be read: {error.strerror or error}.",
            code="file_unreadable",
        ) from error
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is not UTF-8 text.", code="file_unreadable") from error
