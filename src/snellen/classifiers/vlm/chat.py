"""One request to an OpenAI-compatible server: sent, tried again while that may help, and its reply read.

Form of request and reply: OpenAI's API reference, "Create chat completion", as vLLM and the llama.cpp server also
speak it.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from snellen.errors import ModelError, Stopped

# Statuses below 500 that another try may cure: a timeout, a conflict, too early, too many requests.
RETRIED = (408, 409, 425, 429)
# Statuses that no other image would change: wrong key, no money, no right, wrong address, wrong method.
WRONG_CALL = (401, 402, 403, 404, 405)
# Seconds before the first retry; doubled for each further one up to LONGEST_WAIT, plus up to a second of jitter.
FIRST_WAIT, LONGEST_WAIT, JITTER = 1.0, 60.0, 1.0
# A server that asks for a longer pause than this (seconds) is better asked by a later command.
PATIENCE = 600.0
# Characters of a server's message that are quoted.
QUOTED = 300


class Refused(Exception):
    """The server will not answer this request, whatever is tried; the message is its own."""


class Unanswered(Exception):
    """No reply that can be used came back; another try may bring one. `wait`: seconds the server asks to be left."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Server:
    """Where requests go, and how patiently.

    url: what `/chat/completions` is appended to.
    timeout: seconds a request may take in all.
    retries: how often one is sent again.
    key_env: the environment variable that holds the key, or None; the key itself is kept nowhere else.
    """

    url: str
    timeout: float = 60.0
    retries: int = 5
    key_env: str | None = None
    _key: str | None = field(default=None, repr=False)

    @staticmethod
    def at(url: str, timeout: float, retries: int, key_env: str | None) -> "Server":
        """The server at `url`, with the key that the environment holds now.

        Raises ModelError for a URL that holds a key, or a key that no header can carry.
        """
        check_url(url)
        key = (os.environ.get(key_env, "").strip() if key_env else "") or None
        if key and not (key.isascii() and key.isprintable()):
            raise ModelError(f"the key in {key_env} has characters that no HTTP header can carry; set it again")
        return Server(url, timeout, retries, key_env, key)

    def client(self, connections: int) -> httpx2.AsyncClient:
        """A client that keeps up to `connections` connections open; to be used as an async context."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        return httpx2.AsyncClient(headers=headers, limits=limits, timeout=None)

    async def ask(self, client: httpx2.AsyncClient, body: Mapping[str, Any]) -> str:
        """The text that the server answers to `body`.

        Raises Refused, Unanswered once the retries are used up, ModelError where the call itself is wrong, and Stopped
        where the server asks for a pause longer than `PATIENCE`.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Unanswered),
            wait=_pause,
            stop=stop_after_attempt(self.retries + 1),
            reraise=True,
        )
        return str(await retrying(self._ask_once, client, body))

    async def _ask_once(self, client: httpx2.AsyncClient, body: Mapping[str, Any]) -> str:
        try:
            async with asyncio.timeout(self.timeout):
                response = await client.post(f"{self.url}/chat/completions", json=body)
        except TimeoutError:
            raise Unanswered(f"no answer within {self.timeout:g} s") from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise Unanswered(str(error) or type(error).__name__) from error
        if response.status_code == 200:
            text = reply_text(response)
            if text is None:
                raise Unanswered(f"its reply is no chat completion: {self._message(response) or 'it is empty'}")
            return text
        said = f"HTTP {response.status_code}: {self._message(response)}"
        if response.status_code >= 500 or response.status_code in RETRIED:
            wait = retry_after(response.headers.get("Retry-After"))
            if wait > PATIENCE:
                raise Stopped(f"{self.url} asks to wait {wait:.0f} s ({said}); the same command resumes later")
            raise Unanswered(said, wait)
        if response.status_code >= 400 and response.status_code not in WRONG_CALL:
            raise Refused(said)
        raise self.wrong_call(said, response.status_code)

    def wrong_call(self, said: str, status: int = 400) -> ModelError:
        """The error for a call that the server will answer for no image."""
        lacking = f"the key: set {self.key_env}, or name another variable with key_env=NAME"
        where = f"the key in {self.key_env}" if self._key else lacking if self.key_env else "the key: key_env=NAME"
        checks = {401: where, 403: where, 402: "the account", 400: "the model's options"}
        what = checks.get(status, "the URL, which usually ends in /v1, and the model's name")
        return ModelError(f"{self.url} refuses the call ({said}); check {what}")

    def _message(self, response: httpx2.Response) -> str:
        """What the server says went wrong, on one line; a key that it repeats is blotted out."""
        text = response.text
        with contextlib.suppress(ValueError, AttributeError):
            told = response.json()
            error = told.get("error") or told.get("message") or told.get("detail") or text
            text = str(error.get("message") or error) if isinstance(error, dict) else str(error)
        if self._key:
            text = text.replace(self._key, "…")
        return one_line(text) or ("" if response.is_success else response.reason_phrase)


def check_url(url: str) -> None:
    """Raise ModelError where a URL is none, or may hold a key; such a URL is not repeated."""
    try:
        parts = urlsplit(url)
        secret = "@" in parts.netloc or bool(parts.query) or bool(parts.fragment)
        whole = bool(parts.hostname) and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        secret, whole = "@" in url, False
    if secret:
        raise ModelError(
            "a model's URL may hold no user, password or query, since it is written into the run; "
            "put the key in an environment variable and name that with key_env=NAME"
        )
    if not whole:
        raise ModelError(f"{url!r} is no URL; write http://HOST:PORT/v1")


def reply_text(response: httpx2.Response) -> str | None:
    """The answer in a chat completion; None where the reply is none."""
    try:
        message = response.json()["choices"][0]["message"]
        content = message["content"]
        if content is None:
            content = message.get("refusal") or ""
        if isinstance(content, list):
            content = "".join(part["text"] for part in content if part.get("type") == "text")
        text = content.encode("utf-8", "replace").decode()  # half a surrogate pair has no UTF-8
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return str(text)


def retry_after(value: str | None) -> float:
    """Seconds that a `Retry-After` header asks for, given as seconds or as a date; 0 where it says nothing.

    >>> retry_after("3"), retry_after(None), retry_after("Wed, 21 Oct 2015 07:28:00 GMT")
    (3.0, 0.0, 0.0)
    """
    if not value:
        return 0.0
    with contextlib.suppress(ValueError):
        seconds = float(value)
        return seconds if 0 <= seconds < float("inf") else 0.0
    with contextlib.suppress(ValueError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return 0.0


def one_line(text: str) -> str:
    """A server's text on one line, cut to what is quoted."""
    flat = " ".join(text[: 4 * QUOTED].split())
    return flat if len(flat) <= QUOTED else flat[: QUOTED - 1] + "…"


def _pause(state: RetryCallState) -> float:
    """Seconds before the next try: the longer of the back-off and of what the server asks for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait if isinstance(error, Unanswered) else 0.0
    return max(asked, wait_exponential_jitter(max=LONGEST_WAIT, jitter=JITTER, multiplier=FIRST_WAIT)(state))
