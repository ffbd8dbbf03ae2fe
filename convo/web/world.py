"""How the world saw a request before proxies passed it on: address, path and caller. Pure functions."""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.requests import Request

from convo.web.settings import WebSettings


def path_of(request: Request) -> str:
    """Return the path below the app, as it was written in the request (percent-encoded, latin-1)."""
    path = _whole_path(request)
    root = quote(request.scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(root + "/") else path


def seen_url(request: Request, settings: WebSettings) -> str:
    """Return the address that the provider called, query and all.

    It is ``public_url`` and the path where that is set; else what the request says, or, where it comes
    from one of our proxies, what that proxy says it was.
    """
    query = request.scope.get("query_string", b"").decode("latin-1")
    behind = f"?{query}" if query else ""
    if settings.public_url:
        return settings.public_url.rstrip("/") + path_of(request) + behind
    scheme, host = request.scope.get("scheme", "http"), request.headers.get("host", "")
    if settings.trusts(_peer(request)):
        scheme = _first(request, "x-forwarded-proto", r"https?") or scheme
        host = _first(request, "x-forwarded-host", r"[A-Za-z0-9.:\[\]_-]+") or host
    return f"{scheme}://{host}{_whole_path(request)}{behind}"


def client_of(request: Request, settings: WebSettings) -> str:
    """Return the address that called: the last in X-Forwarded-For that is no proxy of ours."""
    client = _peer(request)
    if settings.trusts(client):
        hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        for hop in reversed([hop.strip() for hop in hops if hop.strip()]):
            client = hop
            if not settings.trusts(hop):
                break
    return client[:64]


def _peer(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _whole_path(request: Request) -> str:
    raw = request.scope.get("raw_path")
    return raw.decode("latin-1") if raw else quote(request.scope["path"])


def _first(request: Request, header: str, shape: str) -> str:
    """Return the first entry of a header where it has the right shape, else nothing."""
    entry = request.headers.get(header, "").partition(",")[0].strip()
    return entry if re.fullmatch(shape, entry) else ""
