"""The page as a folder of files: whole, read-only, and never over what is not its own."""

import json
import shutil
from pathlib import Path

import pytest
from hard_set import MadeUpImage, verdict_on, write_hard_set
from photo_runs import paint, photo_run
from PIL import Image

from snellen.cli.view import view
from snellen.errors import UsageError
from snellen.mining.log import append
from snellen.web.build import Builder
from snellen.web.export import export
from snellen.web.site import open_target

NAMES = [f"kind-{k % 3}/{k:02d}.jpg" for k in range(6)]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    paint(folder / "pictures", NAMES)
    photo_run(folder / "out" / "p" / "m" / "g", folder / "pictures", model="timm/made_up@/home/someone/w.pth", bad=(2,))
    return folder / "out"


def test_runs(out, tmp_path):
    references = paint(tmp_path / "references", [f"kind-{k}/{j}.jpg" for k in range(12) for j in range(6)])
    site, cache = tmp_path / "site", tmp_path / "cache"
    export(open_target(str(out)), site, cache, reference=references)
    record = json.loads((site / "data" / "site.json").read_bytes())
    (one,) = record["sets"]
    assert (record["live"], record["review"], record["references"]) == (False, False, True)
    builder = Builder(open_target(str(out)), cache)
    for url in (
        "data/s0/images.json",
        "data/s0/m0.json",
        "data/s0/m0/answers/0.bin",
        f"data/classes-{one['space']}.json",
        f"data/grid-{one['models'][0]['grid']}.json",
    ):
        assert (site / url).read_bytes() == builder.path(url).read_bytes()
    builder.close()
    for k, name in enumerate(sorted(NAMES)):
        with Image.open(out.parent / "pictures" / name) as original:
            width, height = original.size
        for kind, side in (("thumbs", 160), ("pictures", 1280)):
            with Image.open(site / kind / "s0" / f"{k}.jpg") as made:
                scale = min(1, side / max(width, height))
                assert made.size == pytest.approx((width * scale, height * scale), abs=1)
    labels = {key for row in json.loads((site / "data/s0/images.json").read_bytes())["labels"] for key in row}
    assert {path.name for path in (site / "references").iterdir()} == {f"kind-{k}" for k in labels}
    counts = json.loads((site / "data" / "references.json").read_bytes())
    assert counts == {f"kind-{k}": 4 for k in labels}
    for key, count in counts.items():
        assert {path.name for path in (site / "references" / key).iterdir()} == {f"{k}.jpg" for k in range(count)}
    assert (site / "index.html").is_file()
    assert (site / "static" / "style.css").is_file()
    text = (site / "data" / "site.json").read_text()
    assert "/home/someone" not in text
    assert str(tmp_path) not in text
    assert "w.pth" in text
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_hard_set(tmp_path, capsys):
    image = MadeUpImage("a.png")
    hard = write_hard_set(tmp_path / "HARD", [image])
    append(hard, [verdict_on(image, "drop")])
    view(str(hard), tmp_path / "site", cache=tmp_path / "cache", reviewer="")
    assert "MB, with all verdicts and who gave them; see it with" in capsys.readouterr().out
    told = json.loads((tmp_path / "site" / "data" / "verdicts.json").read_bytes())
    assert told["images"][image.id]["status"] == "dropped"


def test_study_that_has_just_begun(tmp_path, capsys):
    run = tmp_path / "out" / "p" / "m" / "g"
    photo_run(run, paint(tmp_path / "pictures", NAMES))
    for folder in ("commits", "parts"):
        shutil.rmtree(run / folder)
        (run / folder).mkdir()
    site = tmp_path / "my site"
    view(str(tmp_path / "out"), site, cache=tmp_path / "cache", reviewer="")
    (one,) = json.loads((site / "data/site.json").read_bytes())["sets"]
    assert (one["images"], one["models"][0]["images"]) == (6, 0)
    assert json.loads((site / "data/s0/m0.json").read_bytes())["summary"] == {}
    assert len(list((site / "pictures/s0").iterdir())) == 6
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    said = capsys.readouterr().out
    assert said == f"{site}: 6 images, {size / 1e6:.1f} MB; see it with: python -m http.server -d '{site}'\n"


def test_no_folder_of_this_machine_is_named(out, tmp_path):
    labels = tmp_path / "private" / "mine.csv"
    labels.parent.mkdir()
    shutil.copy(next(out.glob("**/labels.csv")), labels)
    export(open_target(str(out), labels=str(labels)), tmp_path / "site", tmp_path / "cache")
    (one,) = json.loads((tmp_path / "site" / "data" / "site.json").read_bytes())["sets"]
    assert one["label_sources"] == ["mine.csv"]
    for path in (tmp_path / "site" / "data").rglob("*.json"):
        for folder in (tmp_path, out.parent, "/home/someone"):
            assert str(folder) not in path.read_text()


def test_an_export_that_cannot_be_put_in_its_place_leaves_the_old_one(out, tmp_path, monkeypatch):
    site = tmp_path / "site"
    export(open_target(str(out)), site, tmp_path / "cache")
    before = (site / "data" / "site.json").read_bytes()
    rename = Path.rename

    def fails(self, target):
        if Path(target) == site and self.name != "old":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(UsageError, match="No space left"):
        export(open_target(str(out)), site, tmp_path / "cache")
    assert (site / "data" / "site.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "site"]


def test_links_that_lead_out(tmp_path):
    """Of a data set without a run: what such a link shows was never meant to be published."""
    paint(tmp_path, ["data/a/1.jpg", "elsewhere/2.jpg"])
    (tmp_path / "data" / "a" / "2.jpg").symlink_to(tmp_path / "elsewhere" / "2.jpg")
    export(open_target(str(tmp_path / "data")), tmp_path / "site", tmp_path / "cache")
    assert [path.name for path in (tmp_path / "site" / "pictures" / "s0").iterdir()] == ["0.jpg"]


def test_written_again(out, tmp_path):
    for _ in range(2):
        export(open_target(str(out)), tmp_path / "site", tmp_path / "cache")
        assert (tmp_path / "site" / "data" / "site.json").is_file()
        (tmp_path / "site" / "thumbs" / "stale.jpg").touch()
    export(open_target(str(out)), tmp_path / "site", tmp_path / "cache")
    assert not (tmp_path / "site" / "thumbs" / "stale.jpg").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["site"]


@pytest.mark.parametrize("what", ["files", "file", "link", "added", "served"])
def test_nothing_of_others_is_lost(out, tmp_path, what):
    place = tmp_path / "site"
    if what == "file":
        place.write_text("mine")
    elif what == "link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        (place / "data").mkdir(parents=True)
        (place / "data" / "site.json").write_text(json.dumps({"live": what == "served", "sets": []}))
        if what == "files":
            (place / "data" / "site.json").write_text("{}")
        if what == "added":
            (place / "CNAME").write_text("mine")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="--export") as told:
        export(open_target(str(out)), place, tmp_path / "cache")
    assert len(str(told.value).splitlines()) == 1
    assert sorted(path.name for path in tmp_path.rglob("*") if "cache" not in path.parts) == before
