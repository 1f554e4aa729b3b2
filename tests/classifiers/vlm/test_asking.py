"""What a generative model is asked, how often and how much at once: a real server on the loopback."""

import asyncio
import errno
import json
import signal
import threading
import time
from collections import Counter

import pytest
from vlm_asking import IMAGES, answerer, scripted, sha
from vlm_stub import Reply, VlmStub

from snellen.classifiers.spec import parse_spec
from snellen.classifiers.vlm import answer_cache
from snellen.classifiers.vlm.answer_cache import AnswerCache
from snellen.classifiers.vlm.prepare import prepare_vlm
from snellen.errors import ModelError, Stopped


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_never_more_requests_at_once_than_asked_for(concurrency):
    all_there = threading.Barrier(concurrency)

    def decide(image, attempt):
        all_there.wait(60)
        return Reply("tabby", delay=0.05)  # in which one request too many would come

    with VlmStub(decide) as stub:
        got = answerer(stub, f",concurrency={concurrency}").answer(IMAGES[: 4 * concurrency])
        assert {answer.id for answer in got} == {281}
        assert stub.most == concurrency


def test_the_same_image_is_asked_about_once_in_a_run_and_once_for_all():
    with VlmStub(lambda image, attempt: Reply("tabby", delay=0.05)) as stub:
        got = answerer(stub, ",concurrency=8").answer([IMAGES[0]] * 9 + [IMAGES[1]])
        assert stub.asked == Counter({sha(IMAGES[0]): 1, sha(IMAGES[1]): 1})
        assert [answer.id for answer in got] == [281] * 10
        assert sorted(answer.cached for answer in got[:9]) == [False] + [True] * 8
        # Another prompt, sampling or model is another question.
        for options in (",prompt=free", ",max_tokens=9", ",seed=1", ",temperature=0.5"):
            answerer(stub, options).answer(IMAGES[:1])
        assert stub.asked[sha(IMAGES[0])] == 5


def test_what_is_sent():
    with VlmStub(lambda image, attempt: Reply("tabby")) as stub:
        answerer(stub).answer(IMAGES[:1])
        answerer(stub, ",prompt=free,max_tokens=none,temperature=none,seed=none").answer(IMAGES[:1])
        (closed, headers), (free, _) = stub.seen
        assert (closed["model"], closed["temperature"], closed["max_tokens"], closed["seed"]) == (
            "org/model-7b",
            0,
            64,
            0,
        )
        (message,) = closed["messages"]
        (text,) = message["content"]  # the stub has taken the image out
        assert text["text"].count("\n") >= 1000
        assert {"tench", "crane bird", "construction crane", "toilet paper"} <= set(text["text"].split("\n"))
        assert set(free) == {"model", "messages"}
        assert "Authorization" not in headers
        assert stub.images == {sha(IMAGES[0]): IMAGES[0]}, "a small PNG is sent as it is"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None, "refusal": "I will not."}, "I will not."),
        ({"content": None}, ""),
        ({"content": [{"type": "text", "text": "a "}, {"type": "text", "text": "hen"}]}, "a hen"),
        ({"content": "half \ud83d a pair"}, "half ? a pair"),
    ],
)
def test_replies_in_other_forms(message, text):
    body = json.dumps({"choices": [{"message": message}]}).encode()
    with VlmStub(lambda image, attempt: Reply(body=body)) as stub:
        (answer,) = answerer(stub).answer(IMAGES[:1])
        assert answer.text == text


def test_ctrl_c_does_not_wait_for_answers():
    def interrupt(*_):
        raise KeyboardInterrupt

    def decide(image, attempt):
        if stub.under_way == 8:  # all that may be, and connected
            times.append(time.monotonic())
            signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)
        return Reply("tabby", delay=20)

    times = []
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with VlmStub(decide) as stub, pytest.raises(KeyboardInterrupt):
            answerer(stub).answer(IMAGES)
        assert time.monotonic() - times[0] < 15
    finally:
        signal.signal(signal.SIGALRM, before)


def test_inside_a_running_event_loop():
    async def notebook(ask):
        return ask.answer(IMAGES[:2])

    with VlmStub(scripted) as stub:
        assert len(asyncio.run(notebook(answerer(stub)))) == 2


def test_nothing_to_ask():
    with VlmStub(scripted) as stub:
        assert answerer(stub).answer([]) == []


def test_bytes_that_are_no_image_are_an_error_and_not_sent():
    with VlmStub(lambda image, attempt: Reply("tabby")) as stub:
        got = answerer(stub).answer([b"", b"no image", IMAGES[0], IMAGES[0][:-30]])
        assert [answer.error is None for answer in got] == [False, False, True, False]
        assert got[0].error == "the file is empty"
        assert stub.asked == Counter({sha(IMAGES[0]): 1})


def test_a_cache_file_that_is_damaged_is_asked_for_again():
    with VlmStub(lambda image, attempt: Reply("tabby")) as stub:
        ask = answerer(stub)
        ask.answer(IMAGES[:3])
        cache = AnswerCache.of(ask.call)
        for data, damage in zip(IMAGES[:3], (b"", b'{"answer": 3}', b"[1]"), strict=True):
            (cache.folder / f"{sha(data)}.json").write_bytes(damage)
        assert [answer.id for answer in ask.answer(IMAGES[:3])] == [281] * 3
        assert set(stub.asked.values()) == {2}
        call = json.loads((cache.folder / "call.json").read_text())
        assert (call["url"], call["model"]) == (stub.url, "org/model-7b")


def test_a_cache_that_cannot_be_written_is_one_line(monkeypatch):
    monkeypatch.setenv("SNELLEN_CACHE", "/proc/nothing")
    with VlmStub(scripted) as stub, pytest.raises(ModelError, match="set SNELLEN_CACHE to a folder that can be"):
        answerer(stub).answer(IMAGES[:1])


def test_a_full_disk_stops_the_run(monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(answer_cache, "write_atomic", full)
    with VlmStub(scripted) as stub, pytest.raises(Stopped, match="the disk is full"):
        answerer(stub).answer(IMAGES[:1])


def test_there_are_no_logits():
    with pytest.raises(ModelError, match="gives no logits"):
        prepare_vlm(parse_spec("vlm/m@http://h/v1")).classifier()
