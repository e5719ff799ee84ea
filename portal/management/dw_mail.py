"""`dw mail`."""

from __future__ import annotations

import argparse
import sys

from portal.mailing import services
from portal.mailing.configuration import outgoing
from portal.mailing.models import Security
from portal.management.results import Add, Console, Result, table

OPTIONS = {
    "host": "--host",
    "username": "--user",
    "sender": "--sender",
    "portal_url": "--portal-url",
}


def register(add: Add) -> None:
    """Add the command about mail."""
    parser = add("mail", mail, "show, change or test how mail is sent")
    parser.add_argument(
        "what", nargs="?", choices=("show", "set", "test"), default="show"
    )
    parser.add_argument("recipient", nargs="?", help="where the test goes")
    for name, option in OPTIONS.items():
        parser.add_argument(option, dest=name)
    parser.add_argument("--port", type=int)
    parser.add_argument("--security", choices=Security.values)
    parser.add_argument("--digest-hour", dest="digest_hour", type=int, metavar="HOUR")
    parser.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input",
    )
    parser.set_defaults(usage=parser.error)


def mail(options: argparse.Namespace, console: Console) -> Result:
    """The way mail goes; after a change, or after a test."""
    if options.what == "test":
        if not options.recipient:
            options.usage("test needs an address")
        way = services.send_test(options.recipient)
        return Result(
            {"sent": options.recipient, "by": f"{way.host}:{way.port}"},
            f"{way.host} took the mail to {options.recipient}.",
        )
    if options.what == "set":
        values = {
            name: getattr(options, name)
            for name in services.FIELDS
            if getattr(options, name) is not None
        }
        if options.password_stdin:
            values["password"] = sys.stdin.readline().rstrip("\r\n")
        services.save_settings(values)
    way = outgoing()
    shown = {
        "host": way.host,
        "port": way.port,
        "security": way.security,
        "user": way.username,
        "password": "set" if way.password else "",
        "sender": way.sender,
        "portal_url": way.portal_url,
        "digest_hour": way.digest_hour,
        "from_environment": way.fixed,
    }
    return Result({"mail": shown}, table(list(shown.items()), ("setting", "value")))
