"""The review page's server: the only door to Starlette."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.errors import ReviewError, UbereportError, UsageError
from ubereport.core.validation import read_json_value
from ubereport.documents.page.html import render_app
from ubereport.files.atomic import write_file
from ubereport.files.resources import templates_dir
from ubereport.language.speaking import speaking, spoken, told
from ubereport.language.translator import Translator
from ubereport.review.desk.case_desk import CaseDesk, Saying
from ubereport.review.desk.case_pictures import CasePictures
from ubereport.review.desk.gate import Gate
from ubereport.review.desk.page_state import case_facts, review_state
from ubereport.review.desk.shelf import Shelf
from ubereport.review.strokes import Action, MendedMask
from ubereport.video.moments import SupersededError

_WIDTHS_PX = (160, 1920)
_MASK_SIDE_PX = 2048
_NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,12})?([eE][-+]?\d{1,3})?")


class _BadRequestError(Exception):
    """A request that no page of ours sends; the text says what is allowed."""


def review_app(shelf: Shelf, gate: Gate, on_rendered: Callable[[Path], None]) -> Starlette:
    """Return the application that shows `shelf`, in the language spoken here, through `gate`.

    `on_rendered` renders a case folder's report again, in a thread of the server's.
    """
    pages = _Pages(shelf, on_rendered)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        shelf.close()

    return Starlette(
        routes=[
            Route("/", pages.page),
            Route("/report", pages.framed_report),
            Route("/api/library", pages.library),
            Route("/api/cases/{case:int}/facts", pages.facts),
            Route("/api/cases/{case:int}/review", pages.review),
            Route("/api/cases/{case:int}/picture", pages.picture),
            Route("/api/cases/{case:int}/small", pages.small),
            Route("/api/cases/{case:int}/mask", pages.mask),
            Route("/api/cases/{case:int}/report", pages.report),
            Route("/api/cases/{case:int}/strokes", pages.say, methods=["POST"]),
            Route("/api/cases/{case:int}/render", pages.render, methods=["POST"]),
            Route("/api/schema.json", pages.schema),
            Mount("/page", StaticFiles(directory=templates_dir() / "review")),
            Mount("/fonts", StaticFiles(directory=templates_dir() / "fonts")),
        ],
        middleware=[
            # Around the gate, whose refusals are told in that language too.
            Middleware(_Speaking, language=spoken()),
            Middleware(BaseHTTPMiddleware, dispatch=gate),
        ],
        exception_handlers={
            # What the person can mend is told apart from what they must look at again (409) and
            # from what this machine cannot do now (503).
            _BadRequestError: _answer_of(400),
            UsageError: _answer_of(400),
            ReviewError: _answer_of(409),
            SupersededError: _answer_of(409),
            UbereportError: _answer_of(503),
        },
        lifespan=lifespan,
    )


def _answer_of(status: int) -> Callable[[Request, Exception], Response]:
    def answer(_: Request, error: Exception) -> Response:
        if isinstance(error, SupersededError):
            return JSONResponse({"superseded": True}, status_code=status)
        return JSONResponse({"error": told(str(error))}, status_code=status)

    return answer


class _Speaking:
    """Answers requests in one language: the server's own tasks and threads start in English."""

    def __init__(self, app: ASGIApp, language: Translator) -> None:
        self._app = app
        self._language = language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        with speaking(self._language):
            await self._app(scope, receive, send)


class _Pages:
    def __init__(self, shelf: Shelf, on_rendered: Callable[[Path], None]) -> None:
        self._shelf = shelf
        self._on_rendered = on_rendered

    async def page(self, _: Request) -> Response:
        return await _app_page("review/index.html")

    async def framed_report(self, _: Request) -> Response:
        return await _app_page("review/report.html")

    async def schema(self, _: Request) -> Response:
        return FileResponse(templates_dir() / "review" / "schema.json")

    async def library(self, _: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._shelf.rows))

    async def facts(self, request: Request) -> Response:
        desk = await self._desk(request)
        return JSONResponse(await run_in_threadpool(case_facts, desk))

    async def review(self, request: Request) -> Response:
        desk = await self._desk(request)
        reviewer = request.query_params.get("reviewer", "")

        # In a thread: reading a journal waits for the disk, and pictures must not wait for it.
        def state() -> dict[str, Any]:
            return review_state(desk, desk.journal(), reviewer)

        return JSONResponse(await run_in_threadpool(state))

    async def picture(self, request: Request) -> Response:
        is_exact = request.query_params.get("exact") == "1"
        return await self._shown(request, is_exact=is_exact, is_patient=False)

    async def small(self, request: Request) -> Response:
        return await self._shown(request, is_exact=False, is_patient=True)

    async def mask(self, request: Request) -> Response:
        pictures = await self._pictures(request)
        mask, field, time_s = await run_in_threadpool(pictures.mask, _time(request))
        n_field = int(field.sum())
        return JSONResponse(
            {
                "time_s": time_s,
                "area_frac": float(mask.sum() / n_field),
                "mask_png": _png_text(mask),
                "field_png": _png_text(field),
            }
        )

    async def report(self, request: Request) -> Response:
        desk = await self._desk(request)
        own, beside = desk.folder / "report.html", f"report.{spoken().language.tag}.html"
        path = desk.folder / beside if (desk.folder / beside).is_file() else own
        if not path.is_file():
            raise UsageError("This case has no report yet. Render it from the review page.")
        # The report is one file with its styles inside; it may load nothing else, and the page
        # that links its moments shows it in a frame.
        policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
        policy += "; script-src 'unsafe-inline'; frame-ancestors 'self'; sandbox allow-scripts"
        headers = {"Content-Security-Policy": policy, "X-Frame-Options": "SAMEORIGIN"}
        return FileResponse(path, media_type="text/html", headers=headers)

    async def say(self, request: Request) -> Response:
        desk = await self._desk(request)
        content = _object(await request.body())
        pictures = await self._pictures(request)

        def kept() -> dict[str, Any]:
            saying = _saying(content, desk, pictures)
            return review_state(desk, desk.say(saying), saying.reviewer)

        return JSONResponse(await run_in_threadpool(kept))

    async def render(self, request: Request) -> Response:
        desk = await self._desk(request)
        await run_in_threadpool(self._on_rendered, desk.folder)
        return JSONResponse({"is_rendered": True})

    async def _shown(self, request: Request, *, is_exact: bool, is_patient: bool) -> Response:
        pictures = await self._pictures(request)
        time_s, width_px = _time(request), _width(request)
        shown = await run_in_threadpool(
            lambda: pictures.picture(
                time_s, is_exact=is_exact, width_px=width_px, is_patient=is_patient
            )
        )
        headers = {"X-Time-S": f"{shown.time_s:.6f}", "X-Exact": str(int(shown.is_exact))}
        return Response(shown.jpeg, media_type="image/jpeg", headers=headers)

    async def _desk(self, request: Request) -> CaseDesk:
        return await run_in_threadpool(self._shelf.desk, request.path_params["case"])

    async def _pictures(self, request: Request) -> CasePictures:
        return await run_in_threadpool(self._shelf.pictures, request.path_params["case"])


async def _app_page(template: str) -> Response:
    scripts = sorted((templates_dir() / "review").glob("*.js"))
    sources = [script.read_text(encoding="utf-8") for script in scripts]
    return HTMLResponse(await run_in_threadpool(render_app, template, sources))


def _time(request: Request) -> float:
    return _number(request.query_params.get("time_s", ""), "time_s")


def _width(request: Request) -> int:
    width = _number(request.query_params.get("width", "960"), "width")
    # Bent to what is allowed and not refused: a window of any size shows a picture.
    return int(min(max(width, _WIDTHS_PX[0]), _WIDTHS_PX[1]))


def _number(text: str, name: str) -> float:
    if not _NUMBER.fullmatch(text) or not np.isfinite(float(text)):
        raise _BadRequestError(f"{name} is a number of seconds or pixels, such as 12.5.")
    return float(text)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise _BadRequestError("A stroke is one JSON object.") from None
    if not isinstance(content, dict):
        raise _BadRequestError("A stroke is one JSON object.")
    return content


def _saying(content: Mapping[str, Any], desk: CaseDesk, pictures: CasePictures) -> Saying:
    # A mask is drawn here and kept by us: a request names no file.
    saying = read_json_value({**content, "mask": None}, Saying)
    if saying.action is Action.MASK and saying.time_s is not None:
        drawn = _drawn_mask(content.get("mask_png"))
        mask, area_frac, time_s = _kept_mask(drawn, saying.time_s, desk, pictures)
        saying = replace(saying, mask=mask, area_frac=area_frac, time_s=time_s)
    return saying


def _drawn_mask(text: Any) -> BoolArray:  # noqa: ANN401 -- a JSON value
    if not isinstance(text, str):
        raise _BadRequestError("mask_png is a PNG picture in base64.")
    try:
        content = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise _BadRequestError("mask_png is a PNG picture in base64.") from None
    # The size stands in the header and is read there first: a small file that unpacks to gigabytes
    # must not be decoded.
    if content[:8] != b"\x89PNG\r\n\x1a\n" or max(_png_size(content)) > _MASK_SIDE_PX:
        raise _BadRequestError(f"mask_png is a PNG of at most {_MASK_SIDE_PX} pixels a side.")
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise _BadRequestError("mask_png is a PNG picture in base64.")
    return np.asarray(picture > 127, dtype=np.bool_)


def _png_size(content: bytes) -> tuple[int, int]:
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def _kept_mask(
    drawn: BoolArray, time_s: float, desk: CaseDesk, pictures: CasePictures
) -> tuple[MendedMask, float, float]:
    """Keep a drawn mask and the picture under it in the case folder; return it, area and time."""
    desk.check_measured(time_s)
    seen, field, shown_s = pictures.still(time_s)
    height_px, width_px = field.shape
    scaled = cv2.resize(
        drawn.astype(np.uint8), (width_px, height_px), interpolation=cv2.INTER_NEAREST
    )
    # Outside of the field of view nothing counts, whatever a hand drew there.
    mask = (scaled > 0) & field
    content, still = _png(_gray(mask)), _png(cv2.cvtColor(seen, cv2.COLOR_RGB2BGR))
    # A name of its own each time: lines of the journal seal the files of earlier masks by their
    # digests, so that none may be written over.
    stem = f"{round(shown_s * 1000):010d}-{secrets.token_hex(4)}"
    kept = MendedMask(
        mask_path=f"review/{stem}-mask.png",
        mask_sha256=hashlib.sha256(content).hexdigest(),
        picture_path=f"review/{stem}-picture.png",
        picture_sha256=hashlib.sha256(still).hexdigest(),
    )
    write_file(desk.folder / kept.mask_path, content)
    write_file(desk.folder / kept.picture_path, still)
    return kept, float(mask.sum() / field.sum()), shown_s


def _gray(mask: BoolArray) -> RgbArray:
    return np.asarray(mask, dtype=np.uint8) * 255


def _png(picture: cv2.typing.MatLike) -> bytes:
    is_done, encoded = cv2.imencode(".png", picture)
    if not is_done:
        raise ValueError("OpenCV cannot encode the picture as PNG")
    return bytes(encoded)


def _png_text(mask: BoolArray) -> str:
    return base64.b64encode(_png(_gray(mask))).decode("ascii")
