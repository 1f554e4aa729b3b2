"""The server of the page: files that it is made of, data files, images on demand, verdicts.

What is at which address stands in `docs/view.md`. Addresses hold positions and keys that are looked up; none of them
becomes a path, but for the page's own files, which Starlette keeps inside their folder.
"""

import asyncio
import hashlib
import json
import mimetypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from snellen.errors import SnellenError
from snellen.mining.log import name_fault
from snellen.web.guard import Guard
from snellen.web.images import Content, Images, NoSuchImage
from snellen.web.room import used
from snellen.web.rules import Rules
from snellen.web.verdicts import Refused, Reviews, Taken

STATIC = Path(__file__).with_name("static")
FOREVER = "private, max-age=31536000, immutable"
DATA_FILE = re.compile(
    r"((classes|grid)-[A-Za-z0-9._-]+|s[0-9]{1,4}/(images|m[0-9]{1,4}))\.json"
    r"|s[0-9]{1,4}/m[0-9]{1,4}/answers/[0-9]{1,9}\.bin"
)
# Images that are being made, or wait for a drawing process, while others are served.
IMAGES_AT_ONCE = 8

# What a system says of these may be anything, and a browser runs no module of another type.
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("application/octet-stream", ".bin")


class DataFiles(Protocol):
    """The data files of a target, see `snellen.web.build`."""

    def site(self) -> dict[str, Any]:
        """What `data/site.json` holds."""
        ...

    def path(self, url: str) -> Path | None:
        """The file at an address, made where it can be; None where there is none."""
        ...

    def shows(self, version: str) -> bool:
        """Whether a page that has this version of a set or of a model has it from this server."""
        ...


@dataclass(frozen=True)
class Served:
    """What the server serves.

    folder: of the cache, which holds all data files. reviews: of a hard set. reviewer: whose verdicts the page gives
    unless told otherwise; "" where it asks.
    """

    files: DataFiles
    folder: Path
    images: Images
    reviews: Reviews | None = None
    reviewer: str = ""

    def site(self) -> dict[str, Any]:
        """What `data/site.json` holds, of a live page."""
        added = {"live": True, "review": self.reviews is not None, "references": self.images.references is not None}
        named = {"reviewer": self.reviewer, "reviews": self.reviews.name if self.reviews else None}
        return self.files.site() | added | named


def create_app(served: Served, rules: Rules) -> ASGIApp:
    """The server as an ASGI application, guarded by the rules."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    # Sets its own tag, and says 304.
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False), name="static")
    _add_pages(app, served)
    _add_images(app, served)
    if served.reviews is not None:
        _add_verdicts(app, served.reviews)
    _add_errors(app)
    return Guard(app, rules)


def _add_pages(app: FastAPI, served: Served) -> None:
    root = served.folder.resolve()

    @app.get("/")
    @app.get("/index.html")
    async def page(request: Request) -> Response:
        return _file(request, STATIC / "index.html")

    @app.get("/data/site.json")
    async def site(request: Request) -> Response:
        return _record(request, await run_in_threadpool(served.site))

    @app.get("/data/references.json")
    async def references(request: Request) -> Response:
        examples = served.images.references
        return _record(request, await run_in_threadpool(examples.counts) if examples else {})

    @app.get("/data/{name:path}")
    async def data(request: Request, name: str) -> Response:
        if not DATA_FILE.fullmatch(name):
            raise HTTPException(404, "there is no such file")
        _check_version(request, served)
        path = await run_in_threadpool(served.files.path, f"data/{name}")
        if path is None or not path.resolve().is_relative_to(root):
            raise HTTPException(404, "there is no such file")
        used(path)
        return _file(request, path)


def _add_images(app: FastAPI, served: Served) -> None:
    images = served.images
    limit = asyncio.Semaphore(IMAGES_AT_ONCE)

    async def made(request: Request, make: Callable[[], Content]) -> Response:
        _check_version(request, served)
        async with limit:
            if await _is_gone(request):  # it was scrolled past before its turn came
                return Response(status_code=204)
            found = await run_in_threadpool(make)
        return _sent(request, found)

    @app.get("/thumbs/{key}/{row}.jpg")
    async def thumb(request: Request, key: str, row: str) -> Response:
        return await made(request, lambda: images.thumb(key, whole(row)))

    @app.get("/pictures/{key}/{row}.jpg")
    async def picture(request: Request, key: str, row: str) -> Response:
        return await made(request, lambda: images.picture(key, whole(row)))

    @app.get("/views/{key}/{row}/{zoom}.png")
    async def view(request: Request, key: str, row: str, zoom: str) -> Response:
        model = request.query_params.get("model", "")
        return await made(request, lambda: images.view(key, whole(row), whole(zoom), model))

    @app.get("/references/{key:path}/{k}.jpg")
    async def reference(request: Request, key: str, k: str) -> Response:
        return await made(request, lambda: images.reference(key, whole(k)))


def _add_verdicts(app: FastAPI, reviews: Reviews) -> None:
    @app.get("/api/verdicts")
    async def state(request: Request) -> Response:
        version, body = await run_in_threadpool(reviews.state)
        return _sent(request, Content(body, "application/json", version))

    @app.post("/api/verdicts")
    async def add(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "verdicts are sent as application/json")
        try:
            given = json.loads(await request.body())
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, "the body is no JSON") from error
        return JSONResponse(await run_in_threadpool(reviews.add, given))

    @app.get("/api/review.csv")
    async def export(request: Request) -> Response:
        reviewer = request.query_params.get("reviewer") or None
        if reviewer is not None and (fault := name_fault(reviewer)):
            raise HTTPException(400, fault)
        data = await run_in_threadpool(reviews.csv, reviewer, "conflicts" in request.query_params)
        name = quote(f"review-{reviewer}.csv" if reviewer else "review.csv", safe="")
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{name}", "cache-control": "no-store"}
        return Response(data, media_type="text/csv; charset=utf-8", headers=headers)


def _add_errors(app: FastAPI) -> None:
    """Every error is a line of JSON."""

    def answer(status: int, message: str, **more: Any) -> Response:
        # Not JSONResponse: a name or a request may hold what UTF-8 does not.
        text = json.dumps({"error": " ".join(message.split())} | more)
        return Response(text, status, media_type="application/json")

    @app.exception_handler(404)
    @app.exception_handler(405)
    @app.exception_handler(HTTPException)
    async def known(request: Request, error: HTTPException) -> Response:
        return answer(error.status_code, str(error.detail))

    @app.exception_handler(NoSuchImage)
    async def no_image(request: Request, error: NoSuchImage) -> Response:
        return answer(404, str(error))

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return answer(409 if isinstance(error, Taken) else 400, str(error), key=error.key)

    @app.exception_handler(SnellenError)
    @app.exception_handler(OSError)
    async def passing(request: Request, error: Exception) -> Response:
        return answer(503, str(error))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return answer(500, "the server failed; what happened stands where `snellen view` runs")


def whole(text: str) -> int:
    """A position in an address. Raises NoSuchImage."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise NoSuchImage("there is no such image")
    return int(text)


def _check_version(request: Request, served: Served) -> None:
    """Raise HTTPException for a page that is older than this server: a position there may be another image here."""
    version = request.query_params.get("v")
    request.state.versioned = version is not None
    if version is not None and not served.files.shows(version):
        raise HTTPException(404, "what is shown has changed since the page was loaded; load it again")


async def _is_gone(request: Request) -> bool:
    """Whether the browser no longer waits for an answer."""
    try:
        await request.body()
    except ClientDisconnect:
        return True
    return await request.is_disconnected()


def _record(request: Request, record: dict[str, Any]) -> Response:
    data = json.dumps(record).encode()  # a name may hold what UTF-8 does not
    return _sent(request, Content(data, "application/json", hashlib.sha256(data).hexdigest()[:32]))


def _sent(request: Request, made: Content) -> Response:
    headers = {"etag": f'"{made.tag}"', "cache-control": _cached(request)}
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(made.data, media_type=made.kind, headers=headers)


def _file(request: Request, path: Path) -> Response:
    """A file; one that is gone is an OSError."""
    status = path.stat()
    headers = {"etag": f'"{status.st_mtime_ns:x}-{status.st_size:x}"', "cache-control": _cached(request)}
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return FileResponse(path, headers=headers, stat_result=status)


def _cached(request: Request) -> str:
    """What has a version in its address never changes; where none is looked at, one says nothing."""
    return FOREVER if getattr(request.state, "versioned", False) else "no-cache"
