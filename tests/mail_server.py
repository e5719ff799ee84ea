"""A real mail server as a process of its own: keeps what it takes as files.

`python -m tests.mail_server PORT DIRECTORY [USER PASSWORD]`. Recipients that begin with
`refused` it refuses for good, those with `later` for the moment.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


class Keeper:
    """Writes each message into the directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number = 0

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address.startswith("refused"):
            return "550 5.1.1 no such mailbox here"
        if address.startswith("later"):
            return "451 4.3.0 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self._number += 1
        draft = self._directory / f"{self._number:04}.tmp"
        draft.write_bytes(envelope.content)
        draft.rename(draft.with_suffix(".eml"))
        return "250 kept"


def main(port: str, directory: str, *sign_in: str) -> None:
    """Serve until asked to end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def check(*arguments: Any) -> AuthResult:
        given = arguments[-1]
        right = isinstance(given, LoginPassword) and (
            given.login.decode(),
            given.password.decode(),
        ) == (sign_in)
        return AuthResult(success=right, handled=False)

    asks = {
        "authenticator": check,
        "auth_require_tls": False,
        "auth_required": True,
    }
    controller = Controller(
        Keeper(Path(directory)),
        hostname="127.0.0.1",
        port=int(port),
        **(asks if sign_in else {}),
    )
    controller.start()
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM})
    controller.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
