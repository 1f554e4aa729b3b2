"""Class names and templates: what is in each set, files of one's own, and the head that is made once."""

import numpy as np
import open_clip
import pytest
import torch

from snellen.classifiers import prompts
from snellen.classifiers.prompts import option_key, read_prompts, text_head
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K, ClassSpace

FIVE = ClassSpace.of_names(["fig", "oak_tree", "crane", "cup", "dog"])
SOME = ClassSpace.of_names([IMAGENET_1K.keys[i] for i in (5, 0, 999)])


@pytest.fixture
def write(tmp_path):
    """Writes lines to a file of its own; returns its path."""

    def make(*lines: str, name: str = "lines.txt"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return make


@pytest.mark.parametrize(
    ("choice", "made"),
    [
        (None, open_clip.OPENAI_IMAGENET_TEMPLATES),
        ("openai80", open_clip.OPENAI_IMAGENET_TEMPLATES),
        ("simple7", open_clip.SIMPLE_IMAGENET_TEMPLATES),
        ("single", [lambda name: f"a photo of a {name}."]),
    ],
)
def test_named_templates_say_what_open_clip_says(choice, made):
    found = read_prompts({} if choice is None else {"templates": choice}, IMAGENET_1K)
    for name in ("tench", "great white shark"):
        assert found.texts(name) == [template(name) for template in made]


def test_openai_names_are_the_default_and_the_lists_have_a_name_a_class():
    found = read_prompts({}, IMAGENET_1K)
    assert found.names == tuple(open_clip.IMAGENET_CLASSNAMES)
    assert found.inputs[0][1].startswith("openai ")
    assert found.inputs[1][1].startswith("openai80 ")
    assert len(read_prompts({"classnames": "wordnet"}, IMAGENET_1K).names) == 1000


def test_classes_that_are_some_of_imagenets_keep_their_names_and_others_go_by_their_own():
    assert read_prompts({}, SOME).names == tuple(open_clip.IMAGENET_CLASSNAMES[i] for i in (5, 0, 999))
    assert read_prompts({}, FIVE).names == ("fig", "oak tree", "crane", "cup", "dog")
    assert read_prompts({}, FIVE).inputs[0][1].startswith("own ")


def test_names_that_classes_share_are_reported_with_their_ids(write):
    (note,) = read_prompts({"classnames": "wordnet"}, IMAGENET_1K).notes
    assert "'crane' (134 n02012849, 517 n03126707)" in note
    file = write("a", "b", "A", "c", "b")
    (note,) = read_prompts({"classnames": file}, FIVE).notes
    assert "'a' (0 fig, 2 crane), 'b' (1 oak_tree, 4 dog);" in note
    assert read_prompts({"classnames": write("a", "b", "d", "c", "e")}, FIVE).notes == ()


def test_files_of_ones_own(write):
    options = {
        "classnames": write("1", "2", "3", "4", "5", "", name="n.txt"),
        "templates": write("a {}, the {c}", "", "{}!", name="t.txt"),
    }
    found = read_prompts(options, FIVE)
    assert found.texts(found.names[2]) == ["a 3, the 3", "3!"]
    again = read_prompts(options | {"templates": write("a {}", name="u.txt")}, FIVE)
    assert found.inputs[0] == again.inputs[0]
    assert found.inputs[1] != again.inputs[1]


@pytest.mark.parametrize(
    ("option", "lines", "said"),
    [
        ("classnames", ["1", "2", "3", "4"], "4 names, but custom has 5 classes"),
        ("classnames", ["1", "2", "", "4", "5"], "line 3 is blank"),
        ("templates", ["a photo"], "template 'a photo' does not say"),
        ("templates", ["a {name}"], "template 'a {name}' does not say"),
        ("templates", ["{0} {}"], "template '{0} {}' does not say"),
        ("templates", [""], "no template"),
    ],
)
def test_a_file_that_does_not_fit_costs_one_line(write, option, lines, said):
    with pytest.raises(ModelError) as error:
        read_prompts({option: write(*lines)}, FIVE)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("classnames", "opena", "No such file or directory; expected openai, wordnet, or a file"),
        ("templates", "openai8", "No such file or directory; expected openai80, simple7, single, or a file"),
        ("classnames", "openai", "custom has others, such as 'fig'"),
        ("classnames", "wordnet", "custom has others, such as 'fig'"),
    ],
)
def test_a_set_that_is_not_there_costs_one_line(option, value, said):
    with pytest.raises(ModelError, match=r"^\S") as error:
        read_prompts({option: value}, FIVE)
    assert said in str(error.value)


def test_files_count_by_their_content(write, tmp_path):
    one, same, other = write("a", name="1"), write("a", name="2"), write("b", name="3")
    key = option_key("open_clip", "classnames", one)
    assert key == option_key("open_clip", "classnames", same) != option_key("open_clip", "classnames", other)
    assert option_key("open_clip", "config", one) == key == option_key("timm", "classes", one)
    assert option_key("file", "config", str(one)) == str(one), "an option of the user's own function"
    assert option_key("hf", "templates", "simple7") == "simple7"
    with pytest.raises(ModelError, match=r"templates=.*No such file"):
        option_key("hf", "templates", tmp_path / "none")


def test_the_head_is_the_mean_of_unit_features_and_made_once(write, tmp_path, monkeypatch):
    monkeypatch.setenv("SNELLEN_CACHE", str(tmp_path))
    monkeypatch.setattr(prompts, "BATCH", 5)
    found = read_prompts({"templates": write("a {}", "the {}", "{} here")}, FIVE)
    calls: list[list[str]] = []

    def features(text: str):
        return np.random.default_rng(list(text.encode())).normal(size=6).astype(np.float32)

    def encode(texts: list[str]):
        calls.append(texts)
        return torch.from_numpy(np.stack([features(text) for text in texts]))

    head = text_head(found, ["weights"], encode)
    for name, row in zip(found.names, head.numpy(), strict=True):
        unit = [vector / np.linalg.norm(vector) for vector in map(features, found.texts(name))]
        mean = np.mean(unit, 0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
    assert sum(map(len, calls)) == 15
    assert torch.equal(text_head(found, ["weights"], encode), head)
    assert sum(map(len, calls)) == 15, "read from the cache"
    text_head(found, ["others"], encode)
    assert sum(map(len, calls)) == 30
    for file in (tmp_path / "heads").iterdir():
        file.write_bytes(b"damaged")
    assert torch.equal(text_head(found, ["weights"], encode), head)
    assert sum(map(len, calls)) == 45
