"""The web server of the live view: the page's own files, and one WebSocket per page. It runs in a thread of its own."""

import asyncio
import threading
from pathlib import Path
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from station.view.access import Address, Guard
from station.view.hub import Hub
from station.view.listener import listen
from station.view.page_messages import MOST_TEXT_BYTES
from station.view.page_session import PageSession

PAGE = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
MOST_PAGES = 8
MOST_CONNECTIONS = 64
TRY_LATER = 1013
"""WebSocket close code."""


class ViewServer:
    """Serves the pages from entering to leaving."""

    def __init__(self, hub: Hub, host: str, port: int, token: str | None = None) -> None:
        """Bind, so that the port is known. ``port`` 0: any that is free. ``token``: None: a new one.

        Raises InputError.
        """
        self._hub = hub
        self.pages = 0
        """Pages that look on."""
        self._fault: BaseException | None = None
        self._listener = listen(host, port, "view")
        self.address = Address.create(host, self._listener.getsockname()[1], token)
        self.guard = Guard(self._application(), self.address)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self.guard,
                loop="asyncio",
                http="h11",
                ws="websockets-sansio",
                ws_max_size=MOST_TEXT_BYTES,
                ws_max_queue=16,
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,  # a log of requests would hold the token
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                h11_max_incomplete_event_size=16384,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="live view")

    def check(self) -> None:
        """Raise what ended the server, if anything has."""
        if self._fault is not None:
            raise self._fault

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        try:
            asyncio.run(self._serve_in_loop())
        except BaseException as error:  # raised again by check(), in the thread that beats
            self._fault = error

    async def _serve_in_loop(self) -> None:
        self._hub.serve_in(asyncio.get_running_loop())
        await self._server.serve(sockets=[self._listener])

    def _application(self) -> Starlette:
        files = {path.name: path.read_bytes() for path in sorted(PAGE.iterdir()) if path.suffix in TYPES}

        def page_file(name: str) -> Response:
            if name not in files:
                return Response("There is no such file.\n", 404, media_type="text/plain")
            return Response(files[name], media_type=TYPES[Path(name).suffix])

        async def serve_file(request: Request) -> Response:
            return page_file(request.path_params.get("name", "index.html"))

        async def serve_page(websocket: WebSocket) -> None:
            if self.pages >= MOST_PAGES:
                await websocket.accept()
                await websocket.close(TRY_LATER, f"{MOST_PAGES} pages look on already; close one")
                return
            self.pages += 1
            try:
                await PageSession(websocket, self._hub).run()
            finally:
                self.pages -= 1

        return Starlette(
            routes=[
                Route("/", serve_file),
                Route("/{name}", serve_file),
                WebSocketRoute("/live", serve_page),
            ]
        )
