"""Thumbnails, pictures and views: pixels against Pillow's and the renderer's, tags, the cache, what is not shown."""

import io
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest
from page import MadeUpSet, client, digest_of, served
from PIL import Image

from snellen.errors import UsageError
from snellen.labels import IMAGENET_1K
from snellen.web import viewed
from snellen.web.drawing import Drawer, Drawers
from snellen.web.references import References
from snellen.web.site import open_target
from snellen.zoom import PAPER_GRID, Grid, ViewRule, paper_grid
from snellen.zoom.render import UnreadableImage, decode, render_plain, without_border


def pixels(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def photos(examples_dir):
    return [path.read_bytes() for path in sorted(examples_dir.glob("*.jp*g"))[:4]]


def png(width, height):
    """A picture whose colours change from corner to corner."""
    across, down = np.linspace(0, 255, width), np.linspace(0, 255, height)
    sides = [np.broadcast_to(one, (height, width)) for one in (across, down[:, None], across[::-1])]
    file = io.BytesIO()
    Image.fromarray(np.stack(sides, axis=2).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("zoom", [0, 40, 112, 200, 323])
def test_a_view_has_the_pixels_of_pillows_whole_resize_and_crop(photos, drawers, tmp_path, zoom):
    asked = client(served(tmp_path, drawers, MadeUpSet(photos)))
    answer = asked.get(f"/views/s0/1/{zoom}.png")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    expected = render_plain(decode(photos[1]), [PAPER_GRID.rules[zoom]])[0]
    assert np.array_equal(pixels(answer.content), expected)


def test_views_of_models_with_other_grids_and_of_sets_with_a_border(photos, drawers, tmp_path):
    own = Grid("own", (ViewRule(236, 1, 1, 224, "bilinear", "spread"),))
    grids = {"m0": paper_grid(336), "m1": own}
    asked = client(served(tmp_path, drawers, MadeUpSet(photos, grids, border=2)))
    image = without_border(decode(photos[0]), 2)
    for model, grid, zoom in (("m0", grids["m0"], 112), ("m1", own, 0), ("", PAPER_GRID, 112)):
        answer = asked.get(f"/views/s0/0/{zoom}.png", params={"model": model} if model else {})
        assert np.array_equal(pixels(answer.content), render_plain(image, [grid.rules[zoom]])[0])
    assert asked.get("/views/s0/0/1.png?model=m1").status_code == 404
    assert asked.get("/views/s0/0/0.png?model=m2").status_code == 404


def test_thumbnails_and_pictures_are_the_image_made_smaller(photos, drawers, tmp_path):
    images = [*photos, png(3000, 900), png(20, 31)]
    asked = client(served(tmp_path, drawers, MadeUpSet(images)))
    for position, data in enumerate(images):
        whole = np.asarray(decode(data))
        for kind, side in (("thumbs", 160), ("pictures", 1280)):
            answer = asked.get(f"/{kind}/s0/{position}.jpg")
            found = pixels(answer.content)
            height, width = whole.shape[:2]
            factor = min(1, side / max(width, height))
            assert max(found.shape[:2]) == min(side, max(width, height))
            assert np.abs(np.array(found.shape[:2]) - factor * np.array([height, width])).max() <= 1
            # Parts of it have the same mean colour, whatever JPEG makes of the details.
            few = [np.asarray(Image.fromarray(one).resize((8, 8), Image.Resampling.BOX), int) for one in (found, whole)]
            assert np.abs(few[0] - few[1]).max() <= 10


def test_it_is_oriented_as_the_models_see_it_and_tells_nothing_of_the_file(drawers, tmp_path):
    file = io.BytesIO()
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter turn
    turned[0x010F] = "a camera"
    Image.new("RGB", (90, 30), "red").save(file, "JPEG", exif=turned, comment=b"at home")
    answer = client(served(tmp_path, drawers, MadeUpSet([file.getvalue()]))).get("/pictures/s0/0.jpg")
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (90, 30)
        assert not image.getexif()
        assert "comment" not in image.info
    assert b"a camera" not in answer.content


def test_tags_say_what_has_not_changed(photos, drawers, tmp_path):
    asked = client(served(tmp_path, drawers, MadeUpSet(photos)))
    seen = set()
    for address in ("/thumbs/s0/0.jpg", "/thumbs/s0/1.jpg", "/pictures/s0/0.jpg", "/views/s0/0/9.png"):
        tag = asked.get(address).headers["etag"]
        again = asked.get(address, headers={"if-none-match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert asked.get(address, headers={"if-none-match": '"another"'}).status_code == 200
        seen.add(tag)
    assert len(seen) == 4
    assert asked.get("/thumbs/s0/0.jpg").headers["cache-control"] == "no-cache"
    assert "immutable" in asked.get("/thumbs/s0/0.jpg?v=1").headers["cache-control"]


def test_what_was_made_is_kept_by_its_content_and_the_original_left_alone(photos, drawers, tmp_path):
    hashed = MadeUpSet(photos, hashes=[digest_of(data) for data in photos])
    first = client(served(tmp_path, drawers, hashed)).get("/thumbs/s0/2.jpg")
    assert hashed.reads == 1
    warm = MadeUpSet(photos, hashes=hashed.hashes)
    again = client(served(tmp_path, drawers, warm)).get("/thumbs/s0/2.jpg")
    assert again.content == first.content
    assert warm.reads == 0  # the cache knows it by the hash that the run recorded
    other = client(served(tmp_path, drawers, MadeUpSet(photos[::-1]))).get("/thumbs/s0/2.jpg")
    assert other.content != first.content


def test_what_cannot_be_shown_costs_one_line_and_not_the_server(photos, drawers, tmp_path):
    images = [b"", b"no image", photos[0][:500], photos[0], photos[1]]
    hashes = [None, None, None, "0" * 64, None]
    asked = client(served(tmp_path, drawers, MadeUpSet(images, hashes=hashes)))
    for position, why in ((0, "empty"), (1, "not an image"), (2, "cannot be shown"), (3, "not the one")):
        for address in (f"/thumbs/s0/{position}.jpg", f"/views/s0/{position}/0.png"):
            answer = asked.get(address)
            assert answer.status_code == 404
            assert why in answer.json()["error"]
            assert "\n" not in answer.json()["error"]
    assert asked.get("/thumbs/s0/4.jpg").status_code == 200


def test_a_drawing_process_that_dies_is_replaced(photos, drawers, tmp_path):
    asked = client(served(tmp_path, drawers, MadeUpSet(photos)))
    asked.get("/views/s0/0/0.png")
    process = drawers._all[0]._process
    process.kill()
    process.wait()
    assert asked.get("/views/s0/0/1.png").status_code == 200
    assert drawers._all[0]._process is not process


def test_a_server_that_ends_as_it_starts_leaves_no_drawing_process(monkeypatch):
    started, going_on = threading.Event(), threading.Event()
    made = []

    def slow(*given, **more):
        started.set()
        assert going_on.wait(60)
        made.append(subprocess.Popen(*given, **more))
        return made[-1]

    monkeypatch.setattr("snellen.web.drawing.subprocess", SimpleNamespace(Popen=slow, PIPE=subprocess.PIPE))
    pool = Drawers(1)
    pool.warm()
    assert started.wait(60)
    with ThreadPoolExecutor(1) as threads:
        closing_it = threads.submit(pool.close)
        going_on.set()
        closing_it.result(60)
    assert [process.poll() is not None for process in made] == [True]
    with pytest.raises(UnreadableImage, match="ending"):
        pool.smaller(png(20, 10), 160)
    assert len(made) == 1


def test_links_out_of_the_folder_are_shown_here_alone_unless_a_run_recorded_their_content(photos, drawers, tmp_path):
    bare = MadeUpSet(photos, out=[1])
    assert client(served(tmp_path / "a", drawers, bare)).get("/thumbs/s0/1.jpg").status_code == 200
    elsewhere = client(served(tmp_path / "b", drawers, bare, outside=False))
    answer = elsewhere.get("/thumbs/s0/1.jpg")
    assert answer.status_code == 404
    assert "outside" in answer.json()["error"]
    assert elsewhere.get("/thumbs/s0/0.jpg").status_code == 200
    recorded = MadeUpSet(photos, out=[1], hashes=[digest_of(data) for data in photos])
    asked = client(served(tmp_path / "c", drawers, recorded, outside=False))
    assert asked.get("/thumbs/s0/1.jpg").status_code == 200


def large_png(width, height):
    """A picture of one bit a pixel, whose file is small."""
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_of_large_images_one_is_decoded_at_a_time(monkeypatch):
    data = large_png(10_000, 6_000)
    pool, running, most = Drawers(2), [], []
    real = Drawer.ask

    def ask(self, job, given):
        if not job["alone"]:
            return real(self, job, given)
        running.append(job)
        most.append(len(running))
        try:
            return real(self, job, given)
        finally:
            running.pop()

    monkeypatch.setattr(Drawer, "ask", ask)
    with closing(pool), ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda k: pool.smaller(data, 160), range(3)))
        assert {pixels(one).shape for one in made} == {(96, 160, 3)}
        assert most == [1, 1, 1]
        with Image.open(io.BytesIO(pool.view(data, "0" * 64, 0, PAPER_GRID, 112))) as view:
            assert view.size == (224, 224)
        assert pixels(pool.smaller(png(200, 100), 160)).shape == (80, 160, 3)
    assert most == [1, 1, 1, 1]  # and not for the small one


def test_images_of_more_pixels_than_models_are_shown_are_not_shown(drawers, tmp_path):
    asked = client(served(tmp_path, drawers, MadeUpSet([large_png(14_000, 13_000)])))
    for address in ("thumbs/s0/0.jpg", "pictures/s0/0.jpg", "views/s0/0/0.png"):
        answer = asked.get(f"/{address}")
        assert answer.status_code == 404
        assert "pixels" in answer.json()["error"]


def test_files_that_are_too_long_are_not_read(photos, tmp_path, monkeypatch):
    (tmp_path / "data" / "tench").mkdir(parents=True)
    for k in range(2):
        (tmp_path / "data" / "tench" / f"{k}.jpg").write_bytes(photos[k])
    (one,) = open_target(str(tmp_path / "data")).sets.values()
    sizes = [len(photos[k]) for k in range(2)]
    long = sizes.index(max(sizes))
    monkeypatch.setattr(viewed, "MOST_BYTES", max(sizes) - 1)
    monkeypatch.setattr(one.dataset, "read", lambda k: photos[k] if k != long else pytest.fail("it was read"))
    assert one.image(1 - long) == photos[1 - long]
    with pytest.raises(OSError, match="more than"):
        one.image(long)


def test_which_images_of_a_folder_lead_out(photos, tmp_path):
    from snellen.datasets.folder import FolderDataSet

    for name in ("data/tench/a.jpg", "data/other/b.jpg", "data-secret/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(photos[0])
    (tmp_path / "data/tench/in.jpg").symlink_to("../other/b.jpg")
    (tmp_path / "data/tench/out.jpg").symlink_to(tmp_path / "data-secret/c.jpg")
    (tmp_path / "data/shark").symlink_to(tmp_path / "data-secret")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    for root in (tmp_path / "data", tmp_path / "link"):
        found = FolderDataSet(root)
        out = {item.id for k, item in enumerate(found.items) if found.leads_out(k)}
        assert out == {"tench/out.jpg", "shark/c.jpg"}


def test_examples_of_classes_come_from_their_folders(photos, drawers, tmp_path):
    for name in ("n01440764/b.jpg", "n01440764/a.JPG", "n01440764/note.txt", "great_white_shark/x.jpg", "none/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(photos[0] if "a." in name else photos[1])
    (tmp_path / "n01440764/c.jpg").symlink_to("/etc/passwd")
    references = References(tmp_path, [IMAGENET_1K], outside=False)
    assert [references.count(key) for key in ("n01440764", "n01484850", "none", "..")] == [2, 1, 0, 0]
    asked = client(served(tmp_path / "cache", drawers, references=references))
    assert asked.get("/data/site.json").json()["references"] is True
    assert asked.get("/data/references.json").json() == {"n01440764": 2, "n01484850": 1}
    found = pixels(asked.get("/references/n01440764/0.jpg").content)
    assert max(found.shape) == 160
    for address in ("n01440764/2", "none/0", "..%2Fn01440764/0", "n01440764/-1", f"{tmp_path}/n01440764/0"):
        assert asked.get(f"/references/{address}.jpg").status_code == 404
    # A file that is replaced by a link, after it was listed.
    (tmp_path / "n01440764/b.jpg").unlink()
    (tmp_path / "n01440764/b.jpg").symlink_to(tmp_path.parent / "elsewhere.jpg")
    (tmp_path.parent / "elsewhere.jpg").write_bytes(photos[2])
    assert asked.get("/references/n01440764/1.jpg").status_code == 404
    with pytest.raises(UsageError, match="no folder in it is named by a class"):
        References(tmp_path / "none", [IMAGENET_1K])
    with pytest.raises(UsageError, match="give a folder"):
        References(tmp_path / "nowhere", [IMAGENET_1K])
