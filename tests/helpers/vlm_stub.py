"""A server that speaks the OpenAI chat-completions form on the loopback, answers as told, and counts."""

import base64
import hashlib
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    """What the server does with one request: the text it answers, or another status, body, delay, or no reply."""

    text: str = ""
    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: bool = False


def error(status: int, message: str, **headers: str) -> Reply:
    """A refusal in OpenAI's form."""
    body = json.dumps({"error": {"message": message, "type": "stub"}}).encode()
    return Reply(status=status, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def fault(image: str, attempt: int, share: float = 0.2) -> Reply | None:
    """A fault for `share` of all requests, of each kind there is; the same for the same image and attempt."""
    chance = random.Random(f"{image} {attempt}")
    if chance.random() >= share:
        return None
    kinds = [
        error(500, "out of memory"),
        error(503, "loading the model"),
        error(429, "too many requests", Retry_After="0"),
        Reply(drop=True),
        Reply(body=b'{"choices": [{"mess'),
        Reply(body=b'{"choices": []}'),
    ]
    return chance.choice(kinds)


class VlmStub(ThreadingHTTPServer):
    """`decide(sha256 of the image, attempt)` says what happens; the first attempt at an image is number 1.

    asked: requests by image. answered: those among them that got an answer (status 200, an answer in the reply).
    most: requests that were under way at once, at most. seen: bodies without the image, and headers, in order.
    images: the bytes of every image that came.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, decide: Callable[[str, int], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.decide = decide
        self.lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.images: dict[str, bytes] = {}
        self.seen: list[tuple[dict, dict]] = []
        self.times: list[float] = []
        self.under_way = self.most = 0
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that hangs up is part of the test."""


class _Handler(BaseHTTPRequestHandler):
    server: VlmStub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            return self._send(error(404, f"no such path: {self.path}"))
        content = body["messages"][0]["content"]
        place = next(k for k, part in enumerate(content) if part["type"] == "image_url")
        data = base64.b64decode(content.pop(place)["image_url"]["url"].partition(";base64,")[2])
        image = hashlib.sha256(data).hexdigest()
        with self.server.lock:
            self.server.asked[image] += 1
            self.server.images[image] = data
            self.server.seen.append((body, dict(self.headers)))
            self.server.times.append(time.monotonic())
            self.server.under_way += 1
            self.server.most = max(self.server.most, self.server.under_way)
            attempt = self.server.asked[image]
        reply = self.server.decide(image, attempt)
        time.sleep(reply.delay)
        with self.server.lock:
            self.server.under_way -= 1
            if reply.status == 200 and reply.body is None and not reply.drop:
                self.server.answered[image] += 1
        return self._send(reply)

    def _send(self, reply: Reply):
        if reply.drop:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        text = {"choices": [{"index": 0, "message": {"role": "assistant", "content": reply.text}}]}
        body = json.dumps(text).encode() if reply.body is None else reply.body
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
