"""Pushing to the Hub, whose API is replaced: what is asked of it, and what its refusals cost the user."""

import json
from types import SimpleNamespace

import pytest
from hard_pictures import hard_pictures, publish_options
from huggingface_hub import errors
from huggingface_hub.utils import filter_repo_objects

from snellen.errors import Stopped, UsageError
from snellen.mining.publish.hub import check_repository, push
from snellen.mining.publish.publish import publish


class Api:
    """Keeps what it is asked."""

    calls: list = []  # noqa: RUF012
    error: Exception | None = None

    def create_repo(self, repository, **options):
        self.calls.append(("create", repository, options))
        if self.error:
            raise self.error

    def upload_folder(self, **options):
        self.calls.append(("upload", options))
        return SimpleNamespace(commit_url="https://hub/commit/1")


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    monkeypatch.setattr(Api, "calls", [])
    monkeypatch.setattr(Api, "error", None)
    return Api


def test_it_is_one_commit_of_the_whole_folder(api, tmp_path):
    assert push(tmp_path, "me/hard", "12 images", ["data/a.parquet"]) == "https://hub/commit/1"
    (create, repository, options), (upload, given) = api.calls
    assert (create, repository, upload) == ("create", "me/hard", "upload")
    assert options == {"repo_type": "dataset", "private": True, "exist_ok": True}
    assert (given["folder_path"], given["repo_id"], given["repo_type"]) == (tmp_path, "me/hard", "dataset")
    assert given["ignore_patterns"] == []


@pytest.mark.parametrize("form", ["parquet", "folder", "webdataset", "coco", "fiftyone"])
def test_no_file_of_an_earlier_version_stays_whatever_its_layout(form, api, pictures, tmp_path):
    """By the library's own matching: an image that was dropped meanwhile would stay in public."""
    hard_pictures(tmp_path / "hard", pictures)
    publish(tmp_path / "hard", tmp_path / "out", publish_options(pictures, form=form))
    (tmp_path / "out" / "my [notes].txt").write_text("what I think of it")
    record = json.loads((tmp_path / "out" / "publish.json").read_text())
    push(tmp_path / "out", "me/hard", "24 images", record["files"])
    given = api.calls[1][1]
    there = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    gone = set(filter_repo_objects(there, allow_patterns=given["delete_patterns"]))
    assert gone == there - {"README.md", "publish.json", "my [notes].txt"}
    assert not set(filter_repo_objects(["LICENSE", "images/plot.png"], allow_patterns=given["delete_patterns"]))
    pushed = set(filter_repo_objects(there, ignore_patterns=given["ignore_patterns"]))
    assert pushed == there - {"my [notes].txt"}


def refusal(status):
    response = SimpleNamespace(status_code=status, headers={}, request=SimpleNamespace(url="https://hub"), text="")
    error = errors.HfHubHTTPError.__new__(errors.HfHubHTTPError)
    Exception.__init__(error, f"{status} for url\nmore lines")
    error.response = response
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (errors.LocalTokenNotFoundError("Token is required"), UsageError, "log in with `hf auth login`"),
        (refusal(401), UsageError, "log in with `hf auth login`"),
        (refusal(403), UsageError, "log in with `hf auth login`"),
        (refusal(400), UsageError, "the Hub refuses 'me/hard': 400 for url"),
        (refusal(503), Stopped, "the Hub fails"),
        (ConnectionError("no route"), Stopped, "pushing to 'me/hard' failed: no route"),
        (errors.OfflineModeIsEnabled("offline"), Stopped, "offline"),
    ],
)
def test_a_refusal_is_one_line_and_the_folder_stays(error, kind, words, api, tmp_path):
    (tmp_path / "README.md").write_text("x")
    api.error = error
    with pytest.raises(kind, match=words) as told:
        push(tmp_path, "me/hard", "12 images", ["data/a.parquet"])
    assert "\n" not in str(told.value)
    assert "the same command pushes it" in str(told.value)
    assert (tmp_path / "README.md").read_text() == "x"


def test_the_transport_of_the_library_fails(api, tmp_path):
    httpx = pytest.importorskip("httpx2")
    api.error = httpx.ConnectError("cannot connect")
    with pytest.raises(Stopped, match="cannot connect"):
        push(tmp_path, "me/hard", "12 images", ["data/a.parquet"])


@pytest.mark.parametrize("name", ["hard", "me/hard/set", "me /hard", "../hard", "me/..", ""])
def test_a_name_that_is_none(name):
    with pytest.raises(UsageError, match="expected ORG/NAME"):
        check_repository(name)
    check_repository("me/hard-v1.0_x")
