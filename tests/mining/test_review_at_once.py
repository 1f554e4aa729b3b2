"""`snellen review` by several at once, and disturbed at every step: nothing is lost, nothing is there twice."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hard_set import images_of, verdict_on
from review_files import filled

from snellen.mining.hardset import read
from snellen.mining.log import append
from snellen.mining.review import take


def import_at_once(hard, *given):
    """Import files, each (path, reviewer), by processes that run at once; the exit code and stderr of each."""
    command = [sys.executable, "-m", "snellen.cli", "review", hard, "--import"]
    processes = [
        subprocess.Popen(
            [*command, path, "--reviewer", reviewer], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for path, reviewer in given
    ]
    return [(process.communicate()[1], process.returncode)[::-1] for process in processes]


def test_two_imports_at_once(hard, tmp_path):
    """Whoever is first: each file is taken as a whole, once, or refused as a whole with a line that says why."""
    same = filled(hard, tmp_path / "a.csv", {f"kind/{k:03d}.jpg": ("keep",) for k in range(12)})
    other = filled(hard, tmp_path / "b.csv", {"kind/000.jpg": ("drop",), "kind/001.jpg": ("keep",)})
    ended = import_at_once(hard, (same, "ada"), (same, "ada"), (other, "ada"))
    refused = [told for code, told in ended if code]
    assert all(code in (0, 2) for code, _ in ended)
    assert all("the file is older than what was said" in told and told.count("\n") == 1 for told in refused)
    kept, dropped = any(code == 0 for code, _ in ended[:2]), ended[2][0] == 0
    assert kept or dropped
    found = read(hard)
    assert len({verdict.key for verdict in found.verdicts}) == len(found.verdicts) == 12 * kept + 2 * dropped
    assert [image.status for image in found.images[1:]] == ["kept"] + ["kept" if kept else "undecided"] * 10
    if kept and dropped:  # neither had seen the other
        assert (found.images[0].status, found.conflicts[0].why) == ("undecided", "stale")
    else:
        assert found.images[0].status == ("kept" if kept else "dropped")


def test_imports_that_did_not_see_each_other(hard, tmp_path):
    """Both have read the log before either writes: nothing is lost, and what they disagree on is a conflict."""
    twelve = filled(hard, tmp_path / "a.csv", {f"kind/{k:03d}.jpg": ("keep",) for k in range(12)})
    two = filled(hard, tmp_path / "b.csv", {"kind/000.jpg": ("drop",), "kind/001.jpg": ("keep",)})
    for name, other in (("ada", "stale"), ("bob", "reviewers disagree")):
        copy = Path(shutil.copytree(hard, tmp_path / name))
        before = [read(copy) for _ in range(3)]
        counts = [
            take(path, seen, who)
            for path, seen, who in zip((twelve, twelve, two), before, ("ada", "ada", name), strict=True)
        ]
        assert counts == [12, 0, 2]
        found = read(copy)
        assert len(found.verdicts) == 14
        assert [image.status for image in found.images] == ["undecided"] + ["kept"] * 11
        assert [(one.image.image_id, one.why) for one in found.conflicts] == [("kind/000.jpg", other)]


def test_reviewers_who_import_at_once(hard, tmp_path):
    said = {"ada": "keep", "bob": "drop", "cleo": "unsure"}
    sheets = [
        (filled(hard, tmp_path / f"{name}.csv", {f"kind/{k:03d}.jpg": (word,) for k in range(6)}), name)
        for name, word in said.items()
    ]
    assert [code for code, _ in import_at_once(hard, *sheets)] == [0, 0, 0]
    found = read(hard)
    assert len(found.verdicts) == 18
    for image in found.images[:6]:
        assert {verdict.reviewer: verdict.verdict for verdict in image.standing} == said
    assert [one.why for one in found.conflicts] == ["reviewers disagree"] * 6


@pytest.mark.parametrize(("how", "ending"), [("kill", -9), ("power", -9), ("ENOSPC", 3), ("EIO", 3)])
def test_an_import_disturbed_at_every_step(how, ending, hard, tmp_path):
    """Its verdicts are there as a whole or not at all; importing again leaves each once."""
    append(hard, [verdict_on(image, reviewer="bob", client=9, seq=k) for k, image in enumerate(images_of(12))])
    path = filled(hard, tmp_path / "a.csv", {f"kind/{k:03d}.jpg": ("drop",) for k in range(5)})
    (tmp_path / "steps").mkdir()
    program = Path(__file__).with_name("stepwise_import.py")
    done = subprocess.run(
        [sys.executable, program, hard, path, tmp_path / "steps", how], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(steps) > 4
    assert [step["ended"] for step in steps if step["ended"] != ending] in ([0], [0, 0])
    assert {tuple(step["between"]) for step in steps} == {(12, 0), (17, 5)}
    assert {step["again"] for step in steps} == {0}
    assert {tuple(step["after"]) for step in steps} == {(17, 5)}
