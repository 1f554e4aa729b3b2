"""What every request must pass, by the rules of who may ask; and what browsers are told with every answer.

The attacks that this is against stand in a table in `tests/web/test_guard.py`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snellen.web.rules import Rules, same

# What the page sends with verdicts: another site's page cannot, unless it is asked and allowed first.
WRITES = ("x-snellen", "review")
# A batch of verdicts; the longest reason alone has 10,000 characters.
MOST_BYTES = 4 * 2**20

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
HTML = (("content-type", "text/html; charset=utf-8"),)
# Who comes by a link in another site's page has the cookie left at home: the browser sends a strict one only when the
# page itself asks, which it does once, and keeps what stands behind the #.
UNKNOWN = (
    b'<!doctype html><html lang="en"><title>Snellen</title><script src="again.js"></script><p>The token is wrong or '
    b"missing. Open the address that <code>snellen view</code> printed.</p></html>"
)
AGAIN = b"if (location.search !== '?again') location.replace(`./?again${location.hash}`);\n"


class Guard:
    """ASGI middleware: refuses in one line what the rules do not let through, and adds headers to every answer."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-cache" if message["status"] < 400 else "no-store")
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal.send(sent)
            return
        if scope["method"] in ("GET", "HEAD"):
            if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
                await Refusal(413, "a body where none belongs").send(sent)
                return
            await self.app(scope, receive, sent)
            return
        body = await _read(headers, receive)
        if body is None:
            await Refusal(413, f"more than {MOST_BYTES} bytes; send fewer verdicts at a time").send(sent)
            return
        await self.app(scope, _replayed(body, receive), sent)

    def _refusal(self, scope: Scope, headers: Headers) -> "Refusal | None":
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.rules.knows(hosts[0]):
            return Refusal(421, "this server is not known by that name; use an address that `snellen view` printed")
        reads = scope["method"] in ("GET", "HEAD")
        site = headers.get("sec-fetch-site", "same-origin")
        opened = reads and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if site != "same-origin" and not opened and not (site == "none" and reads):
            return Refusal(403, "a request of another site's page")
        origin = headers.get("origin")
        if origin is not None and origin_host(origin) != hosts[0].lower():
            return Refusal(403, "a request of another site's page")
        if not reads and headers.get(WRITES[0]) != WRITES[1]:
            return Refusal(403, f"a write without the header {WRITES[0]}: {WRITES[1]}")
        if self.rules.token is None:
            return None
        return self._unknown(scope, headers)

    def _unknown(self, scope: Scope, headers: Headers) -> "Refusal | None":
        """What one is told who does not show the cookie; the token in an address is exchanged for it."""
        assert self.rules.token is not None
        name, value = self.rules.cookie
        at_page = scope["method"] == "GET" and scope["path"] in ("/", "/index.html")
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [text for key, text in query if key == "token"]
        if at_page and given and same(given[0], self.rules.token):
            # To the page without the token, which so stands in no history. Relative: no host is named.
            cookie = f"{name}={value}; HttpOnly; SameSite=Strict; Path=/"
            return Refusal(303, "", (("location", "./"), ("set-cookie", cookie)))
        if same(_cookie(headers, name), value):
            return None
        if at_page:
            return Refusal(401, "", HTML, UNKNOWN)
        if scope["path"] == "/again.js":
            return Refusal(200, "", (("content-type", "text/javascript"),), AGAIN)
        return Refusal(401, "the token is wrong or missing; open the address that `snellen view` printed")


@dataclass(frozen=True)
class Refusal:
    """An answer in place of the application's."""

    status: int
    why: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    async def send(self, send: Send) -> None:
        """Send it."""
        body = self.body or (json.dumps({"error": self.why}).encode() if self.why else b"")
        pairs = {"content-type": "application/json", "content-length": str(len(body))} | dict(self.headers)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in pairs.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})


def origin_host(origin: str) -> str:
    """Host and port of an Origin header, as a Host header names them; "" for `null` and anything that is none."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in ("http", "https") and not parts.path else ""


def _cookie(headers: Headers, wanted: str) -> str:
    """A cookie's value; "" where there is none."""
    pairs = (part.strip().partition("=") for line in headers.getlist("cookie") for part in line.split(";"))
    return next((value for name, _, value in pairs if name == wanted), "")


async def _read(headers: Headers, receive: Receive) -> bytes | None:
    """A request's body; None where it is longer than allowed, of which no more is read."""
    stated = headers.get("content-length", "0")
    if not stated.isdecimal() or len(stated) > 12 or int(stated) > MOST_BYTES:
        return None
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return b""  # the browser has gone; an empty body is refused further on
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > MOST_BYTES:
            return None
    return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    parts: Iterable[Message] = ({"type": "http.request", "body": body, "more_body": False},)
    left = iter(parts)

    async def replay() -> Message:
        return next(left, None) or await receive()

    return replay
