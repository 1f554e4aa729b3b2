"""A real server on the loopback that fails, dawdles, refuses, goes away and talks nonsense."""

import asyncio
import time
from collections import Counter

import pytest
from vlm_asking import EXPECTED, IMAGES, answerer, scripted, sha
from vlm_stub import Reply, VlmStub, error, fault

from snellen.classifiers.spec import parse_spec
from snellen.classifiers.vlm import chat
from snellen.classifiers.vlm.chat import retry_after
from snellen.classifiers.vlm.prepare import prepare_vlm
from snellen.errors import ModelError, Stopped


def test_a_server_that_fails_dawdles_and_talks_nonsense_is_asked_until_all_is_answered():
    with VlmStub(lambda image, attempt: fault(image, attempt) or scripted(image, attempt)) as stub:
        got = answerer(stub, ",concurrency=6").answer(IMAGES)
        expected = [EXPECTED[int(sha(data)[:4], 16) % 5] for data in IMAGES]
        assert [answer.id for answer in got] == expected
        assert Counter(answer.id for answer in got) == Counter(expected)
        assert [answer.error for answer in got] == [None] * 60
        assert [answer.text for answer in got] == [scripted(sha(data), 1).text for data in IMAGES]
        assert stub.answered == Counter({sha(data): 1 for data in IMAGES})
        tries = {image: next(n for n in range(1, 9) if not fault(image, n)) for image in map(sha, IMAGES)}
        assert stub.asked == Counter(tries), "an image is sent again after a fault, and only then"
        assert sum(tries.values()) > 65
        before = stub.asked.copy()
        again = answerer(stub, ",match=exact,concurrency=2").answer(IMAGES)
        assert stub.asked == before, "another way to match asks nothing anew"
        assert all(answer.cached for answer in again)
        assert [a.id for a in again] == [0 if a.text == "A tench." else -1 for a in got]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "check the key: set"),
        (403, "check the key: set"),
        (404, "check the URL"),
        (405, "check the URL"),
    ],
)
def test_a_wrong_call_stops_at_once_and_quotes_the_server(status, message):
    with VlmStub(lambda image, attempt: error(status, "The model `m`\ndoes not\texist.")) as stub:
        with pytest.raises(ModelError) as caught:
            answerer(stub, ",concurrency=2").answer(IMAGES)
        assert f"HTTP {status}: The model `m` does not exist." in str(caught.value)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
        assert sum(stub.asked.values()) <= 4


def test_a_wrong_path_is_the_url_s_fault():
    with VlmStub(scripted) as stub, pytest.raises(ModelError, match="usually ends in /v1"):
        prepare_vlm(parse_spec(f"vlm/m@{stub.url.removesuffix('/v1')}")).answerer().answer(IMAGES[:1])


@pytest.mark.parametrize("images", [1, 7, 40])
def test_a_400_about_every_image_is_the_call_s_fault(images):
    with VlmStub(lambda image, attempt: error(400, "max_tokens is not supported")) as stub:
        with pytest.raises(ModelError, match=r"HTTP 400: max_tokens is not supported.*options"):
            answerer(stub, ",concurrency=4").answer(IMAGES[:images])
        assert max(stub.asked.values()) == 1, "a refusal is not tried again"
        assert sum(stub.asked.values()) <= 8 + 2 * 4


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_400_about_some_images_is_theirs(status, concurrency):
    bad = {sha(data) for data in (*IMAGES[:4], IMAGES[30], IMAGES[59])}

    def decide(image, attempt):
        return error(status, "refused content") if image in bad else Reply("tabby")

    with VlmStub(decide) as stub:
        got = answerer(stub, f",concurrency={concurrency}").answer(IMAGES)
        assert [data for data, answer in zip(IMAGES, got, strict=True) if answer.error] == [
            data for data in IMAGES if sha(data) in bad
        ]
        assert {answer.error for answer in got} == {
            None,
            f"the server refuses it (HTTP {status}: refused content)",
        }
        assert {(answer.width, answer.height) for answer in got} == {(20, 16)}
        # Later, when nothing else is left to ask: the answers that are kept say that the call is right.
        (again,) = answerer(stub).answer([IMAGES[0]])
        assert again.error == got[0].error


def test_an_image_that_the_server_fails_on_is_listed_and_the_others_are_answered():
    poison = sha(IMAGES[5])

    def decide(image, attempt):
        return error(500, "cannot decode") if image == poison else Reply("tabby", delay=0.02)

    with VlmStub(decide) as stub:
        got = answerer(stub, ",concurrency=4,retries=2").answer(IMAGES)
        assert [k for k, answer in enumerate(got) if answer.error] == [5]
        assert got[5].error == "the server gives no answer on it (HTTP 500: cannot decode)"
        assert stub.asked[poison] == 2 * 3, "begun anew once while others are answered"


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_server_that_stops_answering_stops_the_run(concurrency):
    first = {sha(data) for data in IMAGES[:10]}

    def decide(image, attempt):
        return Reply("tabby") if image in first else error(503, "overloaded")

    with VlmStub(decide) as stub:
        with pytest.raises(Stopped, match=r"HTTP 503: overloaded.*same command resumes"):
            answerer(stub, f",concurrency={concurrency},retries=1").answer(IMAGES)
        stub.decide = lambda image, attempt: Reply("tabby")
        asked = stub.asked.copy()
        got = answerer(stub).answer(IMAGES)
        assert all(answer.id == 281 for answer in got)
        assert all(stub.asked[image] == asked[image] for image in first), "what was answered is not asked again"


def test_no_server_at_all():
    with VlmStub(scripted) as stub:
        gone = answerer(stub, ",retries=1")
    with pytest.raises(Stopped, match=r"does not answer \(.*\); when it does, the same command resumes"):
        gone.answer(IMAGES[:1])


def test_a_reply_that_is_none_is_quoted():
    page = Reply(body=b"<html>\nwelcome")
    with VlmStub(lambda image, attempt: page) as stub, pytest.raises(Stopped, match="completion: <html> welcome"):
        answerer(stub, ",retries=1").answer(IMAGES)


def test_an_answer_that_takes_too_long_is_asked_for_again():
    with VlmStub(lambda image, attempt: Reply("tabby", delay=60.0 if attempt == 1 else 0.0)) as stub:
        (answer,) = answerer(stub, ",timeout=1").answer(IMAGES[:1])
        assert answer.id == 281
        assert stub.asked[sha(IMAGES[0])] == 2


def test_the_pause_that_the_server_asks_for_is_kept():
    with VlmStub(lambda image, n: error(429, "slow down", Retry_After="1") if n == 1 else Reply("tabby")) as stub:
        (answer,) = answerer(stub).answer(IMAGES[:1])
        assert answer.id == 281
        assert len(stub.times) == 2
        assert stub.times[1] - stub.times[0] >= 1.0


def test_a_pause_of_hours_is_not_waited_for():
    full = error(429, "daily limit", Retry_After="7200")
    with VlmStub(lambda image, attempt: full) as stub, pytest.raises(Stopped, match=r"wait 7200 s \(HTTP 429: daily"):
        answerer(stub).answer(IMAGES[:1])


def test_retry_after_as_a_date():
    then = int(time.time()) + 60
    before = time.time()
    wait = retry_after(time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(then)))
    assert then - time.time() <= wait <= then - before
    assert [retry_after(text) for text in ("", "soon", "-5", "inf", "nan", None)] == [0.0] * 6


def test_back_off_doubles_and_jitters(monkeypatch):
    monkeypatch.setattr(chat, "FIRST_WAIT", 1.0)
    monkeypatch.setattr(chat, "JITTER", 1.0)
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)

    class Failing:
        async def post(self, url, json):
            raise chat.httpx2.ConnectError("refused")

    server = chat.Server("http://127.0.0.1:1/v1", retries=8)
    with pytest.raises(chat.Unanswered, match="refused"):
        asyncio.run(server.ask(Failing(), {}))
    for wait, base in zip(waits, (1, 2, 4, 8, 16, 32, 60, 60), strict=True):
        assert base <= wait <= min(base + 1, 60)
