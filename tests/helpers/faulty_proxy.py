"""A server between a client and an S3 server that passes requests on, save those that chance has fail."""

import contextlib
import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

BUSY = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>made up by a test</Message></Error>"
# Headers of one connection, not of what is passed on.
OF_A_CONNECTION = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class FaultyProxy:
    """Serves at `url` what the server at `target` answers; `rates` are the shares of requests with each fault.

    busy: 503 SlowDown in place of an answer; broken: 500 InternalError; slow: the answer comes after `delay` seconds;
    lost: the request is done, but its answer never comes; cut: only half of the answer's body comes.
    down: while True every request is answered by 503.
    """

    def __init__(self, target: str, rates: dict[str, float], seed: int = 0, delay: float = 1.0) -> None:
        self.target, self.rates, self.delay = urlsplit(target), rates, delay
        self.rng, self.lock = random.Random(seed), threading.Lock()
        self.done: Counter[str] = Counter()
        self.down = False
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                proxy.handle(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:  # the client went away: a fault as good as any
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def draw(self) -> str:
        """The fault of the next request, "" for none."""
        with self.lock:
            if self.down:
                fault = "down"
            else:
                value, fault = self.rng.random(), ""
                for name, rate in self.rates.items():
                    if value < rate:
                        fault = name
                        break
                    value -= rate
            self.done[fault] += 1
            return fault

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request, or fail it."""
        body = self.read_body(request)
        fault = self.draw()
        if fault in ("busy", "down"):
            return self.answer(request, 503, {"Content-Type": "application/xml"}, BUSY % b"SlowDown")
        if fault == "broken":
            return self.answer(request, 500, {"Content-Type": "application/xml"}, BUSY % b"InternalError")
        status, headers, content, length = self.forward(request, body)
        if fault == "lost":
            return self.hang_up(request)
        if fault == "slow":
            time.sleep(self.delay)
        half = len(content) // 2 if fault == "cut" and len(content) > 1 else None
        self.answer(request, status, headers, content[:half], length)
        return self.hang_up(request) if half is not None else None

    def forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes, int]:
        """What the server answers: status, headers, body, and the length that it states."""
        connection = http.client.HTTPConnection(self.target.hostname or "", self.target.port, timeout=60)
        with contextlib.closing(connection):
            headers = {k: v for k, v in request.headers.items() if k.lower() not in OF_A_CONNECTION | {"expect"}}
            headers["Content-Length"] = str(len(body))
            connection.request(request.command, request.path, body, headers)
            reply = connection.getresponse()
            content = reply.read()
            kept = {k: v for k, v in reply.getheaders() if k.lower() not in OF_A_CONNECTION}
            stated = int(reply.getheader("Content-Length") or len(content))
            return reply.status, kept, content, stated

    def answer(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        headers: dict[str, str],
        content: bytes,
        length: int | None = None,
    ) -> None:
        request.send_response_only(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content) if length is None else length))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)
            request.wfile.flush()

    @staticmethod
    def hang_up(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        with contextlib.suppress(OSError):
            request.connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def read_body(request: BaseHTTPRequestHandler) -> bytes:
        if request.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(request.rfile.readline().split(b";")[0], 16):
                parts.append(request.rfile.read(size))
                request.rfile.readline()
            request.rfile.readline()
            return b"".join(parts)
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))


@contextlib.contextmanager
def faulty_proxy(target: str, rates: dict[str, float], seed: int = 0, delay: float = 1.0) -> Iterator[FaultyProxy]:
    """Such a server while the block runs."""
    proxy = FaultyProxy(target, rates, seed, delay)
    thread = threading.Thread(target=proxy.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        proxy.server.server_close()
        thread.join()
