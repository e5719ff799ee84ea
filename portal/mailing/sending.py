"""Handing messages to the mail server, and telling its refusals apart."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parseaddr

from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import EmailMessage

from portal.mailing.configuration import Outgoing, outgoing
from portal.mailing.models import Security
from portal.transporting import TransportError

TIMEOUT_SECONDS = 15


class Postbox:
    """An open session with the mail server."""

    def __init__(self, way: Outgoing, backend: EmailBackend) -> None:
        self.way = way
        self._backend = backend

    def send(self, message: EmailMessage) -> None:
        """Send one message; TransportError says why it was not taken."""
        try:
            self._backend.send_messages([message])
        except (smtplib.SMTPException, OSError, UnicodeError, ValueError) as error:
            raise _refusal(error, self.way) from error


@contextmanager
def postbox(way: Outgoing | None = None) -> Iterator[Postbox]:
    """A session with the mail server, opened now. Raises TransportError where there
    is none, or where it does not answer or does not let us in."""
    way = way or outgoing()
    if not way.ready:
        raise TransportError(
            "no_mail_server",
            "No mail server is set up: name one, and a sender, under Alerts, Mail.",
            everything=True,
        )
    backend = EmailBackend(
        host=way.host,
        port=way.port,
        username=way.username,
        password=way.password,
        use_tls=way.security == Security.STARTTLS,
        use_ssl=way.security == Security.TLS,
        timeout=TIMEOUT_SECONDS,
        fail_silently=False,
    )
    try:
        try:
            backend.open()
        except (smtplib.SMTPException, OSError, UnicodeError, ValueError) as error:
            raise _refusal(error, way) from error
        yield Postbox(way, backend)
    finally:
        with suppress(smtplib.SMTPException, OSError):
            backend.close()


def message(
    way: Outgoing,
    recipient: str,
    subject: str,
    text: str,
    html: str,
    *,
    identity: str = "",
    answers: str = "",
) -> EmailMultiAlternatives:
    """A mail with both parts. `identity` makes its Message-ID the same at each
    attempt; `answers` is the identity of the one it belongs to."""
    host = parseaddr(way.sender)[1].rpartition("@")[2] or "localhost"
    headers = {
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }
    if identity:
        headers["Message-ID"] = f"<{identity}@{host}>"
    if answers:
        headers["In-Reply-To"] = headers["References"] = f"<{answers}@{host}>"
    made = EmailMultiAlternatives(
        " ".join(subject.split())[:180], text, way.sender, [recipient], headers=headers
    )
    made.attach_alternative(html, "text/html")
    return made


def _refusal(error: Exception, way: Outgoing) -> TransportError:
    place = f"{way.host}:{way.port}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, words = next(iter(error.recipients.values()), (550, b""))
        return TransportError(
            "recipient_refused",
            f"{place} refuses the recipient: {code} {_words(words)}",
            permanent=code >= 500,
        )
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return TransportError(
            "sign_in_refused",
            f"{place} does not accept the user name and password: "
            f"{error.smtp_code} {_words(error.smtp_error)}",
            everything=True,
        )
    if isinstance(error, smtplib.SMTPSenderRefused):
        return TransportError(
            "sender_refused",
            f"{place} refuses the sender {error.sender}: "
            f"{error.smtp_code} {_words(error.smtp_error)}",
            everything=True,
        )
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return TransportError(
            "not_supported",
            f"{place} does not offer what is asked for ({error}): look at the "
            "security and the user name of the mail settings.",
            everything=True,
        )
    if isinstance(error, smtplib.SMTPDataError):
        return TransportError(
            "message_refused",
            f"{place} refuses the message: {error.smtp_code} "
            f"{_words(error.smtp_error)}",
            permanent=error.smtp_code >= 500,
        )
    if isinstance(error, UnicodeError | ValueError):
        return TransportError(
            "bad_message", f"The message cannot be written: {error}", permanent=True
        )
    return TransportError(
        "unreachable",
        f"{place} does not answer as a mail server should: {_plain(error)}. Look at "
        "its name, port and security, and whether a firewall is between.",
        everything=True,
    )


def _words(text: bytes | str) -> str:
    found = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return " ".join(found.split())[:300]


def _plain(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300].rstrip(".")
