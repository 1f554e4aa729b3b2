"""`snellen show` as a user calls it: its answers are the study's, its pictures read back, its errors one line each."""

import io
import os
import shutil
import subprocess
import sys

import av
import numpy as np
import pytest
from commands import one_line, run_cli
from PIL import Image
from sights import sights

import snellen
from snellen.cli import main
from snellen.errors import DataError, UsageError
from snellen.labels import IMAGENET_1K
from snellen.picture import open_picture
from snellen.report.animate import frame_of
from snellen.report.names import PLACES
from snellen.report.sheet import layout
from snellen.show import SHEET, best_anchor, show
from snellen.zoom import PAPER_GRID, SCALES, Zoom
from snellen.zoom.render import decode, render


def call(capsys, monkeypatch, *arguments):
    """Exit code, output and errors of a command, in this process."""
    monkeypatch.setattr(sys, "argv", ["snellen", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    return stop.value.code, said.out, said.err


@pytest.fixture
def koala(examples_dir, tmp_path):
    """A photograph in a folder that names its class."""
    folder = tmp_path / "photos" / "n01882714"
    folder.mkdir(parents=True)
    return shutil.copy(examples_dir / "koala.jpg", folder / "koala.jpg")


def same_as_study(seen, run, row):
    """Whether the answers at all 324 zooms are those of a run's row: equal ids, equal p to rounding."""
    np.testing.assert_array_equal(seen.ids, run.answers()[row])
    np.testing.assert_allclose(seen.confidence, run.answers("p0")[row], atol=1e-6)
    np.testing.assert_array_equal(np.flatnonzero(run.scored() == row).size > 0, bool(seen.labels))
    if seen.labels:
        assert list(seen.labels) == run.labels()[row]
        np.testing.assert_array_equal(seen.right, run.correct()[list(run.scored()).index(row)])


def test_a_sheet_shows_what_a_study_of_the_image_finds(koala, tmp_path, capsys, monkeypatch):
    seen = show(koala, out=tmp_path / "out" / "koala.png")
    run = snellen.study("embedded/efficientnet_lite0", koala.parents[1], out=tmp_path / "runs")
    same_as_study(seen, run, 0)
    right = run.correct()[0]

    # the same by the command, whose sheet has the pixels of `render`
    file = tmp_path / "again.PNG"
    code, out, err = call(capsys, monkeypatch, "show", koala, "-o", file)
    shown = [zoom.index for zoom in SHEET]
    first, *progress = err.splitlines()
    assert (code, first) == (0, "preparing embedded/efficientnet_lite0")
    assert all(" of 324 views" in line for line in progress)  # a busy machine is told how far it is
    assert out == (
        f"koala.jpg: right at {right.sum()} of 324 zooms, {right[shown].sum()} of the 54 shown\nSheet: {file}\n"
    )
    assert file.read_bytes() == (tmp_path / "out" / "koala.png").read_bytes()
    sheet = np.asarray(Image.open(file))
    rules = [zoom.rule() for zoom in SHEET]
    places = layout(rules)
    assert sheet.shape == (places.height, places.width, 3)
    views = render(decode(koala), rules)
    for view, (left, top) in zip(views, places.views, strict=True):
        np.testing.assert_array_equal(sheet[top : top + 224, left : left + 224], view)


def save_odd_images(folder):
    """Photographs in forms that a study takes as they are."""
    rng = np.random.default_rng(0)
    base = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize((90, 120), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, which a study does not
    base.save(folder / "1exif.jpg", exif=exif)
    base.convert("L").save(folder / "2grey.png")
    alpha = base.convert("RGBA")
    alpha.putalpha(base.convert("L"))
    alpha.save(folder / "3alpha.png")
    Image.fromarray(rng.integers(0, 65536, (30, 40)).astype(np.uint16)).save(folder / "416bit.png")
    Image.new("RGB", (1, 1), (200, 30, 60)).save(folder / "5tiny.png")
    base.resize((1200, 12)).save(folder / "6wide.png")
    base.resize((1800, 1200)).save(folder / "7large.jpg")
    base.quantize(16).save(folder / "8film.gif", save_all=True, append_images=[base.convert("L").quantize(16)])


@pytest.mark.slow
def test_odd_images_are_read_as_a_study_reads_them(tiny, tmp_path):
    folder = tmp_path / "odd" / "koala"
    folder.mkdir(parents=True)
    save_odd_images(folder)
    run = snellen.study(tiny, folder.parent, out=tmp_path / "runs")
    assert not run.errors
    for row, name in enumerate(sorted(path.name for path in folder.iterdir())):
        assert run.image_ids[row] == f"koala/{name}"
        seen = show(folder / name, tiny, out=tmp_path / f"{name}.png", zooms=[Zoom(256, 1, 1)])
        same_as_study(seen, run, row)


def test_classes_that_take_no_part_are_masked_and_labels_are_the_data_sets(koala, tiny, tmp_path):
    """An image of ImageNet-A's layout: 200 classes take part, and its folder is its label."""
    root = tmp_path / "imagenet-a"
    os.renames(koala.parent, root / "n01882714")
    data = f"imagenet-a@{root}"
    run = snellen.study(tiny, data, out=tmp_path / "runs")
    seen = show(f"{data}:n01882714/koala.jpg", tiny, out=tmp_path / "a.png", zooms=[Zoom(10, 0, 0)])
    same_as_study(seen, run, 0)
    assert set(seen.ids.tolist()) <= set(run.class_map.taking_part.tolist())


@pytest.mark.parametrize(
    ("image", "label", "expected"),
    [
        ("examples:abbey.jpg", None, ["castle", "church", "monastery"]),
        ("examples:abbey.jpg", "n01882714", ["koala"]),
        ("examples:abbey.jpg", ["Koala bear", "0"], ["koala", "tench"]),
        ("FOLDER", None, ["koala"]),
        ("LINK", None, []),  # a link's own folder counts, and it names no class
        ("AMBIGUOUS", None, []),
    ],
)
def test_where_labels_come_from(image, label, expected, koala, tmp_path):
    (tmp_path / "crane").mkdir()
    paths = {"FOLDER": koala, "LINK": tmp_path / "link.jpg", "AMBIGUOUS": tmp_path / "crane" / "koala.jpg"}
    paths["LINK"].symlink_to(koala)
    shutil.copy(koala, paths["AMBIGUOUS"])
    said = []

    class Notes:
        status = staticmethod(said.append)

    picture = open_picture(paths.get(image, image))
    ids = picture.label_ids(IMAGENET_1K, [label] if isinstance(label, str) else label, Notes)
    assert [IMAGENET_1K.names[k] for k in ids] == expected
    assert [note.split(":")[0] for note in said] == (["no label"] if image == "AMBIGUOUS" else [])


def test_an_image_whose_id_holds_a_colon(tmp_path, koala):
    odd = tmp_path / "a:b" / "koala" / "12:30.jpg"
    odd.parent.mkdir(parents=True)
    shutil.copy(koala, odd)
    assert open_picture(f"{tmp_path / 'a:b'}:koala/12:30.jpg").name == "koala/12:30.jpg"
    assert open_picture(odd).folder == "koala"


@pytest.mark.parametrize("anchor", [None, (2, 0)])
def test_an_animation_asks_the_model_about_every_frame(anchor, koala, tiny, tmp_path):
    options = {"scales": (300, 200), "seconds": 1.2, "fps": 10, "anchor": anchor}
    seen = show(koala, tiny, out=tmp_path / "a.gif", **options)
    all_zooms = show(koala, tiny, out=tmp_path / "a.png")
    row, col = anchor or best_anchor(all_zooms)
    assert {(rule.row, rule.col) for rule in seen.rules} == {(row, col)}
    assert (seen.rules[0].scale, seen.rules[-1].scale) == (300, 200)
    np.testing.assert_array_equal(seen.views, render(decode(koala), seen.rules))

    # at a scale of the study, the study's answer
    for k, rule in enumerate(seen.rules):
        if rule.scale in SCALES:
            zoom = Zoom(rule.scale, row, col).index
            assert seen.ids[k] == all_zooms.ids[zoom]
            assert seen.label_confidence[k] == pytest.approx(all_zooms.label_confidence[zoom], abs=1e-6)

    shown = 0
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == len(seen.rules)
        for k in range(gif.n_frames):
            gif.seek(k)
            shown += gif.info["duration"]
            drawn = np.asarray(frame_of(seen, (200, 300), k)).astype(int)
            assert np.abs(np.asarray(gif.convert("RGB")) - drawn).mean() < 6
    assert shown == 1200


def test_mp4_by_the_command(koala, tiny, tmp_path, capsys, monkeypatch):
    file = tmp_path / "new folder" / "koala.mp4"
    code, out, err = call(
        capsys, monkeypatch, "show", koala, "-m", tiny, "-o", file, "-q", "--scales", "64:256", "--anchor", "1,1",
        "--seconds", "2", "--fps", "12", "--label", "koala",
    )  # fmt: skip
    assert (code, out, err) == (0, f"Animation: {file}\n", "")
    with av.open(str(file)) as film:
        stream = film.streams.video[0]
        assert (stream.frames, float(stream.average_rate), stream.codec_context.pix_fmt) == (24, 12.0, "yuv420p")
        assert float(stream.duration * stream.time_base) == 2.0


def test_the_anchor_that_was_chosen_is_said(koala, tiny, tmp_path, capsys, monkeypatch):
    file = tmp_path / "a.gif"
    how = ("--scales", "64:256", "--seconds", "0.5", "-q")
    code, out, err = call(capsys, monkeypatch, "show", koala, "-m", tiny, "-o", file, *how)
    row, col = best_anchor(show(koala, tiny, out=tmp_path / "a.png"))
    place = PLACES[3 * row + col]
    assert (code, out, err) == (0, f"Anchor: {place} ({row},{col}), the best\nAnimation: {file}\n", "")


def test_the_default_animations_are_small(examples_dir, tmp_path):
    show("examples:dragonfly.jpg", out=tmp_path / "a.gif", anchor=(1, 1))
    show("examples:dragonfly.jpg", out=tmp_path / "a.mp4", anchor=(1, 1))
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.size == (480, 666)
    assert (tmp_path / "a.gif").stat().st_size < 5e6
    assert (tmp_path / "a.mp4").stat().st_size < 2e6


def test_a_module_of_ones_own_classes(koala, tmp_path):
    import torch

    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2))
    classes = ["cat", "dog"]
    how = {"classes": classes, "name": "two", "backend": "torch", "device": "cpu"}
    seen = show(koala, network, out=tmp_path / "a.png", label="dog", zooms=[Zoom(224, 1, 1)], **how)
    assert seen.names == ("cat", "dog")
    assert seen.labels == (1,)
    logits = network(
        torch.from_numpy((seen.views / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).permute(0, 3, 1, 2).float()
    )
    np.testing.assert_allclose(seen.label_confidence, logits.softmax(1)[:, 1].detach(), atol=1e-5)


def test_best_anchor_is_the_one_most_often_right():
    seen = sights(list(PAPER_GRID), labels=(0,))
    anchors = [(row, col) for row in range(3) for col in range(3)]
    wins = {at: [k for k, rule in enumerate(PAPER_GRID) if (rule.row, rule.col) == at] for at in anchors}
    score = {at: (sum(seen.right[k] for k in ks), sum(seen.label_confidence[k] for k in ks)) for at, ks in wins.items()}
    assert best_anchor(seen) == max(score, key=score.get)
    unknown = sights(list(PAPER_GRID), labels=())
    score = {at: sum(unknown.confidence[k] for k in ks) for at, ks in wins.items()}
    assert best_anchor(unknown) == max(score, key=score.get)


WRONG = [
    (["x.png"], "x.jpg", "expected a file that ends in .png, .gif or .mp4"),
    (["x.png"], "picture", "expected a file that ends in .png, .gif or .mp4"),
    (["missing.jpg"], "x.png", "'missing.jpg' is not there; give an image file, or DATA:ID"),
    (["."], "x.png", "'.' is no file; give an image file"),
    (["a" * 300], "x.png", "cannot be shown"),
    (["exmples:koala.jpg"], "x.png", "did you mean 'examples'"),
    (["examples:koal.jpg"], "x.png", "examples has no image 'koal.jpg'; it has 'koala.jpg'"),
    (["notes.png"], "x.png", "'notes.png' cannot be shown: not an image"),
    (["empty.png"], "x.png", "the file is empty"),
    (["cut.jpg"], "x.png", "'cut.jpg' cannot be shown: image file is truncated"),
    (["KOALA", "--label", "koal"], "x.png", "unknown class 'koal' in imagenet-1k"),
    (["KOALA", "--label", "crane"], "x.png", "ambiguous"),
    (["KOALA", "--label", ""], "x.png", "unknown class ''"),
    (["KOALA", "--zooms", "257"], "x.png", "the nearest scales are 235, 240, 256"),
    (["KOALA", "--zooms", "256/1/3"], "x.png", "'256/1/3': col 3 is none of 0, 1, 2"),
    (["KOALA", "--zooms", "256/3/1"], "x.png", "'256/3/1': row 3 is none of 0, 1, 2"),
    (["KOALA", "--zooms", "256/1"], "x.png", "expected all, a group"),
    (["KOALA", "--zooms", "256/a/b"], "x.png", "expected all, a group"),
    (["KOALA", "--zooms", "in/1/1"], "x.png", "expected all, a group"),
    (["KOALA", "--zooms", "256,,512"], "x.png", "expected all, a group"),
    (["KOALA", "--zooms", ""], "x.png", "expected all, a group"),
    (["KOALA", "--zooms", "²"], "x.png", "expected all, a group"),
    (["KOALA", "--zooms", "all"], "x.gif", "--zooms is for a sheet (.png), not for 'x.gif'"),
    (["KOALA", "--scales", "32:64"], "x.png", "--scales is for an animation (.gif, .mp4), not for 'x.png'"),
    (["KOALA", "--anchor", "1,1"], "x.png", "--anchor is for an animation"),
    (["KOALA", "--fps", "5"], "x.png", "--fps is for an animation"),
    (["KOALA", "--anchor", "1,3"], "x.gif", "expected row and col, each 0, 1 or 2"),
    (["KOALA", "--anchor", "centre"], "x.gif", "expected row,col (0 … 2), or best"),
    (["KOALA", "--scales", "0:64"], "x.gif", "expected two of 1 … 4096"),
    (["KOALA", "--scales", "64"], "x.gif", "expected from:to, for example 32:1024"),
    (["KOALA", "--scales", "64:99999"], "x.mp4", "expected two of 1 … 4096"),
    (["KOALA", "--scales", "-1:64"], "x.gif", "expected from:to"),
    (["KOALA", "--seconds", "0"], "x.gif", "--seconds 0: expected more than 0, and at most 60"),
    (["KOALA", "--seconds", "nan"], "x.gif", "--seconds nan"),
    (["KOALA", "--seconds", "1e9"], "x.gif", "--seconds 1e+09"),
    (["KOALA", "--fps", "51"], "x.gif", "at most 50 for .gif"),
    (["KOALA", "--fps", "many"], "x.gif", "unable to parse string as a number"),
    (["KOALA", "-m", "embedded/none_such"], "x.png", "none_such"),
    (["KOALA", "-m", "embedded/*"], "x.png", "embedded"),
    (["KOALA", "-m", "vlm/llava@http://localhost:9"], "x.png", "answers in words"),
    (["KOALA", "--precision", "fp8"], "x.png", "unknown precision 'fp8'"),
    (["KOALA", "--backend", "none"], "x.png", "unknown backend 'none'"),
    (["KOALA", "--device", "tpu"], "x.png", "unknown device 'tpu'"),
    (["KOALA", "--batch-size", "0"], "x.png", "expected a whole number of at least 1, or auto"),
    (["KOALA"], "there.png", "'there.png' is there already and is not written over"),
    (["KOALA"], "folder.png", "'folder.png' is there already"),
    (["KOALA"], "dangling.png", "'dangling.png' is there already"),
    (["KOALA"], "there.png/x.png", "it is no folder; choose another place with -o"),
    (["KOALA"], "x" * 260 + ".png", "File name too long"),
    ([], "x.png", "Missing argument"),
    (["KOALA"], None, "Missing option '--out'"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "out", "message"), WRONG, ids=[f"{k}" for k in range(len(WRONG))])
def test_a_wrong_call_costs_one_line_and_leaves_nothing(arguments, out, message, koala, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.png").write_text("no picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "cut.jpg").write_bytes(koala.read_bytes()[:30_000])
    (tmp_path / "there.png").write_text("mine")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dangling.png").symlink_to("nowhere")
    before = sorted(tmp_path.iterdir())
    given = [str(koala) if word == "KOALA" else word for word in arguments]
    where = ["-o", out] if out is not None else []
    code, said, err = call(capsys, monkeypatch, "show", *given, *where, "-q")
    assert (code, said) == (2, "")
    assert err.startswith("snellen: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.png").read_text() == "mine"


@pytest.mark.parametrize("zoom", [Zoom(257, 1, 1), Zoom(256, 3, 0), Zoom(256, 0, -1)])
def test_a_zoom_that_the_study_has_not_is_found_before_the_work(zoom, tmp_path):
    with pytest.raises(UsageError, match="is none of the study's 324"):
        show("missing.jpg", out=tmp_path / "x.png", zooms=[zoom])


def test_a_folder_without_permission(koala, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match="no permission; choose another place with -o"):
        show(koala, out=tmp_path / "x.png")


def test_a_file_that_comes_in_between_is_not_written_over(koala, tiny, tmp_path, monkeypatch):
    out = tmp_path / "x.png"

    def render_late(*arguments):
        out.write_text("mine")
        return render(*arguments)

    monkeypatch.setattr(sys.modules["snellen.show"], "render", render_late)  # `snellen.show` is the function
    with pytest.raises(UsageError, match="is there already"):
        show(koala, tiny, out=out)
    assert out.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []


def test_logits_that_are_no_numbers(koala, tmp_path):
    import torch

    class Bad(torch.nn.Module):
        def forward(self, views):
            return views.mean((2, 3)) * torch.where(views.mean() < -1.5, torch.nan, 1.0)  # the darkest

    how = {"classes": ["a", "b", "c"], "backend": "torch", "device": "cpu"}
    with pytest.raises(DataError, match="cannot be shown: the model's logits on it are not all numbers"):
        show(koala, Bad(), out=tmp_path / "x.png", **how)


def test_progress_is_told_where_it_takes_long(koala, tiny, tmp_path, monkeypatch):
    said = []

    class Notes:
        status = staticmethod(said.append)

    monkeypatch.setattr(sys.modules["snellen.show"], "EVERY", 0.0)
    show(koala, tiny, out=tmp_path / "x.png", batch_size=100, report=Notes)
    assert [line.split(" views")[0] for line in said[1:]] == ["100 of 324", "200 of 324", "300 of 324"]
    assert said[-1].endswith(" s left")


def test_as_a_process_without_torch(koala, tmp_path):
    """With OpenVINO only a child process imports torch, to prepare the model once."""
    code = (
        "import sys; from snellen.show import show; show(sys.argv[1], out=sys.argv[2]); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, koala, tmp_path / "x.png"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
    assert "is there already" in one_line(run_cli("show", koala, "-o", tmp_path / "x.png"))
    assert Image.open(io.BytesIO((tmp_path / "x.png").read_bytes())).format == "PNG"
