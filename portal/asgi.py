"""The same site for ASGI servers."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
os.environ.setdefault("DUALWRITE_PROCESS", "web")

from django.core.asgi import get_asgi_application

application = get_asgi_application()
