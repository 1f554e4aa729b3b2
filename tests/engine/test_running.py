"""The options that all functions share: their names, what is wrong about them, and that commands pass them on."""

import inspect
import re

import pytest

import snellen
from snellen.cli.options import running_options, with_options
from snellen.engine import running
from snellen.engine.running import DEFAULTS, MODEL_DEFAULTS, ModelOptions, Running, completed
from snellen.errors import UsageError
from snellen.tta.run import tta


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (snellen.study, (), "study"),
        (snellen.evaluate, (), "evaluate"),
        (tta, (), "tta"),
        (snellen.show, ("a",), "show"),
    ],
)
def test_a_keyword_that_is_none_is_a_type_error_as_of_any_function(function, arguments, name):
    more = {"out": "a.png"} if name == "show" else {}
    with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected keyword argument 'worker'$"):
        function(*arguments, worker=2, **more)


def test_one_image_has_no_limit_and_no_workers():
    with pytest.raises(TypeError, match=r"show\(\) got an unexpected keyword argument 'limit'"):
        snellen.show("a", out="a.png", limit=1)


def test_every_option_has_a_default_and_is_described():
    assert set(DEFAULTS) == set(inspect.get_annotations(Running))
    assert set(MODEL_DEFAULTS) == set(inspect.get_annotations(ModelOptions))
    described = ModelOptions.__doc__ + Running.__doc__
    for option in DEFAULTS:
        assert re.search(rf"^    [a-z_, ]*\b{option}\b[a-z_, ]*:", described, re.MULTILINE), option
    assert completed("study", {"limit": 3}) == {**DEFAULTS, "limit": 3}
    assert MODEL_DEFAULTS.items() <= DEFAULTS.items()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"engine": "slurm"}, "unknown engine 'slurm'; expected local or ray"),
        ({"ray_address": "auto"}, "--ray-address auto is for --engine ray, not for the local engine"),
    ],
)
def test_an_engine_that_there_is_not_is_found_before_anything_is_opened(given, message):
    with pytest.raises(UsageError, match=message):
        snellen.study("embedded/efficientnet_lite0", "no such data", **given)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(running, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"which is not installed: pip install 'snellen\[ray\]'$"):
        snellen.study(engine="ray")


def test_a_command_has_the_shared_options_beside_its_own():
    heard = {}

    @with_options(running=running_options)
    def command(data: str, as_json: bool = False, *, running: Running) -> None:
        heard.update(running, data=data, as_json=as_json)

    names = inspect.signature(command).parameters
    assert list(names)[:2] == ["data", "as_json"]
    assert set(inspect.signature(running_options).parameters) < set(names)
    given = {name: option.default for name, option in names.items() if option.default is not option.empty}
    command(**given | {"data": "x", "workers": "3", "as_json": True})
    assert heard["workers"] == 3
    assert heard["batch_size"] is None
    assert heard["as_json"] is True
    assert set(heard) - {"data", "as_json"} <= set(DEFAULTS)
