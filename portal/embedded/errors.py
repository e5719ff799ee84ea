"""What the embedded servers report when they cannot do their work."""

from __future__ import annotations


class EmbeddedError(Exception):
    """A server could not be started or reached.

    `code` is stable (for tests and scripts); `message` is one sentence for the
    administrator that says what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
