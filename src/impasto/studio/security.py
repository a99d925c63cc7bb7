"""Who may ask: token, Host and Origin of a request, the size of its body, the headers of answers.

Pages of other sites are kept out three times: they do not have the token (the cookie is
SameSite=Strict), their Origin is another, and a name of theirs that leads to this machine (DNS
rebinding) is another Host.
"""

import hmac
import html
import ipaddress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_BODY = 2**20
"""Bytes of a request with JSON."""
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_PUBLIC = "/api/alive"
"""Answers without a token, so that one can wait for the server."""
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self'; connect-src 'self'; "
    "frame-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self'"
)
DOCUMENT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline' "
    "'wasm-unsafe-eval' blob:; worker-src blob:; style-src 'unsafe-inline'; img-src data: blob:; "
    "media-src data: blob:; connect-src data: blob:; frame-ancestors 'self'"
)
"""Of whole documents in a frame, such as a run's report: their own scripts run, in an origin of their
own that can ask this server for nothing."""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>impasto studio</title>
<h1>impasto studio</h1>
<p>This page cannot be shown: {}.</p>
<p>Each start of the studio has a new address; the terminal where <code>impasto studio</code> runs
shows it. Trainings go on when the studio ends.</p>
</html>
"""


@dataclass(frozen=True)
class Gate:
    """What is let in.

    Args:
        token: of this server.
        port: that it listens on.
        host: the address that it listens on, if not only loopback.
        most_upload: bytes of an uploaded file.
        once: a token that opens one page, in place of the other one.
    """

    token: str
    port: int
    host: str | None = None
    most_upload: int = 4 * 2**30
    once: str | None = None

    @property
    def cookie(self) -> str:
        """The cookie's name; cookies are shared by all ports of a host."""
        return f"impasto-studio-{self.port}"

    def is_our_host(self, host: str) -> bool:
        """Whether the text of a Host header names this server."""
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        if port not in (self.port, None) or parts.username is not None or parts.path:
            return False
        if port is None and self.port != 80:
            return False
        if name in LOOPBACK or name == self.host:
            return True
        if self.host is None:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def is_the_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self.token.encode())


class Guard:
    """The outermost part of the application: lets requests in or answers them."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app = app
        self.gate = gate
        self._once = gate.once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        send = _with_headers(send)
        if (refusal := self._refusal(scope, headers)) is not None:
            await refusal(scope, receive, send)
            return
        limit = self.gate.most_upload if _is_upload(scope) else MOST_BODY
        if (said := headers.get("content-length")) is not None and (
            not said.isdecimal() or int(said) > limit
        ):
            await _no(413, TooLargeError(limit).detail)(scope, receive, send)
            return
        await self.app(scope, _bounded(receive, limit), send)

    def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        """The answer to a request that is not let in; None if it is."""
        gate, path = self.gate, scope["path"]
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not gate.is_our_host(host):
            return _no(421, "this address is not the studio's; open the one that it printed")
        if headers.get("sec-fetch-site", "same-origin") in ("cross-site", "same-site") and (
            path.startswith("/api") or scope["method"] not in _SAFE_METHODS
        ):
            return _no(403, "requests from other sites are refused")
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}" and path.startswith("/api"):
            return _no(403, "requests from other sites are refused")
        if path == _PUBLIC:
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if (given := dict(query).get("token")) is not None and scope["method"] == "GET":
            if not gate.is_the_token(given) and not self._opens_once(given):
                return _no(401, "this token is not the studio's; open the address that it printed")
            return self._with_cookie(path, [pair for pair in query if pair[0] != "token"])
        bearer = headers.get("authorization", "").removeprefix("Bearer ").strip()
        if bearer and gate.is_the_token(bearer):
            return None
        if not gate.is_the_token(cookie_parser(headers.get("cookie", "")).get(gate.cookie, "")):
            return _no(401, "open the studio by the address that it printed when it started")
        if origin is None and scope["method"] not in _SAFE_METHODS:
            return _no(403, "a request that changes something needs an Origin, or the token itself")
        return None

    def _opens_once(self, given: str) -> bool:
        """Whether it is the token that opens one page, which it then has done."""
        opens = self._once is not None and hmac.compare_digest(given.encode(), self._once.encode())
        if opens:
            self._once = None
        return opens

    def _with_cookie(self, path: str, query: list[tuple[str, str]]) -> ASGIApp:
        """To the same page without the token in its address, which the cookie then holds."""
        target = "/" + path.lstrip("/") + (f"?{urlencode(query)}" if query else "")
        answer = RedirectResponse(target, status_code=303)
        answer.set_cookie(
            self.gate.cookie, self.gate.token, httponly=True, samesite="strict", path="/"
        )
        return answer


def _is_upload(scope: Scope) -> bool:
    return scope["method"] == "PUT" and scope["path"].startswith("/api/uploads/")


def _no(status: int, why: str) -> ASGIApp:
    """A refusal: JSON, or a page for who opens an address in a browser."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        wanted = Headers(scope=scope).get("accept", "")
        if scope["method"] == "GET" and "text/html" in wanted:
            answer: Response = HTMLResponse(_PAGE.format(html.escape(why)), status)
        else:
            answer = JSONResponse({"error": why}, status)
        await answer(scope, receive, send)

    return refuse


class TooLargeError(HTTPException):
    """More came than a request may hold."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the request is too large; at most {limit:,} bytes are taken")


def _bounded(receive: Receive, limit: int) -> Receive:
    """The request's body, which may not be longer whatever its header says."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise TooLargeError(limit)
        return message

    return bounded


def _with_headers(send: Send) -> Send:
    """Answers with the headers that keep a page from being misused."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("content-security-policy", POLICY)
            headers["x-content-type-options"] = "nosniff"
            headers["referrer-policy"] = "no-referrer"
            headers["cross-origin-resource-policy"] = "same-origin"
            headers["cross-origin-opener-policy"] = "same-origin"
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending
