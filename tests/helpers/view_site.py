"""Data files of the page made by hand from columns that a test knows, and a file server for them."""

import contextlib
import functools
import http.server
import io
import json
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from browser import Visit
from PIL import Image

import snellen

STATIC = Path(snellen.__file__).parent / "web" / "static"
HOSTILE = (
    "<img src=x onerror=\"document.title='pwned'\">",
    "<script>document.title='pwned'</script>",
    "'\"><svg onload=document.title='pwned'>",
    "{{constructor.constructor('document.title=1')()}}",
    "\u202egpj.exe\u2066",
    "javascript:alert(1)",
)
SCALES = (64, 128, 224, 256, 320, 448)


@dataclass(frozen=True)
class Made:
    """A site on the disk and the columns that it was made from."""

    folder: Path
    classes: dict[str, Any]
    images: dict[str, Any]
    models: list[dict[str, Any]]


def make_site(folder: Path, n: int, *, models: int = 2, kind: str = "runs", seed: int = 0, classes: int = 1000) -> Made:
    """A set of `n` images with invented answers of some models at 54 zooms; some names and ids are hostile."""
    draw = random.Random(seed)
    names = [f"thing {k}" for k in range(classes)]
    names[1 : 1 + len(HOSTILE)] = HOSTILE
    known = {
        "space": "imagenet-1k",
        "keys": [f"n{k:08d}" for k in range(classes)],
        "names": names,
        "synonyms": [[f"Gerät {k}"] if k % 3 == 0 else [] for k in range(classes)],
    }
    labels = [sorted(draw.sample(range(classes), 2 if k % 10 == 0 else 1)) for k in range(n)]
    images: dict[str, Any] = {
        "n": n,
        "row": list(range(n)),
        "id": [
            f"{HOSTILE[k % len(HOSTILE)]}/{k}.jpg" if k % 97 == 5 else f"folder/photo_{k:06d}.jpg" for k in range(n)
        ],
        "width": [320] * n,
        "height": [240] * n,
        "labels": labels,
        "origins": ["imagenet", "imagenet-a", HOSTILE[0]],
        "origin": [draw.choice((0, 0, 1, 2)) for _ in range(n)],
        "error": {"7": "cannot be decoded: <b>truncated</b>"} if n > 7 else {},
        "suspect": [None if k % 4 else round(draw.random(), 3) for k in range(n)],
        "kind": ["" if k % 4 else draw.choice(("label error", "several classes")) for k in range(n)],
    }
    if kind == "hard":
        images["key"] = [f"{k:016x}" for k in range(n)]
        images["sha256"] = [f"{k:064x}" for k in range(n)]
    made = [_model(draw, n, labels, images["error"], classes) for _ in range(models)]
    _write(folder, kind, known, images, made)
    return Made(folder, known, images, made)


def _model(
    draw: random.Random, n: int, labels: list[list[int]], errors: dict[str, str], classes: int
) -> dict[str, Any]:
    zooms = 9 * len(SCALES)
    right = [-1 if str(k) in errors else int(draw.random() < 0.6) for k in range(n)]
    crop = [labels[k][0] if right[k] == 1 else -1 if right[k] < 0 else draw.randrange(classes) for k in range(n)]
    right = [-1 if right[k] < 0 else int(crop[k] in labels[k]) for k in range(n)]
    winning = [-1 if right[k] < 0 else max(right[k], draw.randrange(zooms + 1)) for k in range(n)]
    shown = [k for k in range(n) if right[k] >= 0]

    def share(k: int) -> dict[str, Any]:
        value = k / max(1, len(shown))
        return {"k": k, "n": len(shown), "value": value, "low": max(0, value - 0.02), "high": min(1, value + 0.02)}

    ones, any_right = sum(right[k] == 1 for k in shown), sum(winning[k] > 0 for k in shown)
    return {
        "n": n,
        "crop": crop,
        "crop_p": [None if right[k] < 0 else round(draw.random(), 4) for k in range(n)],
        "right": right,
        "winning": winning,
        "consensus": [-1 if right[k] < 0 else draw.randrange(classes) for k in range(n)],
        "consensus_share": [None if right[k] < 0 else round(draw.random(), 4) for k in range(n)],
        "consensus_right": [right[k] for k in range(n)],
        "sensitivity": [None if right[k] < 0 else round(4 * draw.random(), 3) for k in range(n)],
        "best": [-1 if winning[k] < 1 else draw.randrange(zooms) for k in range(n)],
        "summary": {
            "1-crop": share(ones),
            "best zoom": share(ones),
            "top-36": share(any_right),
            "upper bound": share(any_right),
        },
        "zooms": {"k": [int(len(shown) * (0.2 + 0.6 * z / zooms)) for z in range(zooms)], "n": len(shown)},
        "map": [[share(int(len(shown) * (0.5 + 0.05 * (row + col)))) for col in range(3)] for row in range(3)],
    }


def _write(
    folder: Path, kind: str, classes: dict[str, Any], images: dict[str, Any], models: list[dict[str, Any]]
) -> None:
    data = folder / "data"
    (data / "s0").mkdir(parents=True)
    grid = [{"scale": scale, "row": row, "col": col} for scale in SCALES for row in range(3) for col in range(3)]
    told = [
        {"key": f"m{k}", "name": f"model {k}", "spec": f"embedded/model-{k}", "precision": "fp32", "zooms": len(grid)}
        | {"version": "1", "ready": True, "complete": True, "images": images["n"], "grid": "sixes"}
        for k in range(len(models))
    ]
    site = {"format": 1, "kind": kind, "title": "a/folder", "version": "0", "live": False, "review": False}
    one = {"key": "s0", "name": "photographs", "images": images["n"], "space": "imagenet-1k", "version": "1"}
    one |= {"label_sources": ["imagenet"], "chunk": 32, "models": told}
    files = {
        "site.json": site | {"references": False, "sets": [one]},
        "classes-imagenet-1k.json": classes,
        "grid-sixes.json": grid,
        "s0/images.json": images,
    }
    files |= {f"s0/m{k}.json": model for k, model in enumerate(models)}
    if kind == "hard":
        files["verdicts.json"] = _verdicts(images)
    for name, record in files.items():
        (data / name).write_text(json.dumps(record), encoding="utf-8")


def _verdicts(images: dict[str, Any]) -> dict[str, Any]:
    """Every fifth image is kept, every seventh dropped, the others undecided; of two the reviewers disagree."""
    status = {k: "kept" if k % 5 == 0 else "dropped" for k in range(images["n"]) if k % 5 == 0 or k % 7 == 0}
    counts = {name: sum(one == name for one in status.values()) for name in ("kept", "dropped")}
    counts |= {"relabelled": 0, "undecided": images["n"] - len(status)}
    said = {
        images["key"][k]: {"status": one, "labels": images["labels"][k], "standing": []} for k, one in status.items()
    }
    conflicts = [{"id": images["key"][k], "why": "reviewers disagree", "keys": []} for k in (1, 2)]
    return {
        "version": "1",
        "counts": counts,
        "images": said,
        "conflicts": conflicts,
        "reviewers": ["ada"],
        "agreement": [],
    }


@functools.cache
def _picture(k: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (160, 120), ((53 * k) % 256, (97 * k) % 256, 128)).save(buffer, "JPEG")
    return buffer.getvalue()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Any server of files, which prints nothing."""

    def log_message(self, *message: Any) -> None:
        pass


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The address of a server of the page with the data files of a folder; small pictures are made by row."""

    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def translate_path(self, path: str) -> str:
            name = urlsplit(path).path.lstrip("/") or "index.html"
            return str(
                STATIC.parent / name
                if name.startswith("static/")
                else STATIC / name
                if name == "index.html"
                else folder / name
            )

        def do_GET(self) -> None:
            parts = urlsplit(self.path).path.strip("/").split("/")
            if parts[0] not in ("thumbs", "pictures"):
                del self.headers["If-Modified-Since"]  # in whole seconds: a file that was written twice looks the same
                super().do_GET()
                return
            data = _picture(int(parts[2].removesuffix(".jpg")) % 40)
            self.send_response(200)
            self.send_header("content-type", "image/jpeg")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    Handler.extensions_map = Handler.extensions_map | {".js": "text/javascript"}
    with listening(Handler) as address:
        yield address


@contextlib.contextmanager
def listening(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server on this machine that answers by a handler, while the block lasts."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: Any, address: Any) -> None:
            """A browser that closes, or scrolls on, breaks connections off."""

    server = Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def open_page(
    browser: Any, address: str, *, width: int = 1400, height: int = 900, scheme: str = "light"
) -> Iterator[Visit]:
    """The page in a window of that size; its complaints and what it asked of other hosts are kept."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(60_000)
    seen = Visit(context.new_page())
    host = urlsplit(address).netloc
    seen.page.on("console", lambda said: seen.complaints.append(f"{said.type}: {said.text}"))
    seen.page.on("pageerror", lambda error: seen.complaints.append(f"error: {error}"))

    def note(request: Any) -> None:
        if urlsplit(request.url).netloc != host and not request.url.startswith(("data:", "blob:")):
            seen.requests.append(request.url)

    seen.page.on("request", note)
    seen.page.goto(address)
    yield seen
    context.close()
