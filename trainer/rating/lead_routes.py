"""What the lead's link opens: the report, kept for a few seconds because it is computed, and any clip by its id."""

import asyncio
import time
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from station.errors import InputError
from trainer.rating.clip_pictures import ClipPictures
from trainer.rating.study import Study

KEPT_S: Final = 5.0


def lead_routes(study: Study, pictures: ClipPictures, path: Path) -> list[Route]:
    """Return the routes; each is there for the lead alone."""
    lock = asyncio.Lock()
    kept: dict[str, tuple[float, str]] = {}

    def report() -> str:
        # The statistics take seconds to import, and a server that was started again has raters waiting.
        from trainer.rating.lead_report import lead_report

        return lead_report(path, study).model_dump_json()

    async def serve_report(request: Request) -> Response:
        if request.scope["person"].role != "lead":
            return _nothing()
        async with lock:
            made_s, text = kept.get("report", (-KEPT_S, ""))
            if time.monotonic() - made_s > KEPT_S:
                text = await asyncio.to_thread(report)
                kept["report"] = time.monotonic(), text
        return Response(text, media_type="application/json")

    async def serve_clip(request: Request) -> Response:
        if request.scope["person"].role != "lead" or (clip := request.query_params.get("id", "")) not in pictures:
            return _nothing()
        try:
            png = await asyncio.to_thread(pictures.png, clip)
        except InputError as error:
            return Response(f"{error}\n", 404, media_type="text/plain")
        headers = {"x-clip-fps": f"{pictures.fps(clip):.6g}", "x-clip-frames": str(pictures.frames)}
        return Response(png, media_type="image/png", headers=headers)

    return [
        Route("/api/report", serve_report, methods=["GET"]),
        Route("/api/lead-clip", serve_clip, methods=["GET"]),
    ]


def _nothing() -> Response:
    return Response("There is nothing here.\n", 404, media_type="text/plain")
