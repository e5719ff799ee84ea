"""The web process: `gunicorn portal.wsgi`."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
os.environ.setdefault("DUALWRITE_PROCESS", "web")

from django.core.signals import request_started
from django.core.wsgi import get_wsgi_application

from portal.warming import warm

application = get_wsgi_application()
warm()


def _sign(**_: Any) -> None:
    """Say from the first request on that this process lives.

    Not earlier: a server that loads the program before it forks would hand its
    children a database pool whose threads stayed behind, and they would wait for a
    connection for ever.
    """
    from portal.operations import pulse
    from portal.operations.models import Kind

    if request_started.disconnect(_sign):
        pulse.start(Kind.WEB)


request_started.connect(_sign)
