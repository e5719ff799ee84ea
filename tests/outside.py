"""What is outside of the portal: a mail server, and a receiver of webhooks."""

from __future__ import annotations

import email
import email.policy
import json
import subprocess
import sys
import tempfile
import threading
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from portal.embedded.launch import free_port

ROOT = Path(__file__).resolve().parent.parent


class MailServer:
    """A mail server process; `messages` is what it has taken."""

    def __init__(self, *sign_in: str) -> None:
        self._kept = tempfile.TemporaryDirectory(prefix="dualwrite-mail-")
        self.port = free_port()
        self._sign_in = sign_in
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        server = [sys.executable, "-W", "ignore", "-m", "tests.mail_server"]
        given = [str(self.port), self._kept.name, *self._sign_in]
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *server, *given],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    @property
    def messages(self) -> list[EmailMessage]:
        """Those it took, oldest first."""
        return [
            email.message_from_bytes(path.read_bytes(), policy=email.policy.default)  # type: ignore[misc]
            for path in sorted(Path(self._kept.name).glob("*.eml"))
        ]

    def forget(self) -> None:
        """As if nothing had come."""
        for path in Path(self._kept.name).glob("*.eml"):
            path.unlink()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()
            self._process = None

    def close(self) -> None:
        """End it for good."""
        self.stop()
        self._kept.cleanup()


def part(message: EmailMessage, kind: str) -> str:
    """The text or html of a mail."""
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content())


class Receiver:
    """An HTTP server that keeps what is posted and answers with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[tuple[dict[str, str], bytes]] = []
        kept = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kept.requests.append((dict(self.headers), body))
                self.send_response(kept.status)
                self.send_header("Location", kept.url)
                self.end_headers()
                self.wfile.write(b"taken")

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?room=1"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def document(self, place: int = -1) -> Any:
        """The JSON of one request."""
        return json.loads(self.requests[place][1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
