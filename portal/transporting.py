"""What goes wrong when something is sent outside: mail, webhooks."""

from __future__ import annotations


class TransportError(Exception):
    """It was not delivered. `message` is a sentence for an administrator, `code` is
    stable. `permanent`: trying again cannot help. `everything`: not this message but
    the way itself is at fault, so others will fare no better now."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        permanent: bool = False,
        everything: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.permanent = permanent
        self.everything = everything
