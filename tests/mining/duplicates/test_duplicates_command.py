"""The command `duplicates`: on copies planted beside the shipped photographs, on a hard set, and called wrongly."""

import hashlib
import io
import json
import subprocess
import sys
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from commands import one_line, run_cli
from hard_set import MadeUpImage, write_hard_set
from PIL import Image, ImageOps

from snellen.cli import app
from snellen.datasets import open_dataset
from snellen.errors import DataError, ModelError, UsageError
from snellen.mining.duplicates import given as duplicates_given
from snellen.mining.duplicates.duplicates import DUPLICATES
from snellen.mining.hardset import read
from snellen.mining.mined import image_key, read_rows
from snellen.mining.publish.rows import CONTAMINATED, DUPLICATE, select
from snellen.mining.sheet import sheet


def half(image):
    return image.resize((image.width // 2, image.height // 2))


def cut(image):
    return image.crop((image.width // 10, image.height // 10, image.width, image.height))


PLANTED = {
    "chelsea.jpg": ("copy", 40, lambda image: image),
    "citrus.jpg": ("copy", 90, half),
    "fig.jpg": ("crop", 90, cut),
    "clock.jpg": ("flip", 60, ImageOps.mirror),
}


@pytest.fixture(scope="module")
def examples():
    data = open_dataset("examples")
    return {item.id: data.read(k) for k, item in enumerate(data.items)}


@pytest.fixture(scope="module")
def copies(examples, tmp_path_factory):
    """A data set of copies, each named after what it is of."""
    folder = tmp_path_factory.mktemp("planted") / "copies"
    folder.mkdir()
    for name, (_, quality, change) in PLANTED.items():
        with Image.open(io.BytesIO(examples[name])) as image:
            change(image.convert("RGB")).save(folder / f"copy of {name}", quality=quality)
    return folder


def in_process(*arguments):
    """A call whose error is raised, as `snellen.cli.main` would print it."""
    return app([*map(str, arguments)], standalone_mode=False)


def hard_set(folder, sources, images):
    """A HARD folder with `images`, pairs of origin and id with their bytes, mined from `sources`."""
    made = [MadeUpImage(name, origin=origin, sha256=hashlib.sha256(data).hexdigest()) for origin, name, data in images]
    write_hard_set(folder, made)
    record = json.loads((folder / "mine.json").read_text())
    record["sources"] = [{"spec": str(source)} for source in sources]
    (folder / "mine.json").write_text(json.dumps(record))
    return folder


def test_copies_planted_among_data_sets(copies, examples, tmp_path):
    (copies / "broken.jpg").write_bytes(b"no image")
    try:
        done = run_cli("duplicates", "examples", copies, "--json", cwd=tmp_path)
    finally:
        (copies / "broken.jpg").unlink()
    assert done.returncode == 4, done.stderr
    told = json.loads(done.stdout)
    assert (told["path"], told["model"]) == ("duplicates.parquet", "embedded/efficientnet_lite0")
    assert (told["images"], told["reference"]) == (len(examples) + len(PLANTED) + 1, 0)
    assert [one[:2] for one in told["unreadable"]] == [["copies", "broken.jpg"]]
    assert (told["clusters"], told["leave"], told["in_reference"]) == (len(PLANTED), len(PLANTED), 0)
    assert told["kinds"] == {
        "copy": {"clusters": 2, "images": 2},
        "crop": {"clusters": 1, "images": 1},
        "flip": {"clusters": 1, "images": 1},
    }
    for pair in told["pairs"]:
        name = pair["twin_image_id"]
        assert (pair["image_id"], pair["kind"]) == (f"copy of {name}", PLANTED[name][0])
        assert (pair["origin"], pair["twin_origin"], pair["twin"]) == (
            "copies",
            "examples",
            image_key("examples", name),
        )
    scores = [pair["score"] for pair in told["pairs"]]
    assert scores == sorted(scores)
    assert all(0.8 <= score <= 1 for score in scores)
    table = pq.read_table(tmp_path / "duplicates.parquet")
    assert table.schema.equals(DUPLICATES)
    left = {row["id"] for row in table.to_pylist() if not row["kept"]}
    assert left == {pair["id"] for pair in told["pairs"]}


def test_a_hard_set_and_a_reference(copies, examples, tmp_path):
    """One image is in it twice, one in the reference; the rest of the data set does not matter."""
    own = tmp_path / "mined"
    own.mkdir()
    names = ("chelsea.jpg", "fig.jpg", "koala.jpg", "rocket.jpg")
    for name in names:
        (own / name).write_bytes(examples[name])
    (own / "koala again.jpg").write_bytes(examples["koala.jpg"])
    (own / "rocket again.jpg").write_bytes(examples["rocket.jpg"])
    mined = [("mined", name, (own / name).read_bytes()) for name in (*names, "koala again.jpg")]
    hard = hard_set(tmp_path / "hard", [own], mined)
    before = {path.name: path.read_bytes() for path in hard.iterdir()}
    done = run_cli("duplicates", hard, "--reference", copies, "-m", "none", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "5 images and 4 of the reference: 2 clusters of one picture, 1 of them with the reference; 2 images leave"
    )
    assert "mined: chelsea.jpg" in done.stdout
    assert "copies: copy of chelsea.jpg" in done.stdout
    assert lines[-1] == f"All clusters: {hard / 'duplicates.parquet'}"
    assert {path.name: path.read_bytes() for path in hard.iterdir() if path.name in before} == before
    # What reads it: publishing leaves both out, and the sheet for review says why.
    selection = select(read(hard), read_rows(hard, "duplicates"), "keep")
    # Of equal files the first stays, in the order of candidates.parquet.
    assert [image.mined.image_id for image in selection.images] == ["fig.jpg", "koala.jpg", "rocket.jpg"]
    assert list(selection.left_out.values()) == [CONTAMINATED, DUPLICATE]
    assert b"copy of chelsea.jpg" in sheet(read(hard), None)
    # Again, without the reference: an earlier table is replaced.
    in_process("duplicates", hard, "-m", "none", "-q")
    rows = read_rows(hard, "duplicates")
    assert {row["image_id"] for row in rows} == {"koala.jpg", "koala again.jpg"}


def test_where_the_mined_data_lies_now(copies, examples, tmp_path, capsys):
    own = tmp_path / "mined"
    own.mkdir()
    for name in ("fig.jpg", "koala.jpg"):
        (own / name).write_bytes(examples[name])
    hard = hard_set(tmp_path / "hard", [own], [("mined", "fig.jpg", examples["fig.jpg"])])
    (tmp_path / "away").mkdir()
    own.rename(tmp_path / "away" / "mined")
    with pytest.raises(DataError, match="--data"):
        in_process("duplicates", hard, "-m", "none", "-q")
    assert not (hard / "duplicates.parquet").exists()
    moved = tmp_path / "away" / "mined"
    in_process("duplicates", hard, "-m", "none", "-q", "--data", moved, "--json", "-o", tmp_path / "found.parquet")
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["clusters"], told["model"]) == (1, 0, None)
    assert pq.read_table(tmp_path / "found.parquet").num_rows == 0
    (moved / "fig.jpg").write_bytes(examples["koala.jpg"])
    with pytest.raises(DataError, match=r"'fig.jpg' of .* has changed since it was mined"):
        in_process("duplicates", hard, "-m", "none", "-q", "--data", moved)


def test_only_the_first_images(copies, tmp_path, capsys):
    """`--limit` is of each data set, not of the reference."""
    out = tmp_path / "found.parquet"
    in_process("duplicates", copies, "--reference", "examples", "--limit", 2, "-m", "none", "-o", out, "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["reference"], told["in_reference"]) == (2, 16, 2)
    assert {pair["image_id"] for pair in told["pairs"]} == {"copy of chelsea.jpg", "copy of citrus.jpg"}


def test_wrong_calls(copies, tmp_path):
    hard = hard_set(tmp_path / "hard", ["examples"], [("examples", "fig.jpg", b"")])
    out = tmp_path / "notes.parquet"
    out.write_text("mine")
    folder = tmp_path / "else" / "copies"
    folder.mkdir(parents=True)
    (folder / "copy of fig.jpg").write_bytes((copies / "copy of fig.jpg").read_bytes())
    calls = {
        "is a hard set: give it alone": [hard, copies],
        "of a hard set every image is compared": [hard, "--limit", 3],
        "--data is of a hard set": [copies, "--data", copies],
        "is there and no table of duplicates": [copies, "-o", out],
        "is a folder": [copies, "-o", tmp_path],
        "in a folder that is not there": [copies, "-o", tmp_path / "gone" / "found.parquet"],
        "nothing tells them apart": [copies, "--reference", folder],
        "no data set": [tmp_path / "nothing"],
        "has changed since it was mined": [hard],
        "nonsense": [copies, "-m", "nonsense", "-o", tmp_path / "new.parquet"],
    }
    for why, arguments in calls.items():
        place = [] if "-o" in arguments or hard in arguments else ["-o", tmp_path / "new.parquet"]
        with pytest.raises(UsageError, match=why):
            in_process("duplicates", *arguments, *place, "-q")
    assert out.read_text() == "mine"
    assert not (tmp_path / "new.parquet").exists()
    assert not (hard / "duplicates.parquet").exists()
    assert "give it alone" in one_line(run_cli("duplicates", hard, copies))


def test_a_model_without_embedding(copies, tmp_path, monkeypatch):
    plain = SimpleNamespace(text="m", generative=False, card=SimpleNamespace(embed_dim=0))
    monkeypatch.setattr(duplicates_given, "prepare_model", lambda *_: plain)
    with pytest.raises(ModelError, match=r"m has no embedding .* or -m none"):
        in_process("duplicates", copies, "-o", tmp_path / "found.parquet", "-q")


def test_its_start_is_light():
    """A wrong call is told before anything heavy is imported."""
    code = (
        "import sys\nfrom snellen.cli import app\n"
        "try: app(['duplicates', 'x', '--data', 'y'], standalone_mode=False)\n"
        "except Exception as error: assert '--data' in str(error), error\n"
        "print(*sorted({'torch', 'timm', 'ray', 'onnxruntime', 'openvino'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
