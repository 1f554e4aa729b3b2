"""The key of a server: where it comes from, and that nothing shows it."""

import pytest
from vlm_asking import IMAGES, KEY, answerer
from vlm_stub import Reply, VlmStub, error

from snellen.classifiers.spec import parse_spec
from snellen.classifiers.vlm.prepare import prepare_vlm
from snellen.errors import ModelError


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


def test_a_key_that_no_header_can_carry(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-é")
    with pytest.raises(ModelError, match="no HTTP header can carry") as caught:
        prepare_vlm(parse_spec("vlm/m@http://h/v1")).answerer()
    assert "sk-" not in str(caught.value)
