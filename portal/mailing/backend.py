"""Django's own mails (such as a password reset) go the way of the portal's."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import EmailMessage

from portal.mailing.sending import postbox
from portal.transporting import TransportError


class PortalBackend(BaseEmailBackend):
    """Sends by the server of the mail settings; the standard sender becomes theirs."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send all; gives their number. Raises TransportError unless told to be
        silent."""
        sent = 0
        try:
            with postbox() as box:
                for one in email_messages:
                    if one.from_email == settings.DEFAULT_FROM_EMAIL:
                        one.from_email = box.way.sender
                    box.send(one)
                    sent += 1
        except TransportError:
            if not self.fail_silently:
                raise
        return sent
