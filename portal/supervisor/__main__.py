"""`python -m portal.supervisor [--port N] [--end-with-parent] [--reload]`."""

from __future__ import annotations

import argparse
import ctypes
import signal
import sys

from portal.embedded import EmbeddedError, data_directory
from portal.supervisor.outside import port_of
from portal.supervisor.run import Supervisor, say

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have this process asked to stop when the one that started it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> int:
    """0 after an orderly stop, 1 with one sentence when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m portal.supervisor")
    parser.add_argument("--port", help="port of the web pages (default 8000)")
    parser.add_argument("--end-with-parent", action="store_true")
    parser.add_argument("--reload", action="store_true", help="read changed code anew")
    options = parser.parse_args()
    if options.end_with_parent:
        end_with_parent()
    try:
        port = port_of(options.port)
        return Supervisor(data_directory(), port, reload=options.reload).run()
    except EmbeddedError as error:
        say(error.message, error=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
