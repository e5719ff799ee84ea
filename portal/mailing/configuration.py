"""The way mail goes out: from the environment where it says so, else as stored."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings

from portal.mailing.models import MailSettings

STANDARD_URL = "http://localhost:8000"


@dataclass(frozen=True)
class Outgoing:
    """A mail server, the sender, and where links lead. `fixed` when the environment
    decides about the server, so that the page cannot change it."""

    host: str
    port: int
    security: str
    username: str
    password: str = field(repr=False)
    sender: str
    portal_url: str
    digest_hour: int
    fixed: bool = False
    fixed_url: bool = False

    @property
    def ready(self) -> bool:
        """True when a server and a sender are known."""
        return bool(self.host and self.sender)

    def link(self, path: str) -> str:
        """The whole address of a page of the portal."""
        return f"{self.portal_url.rstrip('/')}{path}"


def stored() -> MailSettings:
    """What is stored, or an unsaved row with the standard values."""
    return MailSettings.objects.filter(pk=1).first() or MailSettings()


def outgoing() -> Outgoing:
    """The way that counts now."""
    row = stored()
    given = settings.MAIL
    url = given["portal_url"] or row.portal_url or STANDARD_URL
    if given["host"]:
        return Outgoing(
            host=given["host"],
            port=given["port"],
            security=given["security"],
            username=given["username"],
            password=given["password"],
            sender=given["sender"] or row.sender,
            portal_url=url,
            digest_hour=row.digest_hour,
            fixed=True,
            fixed_url=bool(given["portal_url"]),
        )
    return Outgoing(
        host=row.host,
        port=row.port,
        security=row.security,
        username=row.username,
        password=row.password,
        sender=row.sender,
        portal_url=url,
        digest_hour=row.digest_hour,
        fixed_url=bool(given["portal_url"]),
    )
