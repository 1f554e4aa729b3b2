"""`snellen review` of what is wrong: rows, files, logs, calls; one line each, and nothing is written."""

import random

import pytest
from commands import one_line, run_cli
from hard_set import MadeUpImage, images_of, verdict_on, write_hard_set
from looking import tree
from review_files import SHARK, filled, set_cells, taken

from snellen.errors import DataError, UsageError
from snellen.mining.hardset import read
from snellen.mining.log import append
from snellen.mining.review import verdicts_of


def swap_ids(rows):
    for name in ("image_id", "origin"):
        rows[0][name], rows[1][name] = rows[1][name], rows[0][name]


def twice(rows):
    rows.append(dict(rows[1]))


def without(column):
    def change(rows):
        for row in rows:
            del row[column]

    return change


GONE = MadeUpImage("gone.jpg").id


@pytest.mark.parametrize(
    ("said", "change", "words"),
    [
        (("kepp",), None, "row 3: the verdict 'kepp' is none of keep, drop, relabel, unsure; perhaps keep is meant"),
        (("relabel", "goldfisch"), None, "row 3: unknown class 'goldfisch' in imagenet-1k .* nearest is 'goldfish'"),
        (("relabel", "crane"), None, "row 3: class 'crane' is ambiguous: .*; use the key instead"),
        (("relabel", "1000"), None, "row 3: unknown class '1000'"),
        (("relabel", ""), None, "row 3: relabel, but no labels"),
        (("relabel", " | "), None, "row 3: relabel, but no labels"),
        (("relabel", "goldfish"), None, "row 3: relabel, but 'goldfish' is what the image has; write keep"),
        (("drop", "goldfish"), None, "row 3: labels, but the verdict drop; labels go with relabel"),
        (("", "tench"), None, "row 3: labels, but no verdict"),
        (("", "", "blurred"), None, "row 3: a reason, but no verdict"),
        (("keep", "", "x" * 10_001), None, "row 3: a reason of 10001 characters"),
        (("keep",), set_cells(3, id=GONE), f"row 3: there is no image '{GONE}' in the hard set"),
        (("keep",), set_cells(3, id=""), "row 3: there is no image ''"),
        (("keep",), set_cells(3, image_id="x"), "row 3: '[0-9a-f]{16}' is the id of 'kind/001.jpg', not of 'x'"),
        (("keep",), swap_ids, "row 2: .* sort rows as a whole; nothing was written; also wrong: row 3"),
        (("keep",), set_cells(3, sha256="0" * 63 + "7"), "row 3: 'kind/001.jpg' has changed since this was exported"),
        (
            ("keep",),
            set_cells(3, current_labels=SHARK),
            "row 3: current_labels says .*, the image has .* column labels",
        ),
        ((), set_cells(3, current_labels=SHARK), "row 3: current_labels says"),
        (("keep",), twice, "row 14: 'kind/001.jpg' is in row 3 too"),
        (("keep",), set_cells(3, based_on="x/1"), "row 3: based_on names 'x/1', which is no verdict here"),
        (("keep",), set_cells(3, exported_for="bob"), "row 3: it was exported for 'bob'; export again, for 'ada'"),
        (("keep",), without("sha256"), "a.csv' has no column 'sha256'; give a CSV that --export wrote"),
    ],
)
def test_a_wrong_row_is_named_and_nothing_is_written(said, change, words, hard, tmp_path):
    """A right row beside it is not taken either."""
    good = {"kind/004.jpg": ("drop",)}
    path = filled(hard, tmp_path / "a.csv", {"kind/001.jpg": said} | good, change=change)
    before = tree(hard)
    with pytest.raises(DataError, match=words) as told:
        taken(hard, path)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)
    assert tree(hard) == before


def test_every_wrong_row_is_named(hard, tmp_path):
    path = filled(hard, tmp_path / "a.csv", {f"kind/{k:03d}.jpg": ("no",) for k in range(12)})
    before = tree(hard)
    line = one_line(run_cli("review", hard, "--import", path, "--reviewer", "ada"))
    assert f"{path}', row 2: the verdict 'no' is none of keep, drop, relabel, unsure; nothing was written" in line
    assert line.endswith("also wrong: rows 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, …")
    assert tree(hard) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no column 'verdict'"),
        (b"id,verdict\r\n", "has no column 'labels'"),
        ("verdict;labels;reason;größe".encode("latin-1"), "is not UTF-8; let the spreadsheet save it as `CSV UTF-8`"),
        (b'id,"verdict\r\n', "is no CSV"),
    ],
)
def test_a_file_of_something_else(content, words, hard, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        taken(hard, path)


def test_cells_that_moved(hard, tmp_path):
    path = filled(hard, tmp_path / "a.csv", {"kind/001.jpg": ("keep",)})
    lines = path.read_text().splitlines()
    lines[2] = f'keep,,"sharp", and close{lines[2][5:]}'
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match="row 3 has more cells than the header"):
        taken(hard, path)


def test_an_image_that_is_not_mined_any_more(hard, tmp_path):
    path = filled(hard, tmp_path / "a.csv", {"kind/001.jpg": ("drop",)})
    write_hard_set(hard, images_of(6))
    assert taken(hard, path) == 1, "rows that say nothing of it are passed over"


def test_names_of_reviewers(hard, tmp_path):
    path = filled(hard, tmp_path / "a.csv", {"kind/001.jpg": ("drop",)})
    taken(hard, path, "Ada L")
    for name in ("ada l", "AdaL", "Ada  L"):
        with pytest.raises(UsageError, match="there is a reviewer 'Ada L'"):
            taken(hard, path, name)
    for name in ("", " ", "a\nb", "x" * 101, " ada"):
        with pytest.raises(UsageError, match="a reviewer's name is 1 to 100 characters"):
            taken(hard, path, name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--import", "a.csv"], "--import needs --reviewer NAME"),
        (["--import", "a.csv", "--export", "b.csv"], "--export and --import: give one of them"),
        (["--conflicts"], "--conflicts is of --export FILE"),
        (["--reviewer", "ada"], "--reviewer is of --export or --import"),
        (["--import", "nothing.csv", "--reviewer", "ada"], "no file 'nothing.csv'"),
        (["--export", "no/folder/a.csv"], "cannot write below 'no/folder/a.csv'"),
    ],
)
def test_a_wrong_call_is_one_line(options, words, hard):
    assert words in one_line(run_cli("review", hard, *options, cwd=hard.parent))


def test_an_export_writes_over_nothing(hard, tmp_path):
    path = filled(hard, tmp_path / "a.csv", {"kind/001.jpg": ("drop",)})
    before = path.read_bytes()
    assert "there is a file" in one_line(run_cli("review", hard, "--export", path))
    assert path.read_bytes() == before
    assert "is no hard set" in one_line(run_cli("review", tmp_path, "--export", tmp_path / "b.csv"))


def test_a_log_that_is_wrong_stops_everything(hard, tmp_path):
    (image, *_) = images_of(1)
    append(hard, [verdict_on(image, "keep")])
    (hard / "verdicts" / "copied.jsonl").write_bytes(b'{"verdict": "keep"}\n')
    path = tmp_path / "a.csv"
    for options in ([], ["--export", path]):
        line = one_line(run_cli("review", hard, *options))
        assert "verdicts/copied.jsonl, line 1 is no verdict: it has no 'id'" in line
    assert not path.exists()


def mutated(data, rng):
    """Some bytes of a file changed, doubled, moved or gone."""
    text = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        start, length = rng.randrange(len(text) + 1), rng.choice([1, 2, 8, 64])
        piece = rng.choice(
            [bytes([rng.randrange(256)]), text[start : start + length] * 2, b"", b'"', b"\n", b"9" * 5000]
        )
        text[start : start + rng.choice([0, length])] = piece
    return bytes(text)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_cost_one_line(seed, hard, tmp_path):
    """Whatever a CSV or a log became, it is read or refused; nothing else is raised and nothing written."""
    rng = random.Random(seed)
    said = {f"kind/{k:03d}.jpg": ("relabel", "tench | 5") for k in range(1, 5)}
    whole = filled(hard, tmp_path / "a.csv", said).read_bytes()
    append(hard, [verdict_on(image, seq=k, reason="é") for k, image in enumerate(images_of(12)[6:])])
    good = read(hard)
    log = next((hard / "verdicts").iterdir())
    lines, path = log.read_bytes(), tmp_path / "b.csv"
    refused = []
    for _ in range(100):
        path.write_bytes(mutated(whole, rng))
        try:
            assert len(verdicts_of(path, good, "bob")) <= 12
        except DataError as error:
            refused.append(str(error))
        log.write_bytes(mutated(lines, rng))
        try:
            assert len(read(hard).images) == 12
        except DataError as error:
            refused.append(str(error))
    assert 40 < len(refused) < 200
    assert not [text for text in refused if "\n" in text]
