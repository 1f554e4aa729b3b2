"""Run directories that were damaged, mixed up or edited by hand: what is damaged is done again, or refused."""

import hashlib
import json
import random
import shutil
from pathlib import Path

import pytest
from disturbed import lost_rows, run
from looking import only_run, record, tree
from safetensors.torch import load_file, save_file

import snellen
from snellen.errors import UsageError


@pytest.fixture
def damaged(undisturbed, tmp_path):
    """A finished study that a test may damage: its OUT."""
    return Path(shutil.copytree(undisturbed.out, tmp_path / "out"))


@pytest.fixture(scope="module")
def other(pictures, tiny_weights, tmp_path_factory):
    """The same pictures in the same shards, by a network with other weights: its run directory."""
    folder = tmp_path_factory.mktemp("other")
    state = load_file(tiny_weights)
    state["classifier.weight"] *= -1
    save_file(state, folder / "w.safetensors")
    model = f"timm/lcnet_035@{folder / 'w.safetensors'},mean=0.5,std=0.5"
    assert run(pictures, model, folder / "out").returncode == 0
    return only_run(folder / "out")


def part_of(folder, shard, kind="predictions"):
    return folder / "parts" / json.loads(record_of(folder, shard).read_bytes())["files"][kind]["name"]


def record_of(folder, shard):
    return folder / "commits" / f"{shard:05d}.json"


def edit(file, change):
    content = json.loads(file.read_bytes())
    change(content)
    file.write_text(json.dumps(content, indent=1))


def seal_again(folder, shard, kind="predictions"):
    """Make a record name the bytes that its part holds now, as somebody who edits by hand and knows how might."""
    data = part_of(folder, shard, kind).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    edit(record_of(folder, shard), lambda r: r["files"][kind].update(bytes=len(data), sha256=digest))


def part_truncated(folder, other):
    file = part_of(folder, 2)
    file.write_bytes(file.read_bytes()[:-100])


def part_emptied(folder, other):
    part_of(folder, 2, "samples").write_bytes(b"")


def part_removed(folder, other):
    part_of(folder, 2, "merged").unlink()


def bit_of_a_part_flipped(folder, other):
    data = bytearray(part_of(folder, 2).read_bytes())
    data[len(data) // 2] ^= 16
    part_of(folder, 2).write_bytes(data)


def part_of_another_shard(folder, other):
    part_of(folder, 2).write_bytes(part_of(folder, 3).read_bytes())


def two_parts_swapped(folder, other):
    one, two = part_of(folder, 2).read_bytes(), part_of(folder, 3).read_bytes()
    part_of(folder, 2).write_bytes(two)
    part_of(folder, 3).write_bytes(one)


def part_of_another_run(folder, other):
    part_of(folder, 2).write_bytes(part_of(other, 2).read_bytes())


def whole_shard_of_another_run(folder, other):
    """Its files and its record: every checksum is right, and every row is another network's."""
    for kind in ("samples", "predictions", "merged"):
        part_of(folder, 2, kind).unlink()
        shutil.copy(part_of(other, 2, kind), folder / "parts")
    shutil.copy(record_of(other, 2), record_of(folder, 2))


def record_of_another_run(folder, other):
    shutil.copy(record_of(other, 2), record_of(folder, 2))


def record_of_another_shard(folder, other):
    """Its files are there and whole, but they hold other images."""
    shutil.copy(record_of(folder, 3), record_of(folder, 2))


def two_records_swapped(folder, other):
    one, two = record_of(folder, 2).read_bytes(), record_of(folder, 3).read_bytes()
    record_of(folder, 2).write_bytes(two)
    record_of(folder, 3).write_bytes(one)


def record_renumbered(folder, other):
    """The record of another shard, made to look like this one's."""
    shutil.copy(record_of(folder, 3), record_of(folder, 2))
    edit(record_of(folder, 2), lambda r: r.update(shard=2))


def record_truncated(folder, other):
    record_of(folder, 2).write_bytes(record_of(folder, 2).read_bytes()[:-10])


def record_removed(folder, other):
    record_of(folder, 2).unlink()


def record_without_a_kind(folder, other):
    edit(record_of(folder, 2), lambda r: r["files"].pop("predictions"))


def record_of_other_images(folder, other):
    edit(record_of(folder, 2), lambda r: r.update(start=r["start"] + 1, stop=r["stop"] + 1))


def record_with_another_checksum(folder, other):
    edit(record_of(folder, 2), lambda r: r["files"]["samples"].update(sha256="0" * 64))


def part_outside_the_run(folder, other):
    name = part_of(folder, 2).name
    part_of(folder, 2).rename(folder.parent / name)
    edit(record_of(folder, 2), lambda r: r["files"]["predictions"].update(name=f"../../{name}"))


DAMAGES = {
    part_truncated: 1,
    part_emptied: 1,
    part_removed: 1,
    bit_of_a_part_flipped: 1,
    part_of_another_shard: 1,
    two_parts_swapped: 2,
    part_of_another_run: 1,
    whole_shard_of_another_run: 1,
    record_of_another_run: 1,
    record_of_another_shard: 1,
    two_records_swapped: 2,
    record_renumbered: 1,
    record_truncated: 1,
    record_removed: 1,
    record_without_a_kind: 1,
    record_of_other_images: 1,
    record_with_another_checksum: 1,
    part_outside_the_run: 1,
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_what_is_damaged_is_done_again(damage, damaged, other, pictures, tiny, undisturbed, tally):
    """Only that shard; and reading what is left before that never shows a row that is not the run's own."""
    folder = only_run(damaged)
    damage(folder, other)
    with tally.fault(f"run directory: {damage.__name__.replace('_', ' ')}") as case:
        done = run(pictures, tiny, damaged)
        assert done.returncode == 0, done.stderr
        assert record(damaged)["sessions"][-1]["shards"] == DAMAGES[damage]
        case.lost = lost_rows(damaged, undisturbed.rows)


@pytest.mark.parametrize(
    "damage",
    [whole_shard_of_another_run, record_of_another_shard, two_records_swapped, record_renumbered],
    ids=lambda damage: damage.__name__,
)
def test_a_reader_leaves_out_what_is_not_the_runs_own(damage, damaged, other, undisturbed):
    """Checksums are right there, so the record itself must say where it belongs."""
    damage(only_run(damaged), other)
    found = snellen.load_run(damaged)
    assert not found.complete
    rows = {repr(row) for row in undisturbed.rows["samples"].to_pylist()}
    assert {repr(row) for row in found.samples.to_pylist()} < rows


def regrid(content):
    content["grid"]["rules"][5][0] += 1


def rebound(content):
    content["shards"][1] += 1


def reclass(content):
    content["model"]["card"]["space"] = "mine"
    content["model"]["card"]["keys"] = [f"class-{k}" for k in range(1000)]


def reprint(content):
    content["fingerprint"] = "0" * 64


def repart(content):
    content["fingerprint_parts"]["weights"] = "0" * 64


def reprecision(content):
    content["model"]["precision"] = "bf16"


@pytest.mark.parametrize("change", [regrid, reclass, reprint, repart, reprecision], ids=lambda change: change.__name__)
def test_a_run_json_that_is_no_longer_the_runs_is_refused(change, damaged, pictures, tiny, undisturbed, tally):
    """Nothing is touched then: with the old run.json back the run is whole."""
    file = only_run(damaged) / "run.json"
    kept = file.read_bytes()
    edit(file, change)
    before = tree(damaged)
    with tally.fault("run directory: run.json edited") as case:
        done = run(pictures, tiny, damaged)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert tree(damaged) == before
        file.write_bytes(kept)
        assert run(pictures, tiny, damaged).returncode == 0
        case.lost = lost_rows(damaged, undisturbed.rows)


def test_other_bounds_in_run_json_cost_only_the_shards_they_change(damaged, pictures, tiny, undisturbed, tally):
    edit(only_run(damaged) / "run.json", rebound)
    with tally.fault("run directory: run.json edited") as case:
        done = run(pictures, tiny, damaged)
        if done.returncode == 0:
            case.lost = lost_rows(damaged, undisturbed.rows)
        else:  # a shard may have become empty
            assert done.returncode == 2
            assert "damaged" in done.stderr


def test_two_runs_copied_over_each_other_are_not_mixed(damaged, other, pictures, tiny, undisturbed, tally):
    """Half of another run's shards lie among this one's, whole, with their records."""
    folder = only_run(damaged)
    for number in range(0, 10, 2):
        record_of(folder, number).unlink()
        shutil.copy(record_of(other, number), record_of(folder, number))
        for kind in ("samples", "predictions", "merged"):
            shutil.copy(part_of(other, number, kind), folder / "parts")
    with tally.fault("run directory: shards of another run copied in", times=5) as case:
        assert run(pictures, tiny, damaged).returncode == 0
        assert record(damaged)["sessions"][-1]["shards"] == 5
        case.lost = lost_rows(damaged, undisturbed.rows)


@pytest.mark.slow
def test_random_damage(damaged, pictures, tiny, undisturbed, tally):
    """Bits, bytes and tails of any file: read as it is it gives a run or UsageError, done again it is whole."""
    rng = random.Random(0)
    folder = only_run(damaged)
    for _ in range(40):
        files = [path for name in ("parts", "commits") for path in (folder / name).iterdir()]
        file = rng.choice([*files, folder / "labels.csv"])
        data = bytearray(file.read_bytes())
        kind = rng.choice(["bits", "bytes", "cut", "grow"])
        if kind == "bits":
            for _ in range(rng.randint(1, 5)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == "bytes":
            at = rng.randrange(len(data))
            data[at : at + 20] = rng.randbytes(20)
        elif kind == "cut":
            del data[rng.randrange(len(data)) :]
        else:
            data += rng.randbytes(rng.randint(1, 100))
        file.write_bytes(data)
        with tally.fault("run directory: random damage to a part, a record or the labels") as case:
            try:
                found = snellen.load_run(damaged)
                found.correct(), found.errors, found.table("merged")
            except UsageError:
                pass
            done = run(pictures, tiny, damaged)
            assert done.returncode == 0, done.stderr
            case.lost = lost_rows(damaged, undisturbed.rows)
