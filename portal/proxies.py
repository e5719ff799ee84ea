"""Whose address a request has, when it came through proxies of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse

Network = IPv4Network | IPv6Network

FORWARDED = (
    *("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_FORWARDED"),
    *("HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP", "HTTP_CLIENT_IP", "HTTP_TRUE_CLIENT_IP"),
)


class ProxyMiddleware:
    """First of all: locks, sessions and the log go by REMOTE_ADDR alone. From one of
    TRUSTED_PROXIES it becomes the last address of X-Forwarded-For that is none of
    them. What anybody else says of addresses is thrown away."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        meta = request.META
        given = {name: meta.pop(name, "") for name in FORWARDED}
        trusted: Sequence[Network] = settings.TRUSTED_PROXIES
        if _within(meta.get("REMOTE_ADDR", ""), trusted):
            claimed = given["HTTP_X_FORWARDED_FOR"].split(",")
            meta["REMOTE_ADDR"] = client(meta["REMOTE_ADDR"], claimed, trusted)
            scheme = given["HTTP_X_FORWARDED_PROTO"].strip().lower()
            if scheme in ("http", "https"):
                meta["wsgi.url_scheme"] = scheme
        return self.get_response(request)


def client(peer: str, claimed: Sequence[str], trusted: Sequence[Network]) -> str:
    """The nearest address that is not one of ours, read from the end: what stands
    before it, anybody can have written."""
    found = peer
    for text in reversed([one.strip() for one in claimed]):
        if not _within(found, trusted) or not _is_address(text):
            break
        found = text
    return found


def address_of(request: HttpRequest) -> str | None:
    """The address a sign-in is counted and locked by."""
    return request.META.get("REMOTE_ADDR") or None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _within(text: str, networks: Sequence[Network]) -> bool:
    return _is_address(text) and any(ip_address(text) in one for one in networks)
