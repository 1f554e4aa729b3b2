"""The page, served: where it listens, what is printed, how it ends."""

import contextlib
import os
import socket
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import uvicorn

from snellen.errors import UsageError
from snellen.mining.log import name_fault
from snellen.web.app import Served, create_app
from snellen.web.build import Builder
from snellen.web.drawing import Drawers
from snellen.web.images import Images
from snellen.web.references import References
from snellen.web.room import Room
from snellen.web.rules import LEAST_TOKEN, Rules, is_any, is_loopback, rules_for
from snellen.web.site import Target
from snellen.web.verdicts import Reviews

# Where a page is looked for first; a link to it so stays right the next day.
PORT = 8765
# Seconds that requests have to end after Ctrl-C.
GRACE = 2


@dataclass(frozen=True)
class Listening:
    """Where and for whom to listen.

    port: None takes `PORT`, or any that is free where that is taken. token: None makes one up where one is needed.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    token: str | None = None

    def rules(self) -> Rules:
        """Who may ask. Raises UsageError for a token that could be guessed."""
        if self.token is not None and (len(self.token) < LEAST_TOKEN or not self.token.isascii()):
            raise UsageError(
                f"--token: give at least {LEAST_TOKEN} ASCII characters (it or $SNELLEN_TOKEN), or leave it out"
            )
        return rules_for(self.host, self.token)

    def bind(self) -> socket.socket:
        """A socket that listens. Raises UsageError where that is not possible."""
        try:
            return _bound(self.host, PORT if self.port is None else self.port)
        except OSError as error:
            if self.port is None and not isinstance(error, socket.gaierror):
                with contextlib.suppress(OSError):
                    return _bound(self.host, 0)
            where = f"--host {self.host} --port {PORT if self.port is None else self.port}"
            raise UsageError(f"{where}: {error.strerror or error}; give another") from error


def serve(
    target: Target,
    listening: Listening,
    folder: Path,
    *,
    cache_bytes: int,
    reference: Path | None = None,
    reviewer: str = "",
    browser: bool | None = None,
) -> None:
    """Serve the page of a target until Ctrl-C.

    folder: of the cache, kept within `cache_bytes`. reference: a folder with examples of classes. reviewer: whose
    verdicts the page gives. browser: whether to open one; None does where there is a screen and no token.
    """
    rules = listening.rules()
    if reviewer and (fault := name_fault(reviewer)):
        raise UsageError(f"--reviewer {reviewer!r}: {fault}")
    alone = is_loopback(listening.host)
    spaces = [one.space for one in target.sets.values()]
    references = References(reference, spaces, outside=alone) if reference else None
    reviews = Reviews(target.hard) if target.hard else None
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(contextlib.closing(listening.bind()))
        drawers = Drawers(max(1, min(4, os.cpu_count() or 1)))
        stack.callback(drawers.close)
        files = stack.enter_context(contextlib.closing(Builder(target, folder)))
        stack.enter_context(contextlib.closing(Room(folder, cache_bytes)))
        images = Images(target.sets, folder, drawers, references, outside=alone)
        app = create_app(Served(files, folder, images, reviews, reviewer), rules)
        url = address(listening.host, listener.getsockname()[1], rules.token)
        print(f"{url}\n{warning(listening.host, listener.getsockname()[1])}Ctrl-C ends it.", flush=True)
        if browser or (browser is None and rules.token is None and _has_screen()):
            webbrowser.open(url)
        config = uvicorn.Config(
            *(app,),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=GRACE,
        )
        with contextlib.suppress(KeyboardInterrupt):  # how it ends
            uvicorn.Server(config).run(sockets=[listener])


def warning(host: str, port: int) -> str:
    """What those who listen for others should know, as lines; none for this machine alone."""
    if is_loopback(host):
        return ""
    name = socket.gethostname()
    return (
        "The connection is not encrypted. On a network that is not yours, leave out --host, "
        "and give on the other machine:\n"
        f"  ssh -N -L {port}:localhost:{port} {name}\n"
    )


def address(host: str, port: int, token: str | None) -> str:
    """What to open in a browser."""
    name = socket.gethostname() if is_any(host) else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={quote(token, safe='')}" if token else "")


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # Only what a server that has just ended left behind is in nobody's way.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _has_screen() -> bool:
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
