"""Generative vision-language models behind an OpenAI-compatible server: images in, words out, classes from the words.

Requests run on an event loop in a thread of its own: many at once, stopped at once by Ctrl-C, and from a notebook too,
where a loop runs already.
"""

import asyncio
import contextlib
import hashlib
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import httpx2

from snellen.classifiers.vlm.answer_cache import AnswerCache, Call
from snellen.classifiers.vlm.chat import Refused, Server, Unanswered
from snellen.classifiers.vlm.matcher import NONE, Match
from snellen.classifiers.vlm.picture import Picture, picture
from snellen.errors import SnellenError, Stopped
from snellen.zoom.render import UnreadableImage

Failure = Refused | Unanswered

# Images without an answer, while no image gets one, after which it is not the images' fault.
DOUBTS = {Refused: 8, Unanswered: 3}
# How often an image that uses up its retries is begun while others are answered.
TURNS = 2


@dataclass(frozen=True)
class Answer:
    """What a model said of one image.

    text: its words, as they came.
    id: the class they mean, -1 where they mean none.
    cached: whether it was kept from an earlier request.
    width, height: of the image in its file; None where that cannot be decoded.
    error: why there is no answer, or None.
    """

    text: str = ""
    id: int = NONE
    cached: bool = False
    width: int | None = None
    height: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class _Session:
    """What the requests of one stream share, on its event loop."""

    loop: asyncio.AbstractEventLoop
    client: httpx2.AsyncClient
    slots: asyncio.Semaphore
    # Decoding one at a time: Pillow's warnings are silenced for the whole process meanwhile.
    decoder: asyncio.Lock = field(default_factory=asyncio.Lock)
    # By the sha256 of an image that is being asked about: another with the same bytes waits for that answer.
    asking: "WeakValueDictionary[str, asyncio.Lock]" = field(default_factory=WeakValueDictionary)


@dataclass(frozen=True)
class _Sent:
    """An image under way: its number, its file, the turn it is in, and how many answers had come when it was sent."""

    number: int
    data: bytes
    turn: int
    before: int


@dataclass(frozen=True)
class VlmClassifier:
    """A model that is asked about images, up to `concurrency` at a time.

    max_side: a larger image is shrunk to this many pixels on its longer side.
    """

    server: Server
    call: Call
    match: Match = field(repr=False)
    concurrency: int = 8
    max_side: int = 1024

    def answer(self, images: Sequence[bytes], border: int = 0) -> list[Answer]:
        """The answer on each image file, in order; see `answers`."""
        found = dict(self.answers(enumerate(images), border))
        return [found[number] for number in range(len(images))]

    def answers(
        self, images: Iterable[tuple[int, bytes]], border: int = 0
    ) -> Generator[tuple[int, Answer], None, None]:
        """The answer on each numbered image file, as they come in; `border` pixels are cut off each side first.

        An image that cannot be decoded, or that the server answers nothing on while it answers on others, has an
        `error`. Close the iterator where it is left early: requests under way are then dropped.

        Raises ModelError where the call is wrong (the server's words are quoted) and Stopped where the server cannot
        be reached or stops answering; what was answered is kept, and asked no more.
        """
        with _session(self.server, self.concurrency) as session:
            yield from _Stream(self, session, border).answers(images)

    async def outcome(self, session: _Session, data: bytes, border: int) -> tuple[Answer, Failure | None]:
        """The answer on one image, or what it is if the failure turns out to be the image's own."""
        try:
            async with session.decoder:
                shown = await asyncio.to_thread(picture, data, self.max_side, border)
        except UnreadableImage as error:
            return Answer(error=str(error)), None
        try:
            text, cached = await self._text(session, shown)
        except (Refused, Unanswered) as error:
            what = "refuses it" if isinstance(error, Refused) else "gives no answer on it"
            return Answer(width=shown.width, height=shown.height, error=f"the server {what} ({error})"), error
        return Answer(text, self.match(text), cached, shown.width, shown.height), None

    async def _text(self, session: _Session, shown: Picture) -> tuple[str, bool]:
        """What the model says of a picture, and whether that was known."""
        image = hashlib.sha256(shown.data).hexdigest()
        cache = AnswerCache.of(self.call)
        async with session.asking.setdefault(image, asyncio.Lock()):
            known = await asyncio.to_thread(cache.get, image)
            if known is not None:
                return known, True
            async with session.slots:
                text = await self.server.ask(session.client, self.call.body(shown.url))
            await asyncio.to_thread(cache.put, image, text)
            return text, False


class _Stream:
    """Images on their way through a server, and the judgement whose fault it is when one is not answered.

    A failure is an image's own where the server answers others: before it, for a refusal (the call is right, then);
    since it was sent or later, for one that used up its retries (the server works, then), which is begun anew once
    before it is believed. Until then it is in doubt, and too many doubts end the stream.
    """

    def __init__(self, classifier: VlmClassifier, session: _Session, border: int) -> None:
        self._classifier, self._session, self._border = classifier, session, border
        self._waiting: dict[Future[tuple[Answer, Failure | None]], _Sent] = {}
        self._doubts: list[tuple[_Sent, Answer, Failure]] = []
        self._fresh = 0  # answers that the server gave now

    def answers(self, images: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, Answer]]:
        source = iter(images)
        more = True
        while more or self._waiting:
            while more and len(self._waiting) < 2 * self._classifier.concurrency:
                number, data = next(source, (-1, None))
                more = data is not None
                if data is not None:
                    self._send(number, data)
            for future in wait(self._waiting, return_when=FIRST_COMPLETED).done:
                sent = self._waiting.pop(future)
                answer, failure = future.result()
                if failure is None:
                    yield sent.number, answer
                    if not answer.cached and answer.error is None:
                        self._fresh += 1
                        doubts, self._doubts = self._doubts, []
                        for doubt in doubts:
                            yield from self._believe(*doubt)
                elif self._is_own(sent, failure):
                    yield from self._believe(sent, answer, failure)
                else:
                    self._doubt(sent, answer, failure)
        if self._doubts:
            raise self._fault()

    def _send(self, number: int, data: bytes, turn: int = 1) -> None:
        outcome = self._classifier.outcome(self._session, data, self._border)
        future = asyncio.run_coroutine_threadsafe(outcome, self._session.loop)
        self._waiting[future] = _Sent(number, data, turn, self._fresh)

    def _is_own(self, sent: _Sent, failure: Failure) -> bool:
        if isinstance(failure, Refused):
            return self._fresh > 0 or AnswerCache.of(self._classifier.call).has_answers()
        return self._fresh > sent.before

    def _believe(self, sent: _Sent, answer: Answer, failure: Failure) -> Iterator[tuple[int, Answer]]:
        if isinstance(failure, Unanswered) and sent.turn < TURNS:
            self._send(sent.number, sent.data, sent.turn + 1)
        else:
            yield sent.number, answer

    def _doubt(self, sent: _Sent, answer: Answer, failure: Failure) -> None:
        self._doubts.append((sent, answer, failure))
        if sum(type(failure) is type(other) for _, _, other in self._doubts) >= DOUBTS[type(failure)]:
            raise self._fault()

    def _fault(self) -> SnellenError:
        """What is wrong, if not the images."""
        server = self._classifier.server
        failures = [failure for _, _, failure in self._doubts]
        for failure in failures:
            if isinstance(failure, Unanswered):
                return Stopped(f"{server.url} does not answer ({failure}); when it does, the same command resumes")
        return server.wrong_call(str(failures[0]))


@contextlib.contextmanager
def _session(server: Server, concurrency: int) -> Iterator[_Session]:
    """A client on an event loop in a thread of its own; what is still under way at the end is cancelled."""
    loop, stopping = asyncio.new_event_loop(), asyncio.Event()
    ready: Future[httpx2.AsyncClient] = Future()

    async def stay() -> None:
        try:
            async with server.client(concurrency) as client:
                ready.set_result(client)
                await stopping.wait()
                tasks = asyncio.all_tasks() - {asyncio.current_task()}
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(stay())

    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
        yield _Session(loop, ready.result(), asyncio.Semaphore(concurrency))
    finally:
        with contextlib.suppress(RuntimeError):  # the loop is closed: there was no client
            loop.call_soon_threadsafe(stopping.set)
        if thread.ident is not None:  # interrupted before it began
            thread.join()
