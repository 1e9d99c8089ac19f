"""Who may look: a secret in the link, the right Host, the right Origin, and nothing but reading by GET.

The link is ``http://HOST:PORT/TOKEN/``; a request without the run's token in its path gets 403 and learns nothing. The
Host must be the one in the link, so that a foreign name that resolves to this machine (DNS rebinding) is refused; a
WebSocket must come from a page of this very server. It knows paths and headers, no content.
"""

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost")
TOKEN_BYTES = 32
POLICY_CLOSE = 1008
"""WebSocket close code: refused by policy."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the view is served, and the secret that opens it."""

    host: str
    port: int
    token: str

    @classmethod
    def create(cls, host: str, port: int, token: str | None = None) -> "Address":
        """Return an address with a new secret, or with ``token``, that of a view that was started again."""
        return cls(host, port, token or secrets.token_urlsafe(TOKEN_BYTES))

    @property
    def link(self) -> str:
        """What the user opens."""
        return f"http://{self.host}:{self.port}/{self.token}/"

    @property
    def announcement(self) -> str:
        """The link as the user is told of it; one for other machines says so."""
        return self.link if self.local else f"{self.link} (open to other machines, not encrypted)"

    @property
    def local(self) -> bool:
        """True where only this machine can reach it."""
        return self.host in LOOPBACK

    @property
    def hosts(self) -> frozenset[str]:
        """The Host headers that are accepted."""
        names = LOOPBACK if self.local else (self.host.lower(),)
        return frozenset(f"{name}:{self.port}" for name in names)


def security_headers(address: Address) -> list[tuple[bytes, bytes]]:
    """Return what every answer says: nothing from another host, in no frame, never stored."""
    sockets = " ".join(sorted(f"ws://{host}" for host in address.hosts))
    policy = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self' {sockets}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    return [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
        (b"cache-control", b"no-store"),
    ]


class Guard:
    """ASGI middleware: lets only those requests through that hold the token and come from where they should."""

    def __init__(self, app: App, address: Address) -> None:
        self._app = app
        self._address = address
        self._headers = security_headers(address)
        self._origins = frozenset(f"http://{host}" for host in address.hosts)
        self.refused = 0
        """Requests that were turned away."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, without the token in its path, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            self.refused += 1
            await self._refuse(scope, receive, send, *refusal)
            return
        path = "/" + scope["path"].split("/", 2)[2]
        inner = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
            await send(message)

        await self._app(inner, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and words of the refusal; None where the request is fine."""
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value.lower() for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._address.hosts:
            return 421, "this is not the host in the link"
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            return 405, "only GET"
        origins = [value.lower() for name, value in headers if name == b"origin"]
        if origins and not (len(origins) == 1 and origins[0] in self._origins):
            return 403, "foreign origin"
        if scope["type"] == "websocket" and not origins:
            return 403, "no origin: scripts use the command socket and the links (docs/wire.md)"
        parts = scope["path"].split("/", 2)
        given = parts[1] if len(parts) == 3 else ""
        if not secrets.compare_digest(given.encode("utf-8", "replace"), self._address.token.encode()):
            return 403, "open the link that the station printed; each run has a new one"
        return None

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int, words: str) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": POLICY_CLOSE, "reason": words})
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), *self._headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": f"Refused: {words}.\n".encode()})
