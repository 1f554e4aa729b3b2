"""Asking a generative model: a real server on the loopback that fails, dawdles, refuses and talks nonsense."""

import asyncio
import errno
import hashlib
import io
import json
import signal
import threading
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from vlm_stub import Reply, VlmStub, error, fault

from snellen.classifiers.spec import parse_spec
from snellen.classifiers.vlm import answer_cache, chat
from snellen.classifiers.vlm.answer_cache import AnswerCache
from snellen.classifiers.vlm.chat import retry_after
from snellen.classifiers.vlm.picture import picture
from snellen.classifiers.vlm.prepare import prepare_vlm
from snellen.engine.fingerprint import fingerprint
from snellen.engine.names import run_directory
from snellen.errors import ModelError, Stopped
from snellen.labels import IMAGENET_1K, ClassMap, ClassSpace
from snellen.zoom.grid import Grid
from snellen.zoom.render import UnreadableImage, decode

KEY = "sk-never-to-be-written-down"


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    """A cache of its own, no key, and retries that do not wait."""
    monkeypatch.setenv("SNELLEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(chat, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(chat, "JITTER", 0.001)


def image_file(seed=0, size=(20, 16), form="PNG", mode="RGB", **options):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, form, **options)
    return file.getvalue()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def answerer(stub, options="", **arguments):
    return prepare_vlm(parse_spec(f"vlm/org/model-7b@{stub.url}{options}"), **arguments).answerer()


IMAGES = [image_file(seed) for seed in range(60)]


def scripted(image, attempt):
    """What the model thinks of an image: right, another class, nonsense or several, by the image's own bytes."""
    n = int(image[:4], 16)
    words = ("tabby", "A tench.", "no idea", "tabby or tench", "It's a hen.")
    return Reply(words[n % 5], delay=0.03 if n % 7 == 0 else 0.0)


EXPECTED = (281, 0, -1, -1, 8)


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


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_never_more_requests_at_once_than_asked_for(concurrency):
    with VlmStub(lambda image, attempt: Reply("tabby", delay=0.05)) as stub:
        answerer(stub, f",concurrency={concurrency}").answer(IMAGES[: 4 * concurrency])
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


def test_the_key_comes_from_the_environment_and_is_written_nowhere(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("MY_KEY", f"{KEY}\n")
    with VlmStub(lambda image, attempt: Reply("tabby")) as stub:
        prepared = prepare_vlm(parse_spec(f"vlm/m@{stub.url},key_env=MY_KEY"))
        prepared.answerer().answer(IMAGES[:3])
        assert {headers["Authorization"] for _, headers in stub.seen} == {f"Bearer {KEY}"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert not any(KEY.encode() in path.read_bytes() for path in files)
    shown = [prepared, prepared.answerer(), prepared.to_json(), prepared.card, prepared.text, caplog.text]
    assert not any(KEY in repr(thing) for thing in shown)


def test_a_key_that_the_server_repeats_is_blotted_out(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with VlmStub(lambda image, attempt: error(401, f"Incorrect API key provided: {KEY}.")) as stub:
        with pytest.raises(ModelError, match=r"Incorrect API key provided: ….\); check the key in OPENAI_API_KEY"):
            answerer(stub).answer(IMAGES)
        with pytest.raises(ModelError, match="check the key: key_env=NAME"):
            answerer(stub, ",key_env=none").answer(IMAGES)


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
    start = time.monotonic()
    with pytest.raises(Stopped, match=r"does not answer \(.*\); when it does, the same command resumes"):
        gone.answer(IMAGES[:1])
    assert time.monotonic() - start < 5


def test_a_reply_that_is_none_is_quoted():
    page = Reply(body=b"<html>\nwelcome")
    with VlmStub(lambda image, attempt: page) as stub, pytest.raises(Stopped, match="completion: <html> welcome"):
        answerer(stub, ",retries=1").answer(IMAGES)


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


def test_an_answer_that_takes_too_long_is_asked_for_again():
    with VlmStub(lambda image, attempt: Reply("tabby", delay=1.0 if attempt == 1 else 0.0)) as stub:
        (answer,) = answerer(stub, ",timeout=0.2").answer(IMAGES[:1])
        assert answer.id == 281
        assert stub.asked[sha(IMAGES[0])] == 2


def test_the_pause_that_the_server_asks_for_is_kept():
    with VlmStub(lambda image, n: error(429, "slow down", Retry_After="1") if n == 1 else Reply("tabby")) as stub:
        (answer,) = answerer(stub).answer(IMAGES[:1])
        assert answer.id == 281
        assert 1.0 <= stub.times[1] - stub.times[0] < 1.5


def test_a_pause_of_hours_is_not_waited_for():
    full = error(429, "daily limit", Retry_After="7200")
    with VlmStub(lambda image, attempt: full) as stub, pytest.raises(Stopped, match=r"wait 7200 s \(HTTP 429: daily"):
        answerer(stub).answer(IMAGES[:1])


def test_retry_after_as_a_date():
    in_a_minute = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 60))
    assert 57 < retry_after(in_a_minute) <= 60
    assert [retry_after(text) for text in ("", "soon", "-5", "inf", "nan", None)] == [0.0] * 6


def test_back_off_doubles_and_jitters(monkeypatch):
    monkeypatch.setattr(chat, "FIRST_WAIT", 1.0)
    monkeypatch.setattr(chat, "JITTER", 1.0)
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    monkeypatch.setattr(chat.AsyncRetrying, "sleep", sleep, raising=False)

    class Failing:
        async def post(self, url, json):
            raise chat.httpx2.ConnectError("refused")

    server = chat.Server("http://127.0.0.1:1/v1", retries=8)
    retrying = chat.AsyncRetrying.__init__
    monkeypatch.setattr(chat.AsyncRetrying, "__init__", lambda self, **kw: retrying(self, sleep=sleep, **kw))
    with pytest.raises(chat.Unanswered, match="refused"):
        asyncio.run(server.ask(Failing(), {}))
    for wait, base in zip(waits, (1, 2, 4, 8, 16, 32, 60, 60), strict=True):
        assert base <= wait <= min(base + 1, 60)


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
        assert time.monotonic() - times[0] < 5
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


# What is sent for a file.


def jpeg_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return image_file(1, form="JPEG", exif=exif.tobytes())


AS_IS = [image_file(), image_file(form="JPEG"), image_file(form="JPEG", mode="L"), image_file(size=(1024, 7))]
SAME_PIXELS = [
    image_file(form="WEBP"),
    image_file(form="BMP"),
    image_file(form="GIF", mode="P"),
    image_file(form="TIFF"),
    image_file(form="JPEG", mode="CMYK"),
    image_file(mode="RGBA"),
    image_file(mode="P"),
    image_file(mode="1"),
    jpeg_turned(),
]


@pytest.mark.parametrize("data", AS_IS)
def test_plain_small_files_are_sent_as_they_are(data):
    sent = picture(data, 1024)
    assert sent.data == data
    assert sent.url.startswith(f"data:{sent.mime};base64,")


@pytest.mark.parametrize("data", SAME_PIXELS)
def test_other_small_files_are_sent_as_png_with_the_same_pixels(data):
    sent = picture(data, 1024)
    assert sent.mime == "image/png"
    assert sent.data[:4] == b"\x89PNG"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sent.data))), np.asarray(decode(data)))
    assert picture(data, 1024) == sent


@pytest.mark.parametrize(
    ("size", "expected"), [((1025, 300), (1024, 300)), ((1200, 800), (1024, 683)), ((2, 4096), (1, 1024))]
)
def test_large_images_are_shrunk(size, expected):
    data = image_file(size=size)
    sent = picture(data, 1024)
    assert (sent.mime, sent.width, sent.height) == ("image/jpeg", *size)
    shrunk = Image.open(io.BytesIO(sent.data))
    assert shrunk.size == expected
    right = np.asarray(decode(data).resize(expected, Image.Resampling.BICUBIC), np.float64)
    assert np.abs(np.asarray(shrunk, np.float64) - right).mean() < 6
    assert picture(data, 1024).data == sent.data


def test_a_border_is_cut():
    data = image_file(size=(30, 20))
    sent = picture(data, 1024, border=2)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sent.data))), np.asarray(decode(data))[2:-2, 2:-2])
    assert (sent.width, sent.height) == (30, 20)
    with pytest.raises(UnreadableImage, match="border"):
        picture(image_file(size=(30, 4)), 1024, border=2)


# What the spec says.


class Data:
    """As much of a data set as a fingerprint and a directory need."""

    fingerprint, border, name, spec = "f" * 64, 0, "photos", "photos"


def parts(options="", classmap=None):
    prepared = prepare_vlm(parse_spec(f"vlm/m@http://127.0.0.1:9/v1{options}"), classmap=classmap)
    grid = Grid("own", (prepared.card.own.rule(),))
    return fingerprint(Data(), prepared, grid, classmap, False), run_directory(Data.root, Data(), prepared, grid)


@pytest.mark.parametrize(
    "options",
    [
        *(",prompt=free", ",match=exact", ",match=fuzzy", ",match=fuzzy,threshold=80", ",max_tokens=9", ",seed=3"),
        *(",temperature=none", ",max_side=512", ",classnames=wordnet", ",prompt={file}"),
    ],
)
def test_what_decides_answers_is_in_the_fingerprint(options, tmp_path):
    Data.root = tmp_path
    (tmp_path / "prompt.txt").write_text("One of {classes}?")
    options = options.format(file=tmp_path / "prompt.txt")
    assert parts(options)[0] != parts()[0]
    assert parts(options)[1] != parts()[1]
    assert parts(options) == parts(options)


def test_model_url_and_classes_are_in_the_fingerprint(tmp_path):
    Data.root = tmp_path
    places = ("m@http://127.0.0.1:9/v1", "n@http://127.0.0.1:9/v1", "m@http://127.0.0.1:8/v1")
    prepared = [prepare_vlm(parse_spec(f"vlm/{place}")) for place in places]
    assert len({(p.card.source, p.card.weights) for p in prepared}) == 3
    assert parts(classmap=ClassMap.of("two", [["n01440764"], ["n02123045"]], IMAGENET_1K))[0] != parts()[0]


def test_how_answers_are_fetched_is_not_in_the_fingerprint(tmp_path, monkeypatch):
    Data.root = tmp_path
    monkeypatch.setenv("MY_KEY", KEY)
    for options in (
        ",concurrency=2",
        ",timeout=3",
        ",retries=0",
        ",key_env=MY_KEY",
        ",threshold=50",
        ",match=synonyms",
    ):
        assert parts(options) == parts(), options


def test_a_prompt_of_ones_own(tmp_path):
    file = tmp_path / "prompt.txt"
    file.write_text('Say {"class": …} with one of:\n{classes}\n')
    classmap = ClassMap.of("pets", [["n02123045", "n02123159"], ["n01440764"]], IMAGENET_1K)
    with VlmStub(lambda image, attempt: Reply('{"class": "tiger cat"}')) as stub:
        ask = answerer(stub, f",prompt={file}", classmap=classmap)
        (answer,) = ask.answer(IMAGES[:1])
        assert answer.id == 282
        assert ask.call.prompt == 'Say {"class": …} with one of:\ntench\ntabby cat\ntiger cat'
        before = ask.call.fingerprint
        file.write_text("What is it?")
        assert answerer(stub, f",prompt={file}", classmap=classmap).call.fingerprint != before
        assert answerer(stub, ",prompt=free", classmap=classmap).match("hen") == -1


def test_classes_of_ones_own(tmp_path):
    file = tmp_path / "classes.txt"
    file.write_text("cat\nhot_dog\n")
    with VlmStub(lambda image, attempt: Reply("A hot dog.")) as stub:
        for arguments in ({"options": f",classes={file}"}, {"space": ClassSpace.of_names(["cat", "hot_dog"])}):
            ask = answerer(stub, **arguments)
            assert ask.call.prompt.endswith("\ncat\nhot dog")
            assert ask.answer(IMAGES[:1])[0].id == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vlm/m@https://user:pw-secret@host/v1", "no user, password or query"),
        ("vlm/m@https://pw-secret@host/v1", "no user, password or query"),
        ("vlm/m@https://host/v1?key=pw-secret", "no user, password or query"),
        ("vlm/m@http://host:port/v1", "is no URL; write http://HOST:PORT/v1"),
        ("vlm/m@http://h/v1,colour=red", "takes no option 'colour'; it takes prompt, "),
        ("vlm/m@http://h/v1,match=guess", "expected exact, synonyms, fuzzy"),
        ("vlm/m@http://h/v1,threshold=101", "threshold=101: expected a number from 0 to 100"),
        ("vlm/m@http://h/v1,concurrency=0", "expected a whole number from 1 to 1024"),
        ("vlm/m@http://h/v1,concurrency=2.5", "expected a whole number"),
        ("vlm/m@http://h/v1,retries=none", "expected a whole number"),
        ("vlm/m@http://h/v1,seed=true", "expected a whole number"),
        ("vlm/m@http://h/v1,max_tokens=many", "expected a whole number from 1 to 1e+06 or none"),
        ("vlm/m@http://h/v1,prompt=nowhere.txt", "expected closed, free or a text file"),
        ("vlm/m@http://h/v1,classes=nowhere.txt", "classes=nowhere.txt"),
        ("vlm/m@http://h/v1,key_env=pw-secret", "names a variable that the environment lacks"),
    ],
)
def test_a_wrong_spec_is_one_line(text, message):
    with pytest.raises(ModelError) as caught:
        prepare_vlm(parse_spec(text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "pw-secret" not in str(caught.value)


def test_a_key_that_no_header_can_carry(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-é")
    with pytest.raises(ModelError, match="no HTTP header can carry") as caught:
        prepare_vlm(parse_spec("vlm/m@http://h/v1")).answerer()
    assert "sk-" not in str(caught.value)


def test_there_are_no_logits():
    with pytest.raises(ModelError, match="gives no logits"):
        prepare_vlm(parse_spec("vlm/m@http://h/v1")).classifier()
