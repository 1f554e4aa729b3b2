"""What the spec of a generative model says: its fingerprint, a prompt and classes of one's own, wrong ones."""

import pytest
from vlm_asking import IMAGES, KEY, answerer
from vlm_stub import Reply, VlmStub

from snellen.classifiers.spec import parse_spec
from snellen.classifiers.vlm.prepare import prepare_vlm
from snellen.engine.fingerprint import fingerprint
from snellen.engine.names import run_directory
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K, ClassMap, ClassSpace
from snellen.zoom.grid import Grid


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
