"""Who may ask what: a good link, the right Host and Origin, a method and a size that are meant; the rest is refused.

A refusal says why in one sentence, tells nothing else, and is counted by kind and peer. The word of the link is the
first part of the path; it is written down nowhere. What is let through knows whose link it is
(``scope["person"]``); what each person may see is decided by the server's routes.
"""

import asyncio
import ipaddress
import queue
import re
import sqlite3
from collections import Counter
from typing import Final

from station.view.access import App, Message, Receive, Scope, Send
from trainer.rating.links import admit_browser, is_admitted, who
from trainer.rating.page_messages import MOST_BODY_BYTES
from trainer.rating.store import Store, now_ms
from trainer.rating.study import ServerSettings
from trainer.rating.writer import Writer

BROWSER: Final = re.compile(r"[0-9a-f]{32}")
BROWSER_HEADER: Final = b"x-browser"
BODY_S: Final = 20.0
MS_PER_MINUTE: Final = 60_000
MOST_KINDS: Final = 5000
"""Peers and kinds counted before the counts are written down."""
WHY: Final = {
    "unknown": "This link is not known. Open the link exactly as you were given it.",
    "expired": "This link has ended. Ask the person who invited you for a new one.",
    "revoked": "This link was taken back. Ask the person who invited you for a new one.",
}


class Gate:
    """ASGI middleware: lets through what comes by a good link, and counts what does not."""

    def __init__(
        self, app: App, store: Store, writer: Writer, settings: ServerSettings, port: int, browsers: int,
        headers: list[tuple[bytes, bytes]],
    ) -> None:  # fmt: skip
        self._app = app
        self._store = store
        self._writer = writer
        self._browsers = browsers
        self._headers = headers
        names = {"127.0.0.1", "localhost", settings.host.lower()}
        self._hosts = {f"{name}:{port}" for name in names}
        self._origins = {f"http://{host}" for host in self._hosts}
        self._behind_proxy = bool(settings.url)
        if settings.url:
            self._hosts.add(settings.url.partition("://")[2].partition("/")[0].lower())
            self._origins.add(settings.url.partition("://")[0].lower() + "://" + settings.url.split("/")[2].lower())
        self.refusals: Counter[tuple[int, str, str]] = Counter()
        """By minute, kind and peer, since they were last written down."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, without the word in its path, or refuse it."""
        if scope["type"] == "websocket":
            self._count("websocket", scope)
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "there is none here"})
            return
        if scope["type"] != "http":
            return
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        refusal = await self._refusal(scope, headers)
        if refusal is None:
            body, refusal = await self._body(scope, headers, receive)
        if refusal is not None:
            await self.refuse(scope, send, *refusal)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
            await send(message)

        given = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive_body() -> Message:
            return next(given, {"type": "http.disconnect"})

        path = "/" + scope["path"].split("/", 2)[2]
        scope = {**scope, "path": path, "raw_path": path.encode("utf-8", "replace"), "root_path": ""}
        await self._app(scope, receive_body, send_with_headers)

    async def refuse(self, scope: Scope, send: Send, status: int, kind: str, words: str) -> None:
        """Answer a request that is turned away, and count it."""
        self._count(kind, scope)
        headers = [(b"content-type", b"text/plain; charset=utf-8"), *self._headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": f"{words}\n".encode()})

    async def _refusal(self, scope: Scope, headers: list[tuple[bytes, bytes]]) -> tuple[int, str, str] | None:
        """Return status, kind and words; None where the request is fine. Puts the person into the scope."""
        hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return 421, "foreign host", "This is not the host in the link."
        parts = scope["path"].split("/", 2)
        worth, person = who(self._store, parts[1], now_ms()) if len(parts) == 3 else ("unknown", None)
        if person is None:
            return 403, f"{worth} link", WHY[worth]
        origins = [value.decode("latin-1").lower() for name, value in headers if name == b"origin"]
        if any(origin not in self._origins for origin in origins):
            return 403, "foreign origin", "This came from another page."
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, "method", "Only GET and POST are taken here."
        if scope["method"] == "POST" and not origins:
            return 403, "no origin", "This came from no page of this server."
        if person.role == "rater" and parts[2].startswith("api/"):
            browser = next((value.decode("latin-1") for name, value in headers if name == BROWSER_HEADER), "")
            if not BROWSER.fullmatch(browser):
                return 400, "no browser", "Open the link in a browser."
            refusal = None if is_admitted(self._store, parts[1], browser) else await self._admit(parts[1], browser)
            if refusal is not None:
                return refusal
            scope["browser"] = browser
        scope["person"] = person
        return None

    async def _admit(self, word: str, browser: str) -> tuple[int, str, str] | None:
        """Let one more browser use a link, or say why not."""
        try:
            may = await self._writer.write(lambda store: admit_browser(store, word, browser, self._browsers, now_ms()))
        except (queue.Full, sqlite3.OperationalError):
            return 503, "busy", "This browser cannot be written down at this moment; try again."
        if may:
            return None
        return 403, "shared link", (
            f"This link has been opened in {self._browsers} browsers already. It is yours alone; ask the person who "
            "invited you for a new one."
        )  # fmt: skip

    async def _body(
        self, scope: Scope, headers: list[tuple[bytes, bytes]], receive: Receive
    ) -> tuple[bytes, tuple[int, str, str] | None]:
        """Return the body, or why it is refused: too large, too slow, or not JSON where it must be."""
        too_large = 413, "oversized", f"More than {MOST_BODY_BYTES >> 10} KiB are not taken."
        kinds = [value.split(b";")[0].strip().lower() for name, value in headers if name == b"content-type"]
        if scope["method"] == "POST" and kinds != [b"application/json"]:
            return b"", (415, "content type", "Only JSON is taken here.")
        length = next((value for name, value in headers if name == b"content-length"), b"0")
        if not length.isdigit() or len(length) > 9 or int(length) > MOST_BODY_BYTES:
            return b"", too_large
        body = b""
        try:
            async with asyncio.timeout(BODY_S):
                while True:
                    message = await receive()
                    body += message.get("body", b"")
                    if len(body) > MOST_BODY_BYTES:
                        return b"", too_large
                    if message["type"] == "http.disconnect" or not message.get("more_body"):
                        return body, None
        except TimeoutError:
            return b"", (408, "slow", "The request did not come to its end.")

    def _count(self, kind: str, scope: Scope) -> None:
        peer = scope["client"][0] if scope.get("client") else ""
        if self._behind_proxy:
            said = [value for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
            peer = _address(said[-1].decode("latin-1").rpartition(",")[2].strip()) or peer if said else peer
        key = (now_ms() // MS_PER_MINUTE, kind, peer)
        if key in self.refusals or len(self.refusals) < MOST_KINDS:
            self.refusals[key] += 1


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
