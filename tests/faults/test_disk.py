"""Disks that fill up, directories that may no longer be written, files that may not grow: exit 3, then resumed."""

import contextlib
import os
import resource
import shutil
import subprocess

import pytest
from disturbed import Hold, command, lost_rows, run, start, wait_for
from looking import commits, only_run


@pytest.fixture
def small_disk(tmp_path):
    """`small_disk(options)`: a folder on a small file system in memory, mounted with these options."""
    folder = tmp_path / "small"
    mounted = []

    def mount(options):
        folder.mkdir(exist_ok=True)
        call = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(call, check=False, capture_output=True).returncode:
            pytest.skip("mounting a small file system needs root")
        mounted.append(folder)
        return folder

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


def one_line_of(done, code):
    assert done.returncode == code, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def fill_and_resume(folder, more, pictures, tiny, undisturbed):
    """A study on a disk that is too small, and again after `more` room was made: how many commits the first made."""
    assert "the disk is full" in one_line_of(run(pictures, tiny, folder), 3)
    before = commits(folder)
    subprocess.run(["mount", "-o", f"remount,{more}", str(folder)], check=True)
    done = run(pictures, tiny, folder)
    assert done.returncode == 0, done.stderr
    after = commits(folder)
    assert {name: after[name] for name in before} == before
    return len(before), lost_rows(folder, undisturbed.rows)


def test_a_full_disk(pictures, tiny, undisturbed, small_disk, tally):
    with tally.fault("full disk") as case:
        kept, case.lost = fill_and_resume(small_disk("size=300k"), "size=20m", pictures, tiny, undisturbed)
        assert 0 < kept < len(commits(undisturbed.out))


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [4, 12, 40, 72, 104, 160, 220, 280, 340])
def test_disks_that_are_full_sooner_or_later(kilobytes, pictures, tiny, undisturbed, small_disk, tally):
    """From the first file on: run.json, the label files, the log, a part, a commit record."""
    with tally.fault("full disk") as case:
        folder = small_disk(f"size={kilobytes}k")
        _, case.lost = fill_and_resume(folder, "size=20m", pictures, tiny, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("inodes", [5, 9, 12, 16, 25])
def test_a_disk_without_room_for_another_file(inodes, pictures, tiny, undisturbed, small_disk, tally):
    with tally.fault("full disk") as case:
        folder = small_disk(f"nr_inodes={inodes}")
        _, case.lost = fill_and_resume(folder, "nr_inodes=1000", pictures, tiny, undisturbed)


def test_files_that_may_not_grow(pictures, tiny, undisturbed, tmp_path, tally):
    """As a quota or a batch system does it; Python is told by an error, not by a signal."""
    with tally.fault("limit on the size of files") as case:
        done = subprocess.run(
            command(pictures, tiny, tmp_path, "-q"),
            check=False,
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        )
        assert "to resume" in one_line_of(done, 3)
        assert run(pictures, tiny, tmp_path).returncode == 0
        case.lost = lost_rows(tmp_path, undisturbed.rows)


@contextlib.contextmanager
def read_only(*folders):
    """Folders in which nobody may make a file: root is stopped by the immutable attribute, others by the mode."""
    root = os.geteuid() == 0
    if root and not shutil.which("chattr"):
        pytest.skip("root ignores modes, and there is no chattr")
    for folder in folders:
        if not root:
            folder.chmod(0o555)
        elif subprocess.run(["chattr", "+i", str(folder)], check=False, capture_output=True).returncode:
            pytest.skip("this file system has no immutable attribute")
    try:
        yield
    finally:
        for folder in folders:
            folder.chmod(0o755) if not root else subprocess.run(["chattr", "-i", str(folder)], check=True)


@pytest.mark.parametrize("which", ["parts", "commits"])
def test_a_directory_made_read_only_in_the_middle(which, pictures, tiny, undisturbed, tmp_path, tally):
    with tally.fault("directory made read-only in the middle") as case:
        hold = Hold(tmp_path, 3)
        process = start(pictures, tiny, tmp_path, "-q", env=hold.environment)
        wait_for(lambda: len(commits(tmp_path)) >= 3)
        with read_only(only_run(tmp_path) / which):
            hold.release()
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 3, errors
            assert "to resume" in errors
            before = commits(tmp_path)
        assert 3 <= len(before) < len(commits(undisturbed.out))
        assert run(pictures, tiny, tmp_path).returncode == 0
        after = commits(tmp_path)
        assert {name: after[name] for name in before} == before
        case.lost = lost_rows(tmp_path, undisturbed.rows)


def test_a_directory_read_only_from_the_start(pictures, tiny, tmp_path, tally):
    """Then it is the call that is wrong."""
    out = tmp_path / "out"
    out.mkdir()
    with tally.fault("directory read-only from the start"), read_only(out):
        assert "cannot write below" in one_line_of(run(pictures, tiny, out), 2)
    assert not list(out.iterdir())


def test_a_run_directory_that_is_moved_away_in_the_middle(pictures, tiny, undisturbed, tmp_path, tally):
    with tally.fault("run directory moved away in the middle") as case:
        hold = Hold(tmp_path / "out", 2)
        process = start(pictures, tiny, tmp_path / "out", "-q", env=hold.environment)
        wait_for(lambda: len(commits(tmp_path / "out")) >= 2)
        (tmp_path / "out").rename(tmp_path / "away")
        hold.release()
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 3, errors
        assert not (tmp_path / "out").exists(), "what was moved away is not made again in its place"
        (tmp_path / "away").rename(tmp_path / "out")
        before = commits(tmp_path / "out")
        assert run(pictures, tiny, tmp_path / "out").returncode == 0
        after = commits(tmp_path / "out")
        assert {name: after[name] for name in before} == before
        case.lost = lost_rows(tmp_path / "out", undisturbed.rows)


def test_a_full_cache_folder(pictures, tiny, tmp_path, small_disk, tally):
    """Half a model is never kept: with room the same command goes through."""
    cache = small_disk("size=100k")
    with tally.fault("full disk under the model cache"):
        done = run(pictures, tiny, tmp_path / "out", "--limit", "1", env={"SNELLEN_CACHE": str(cache)})
        assert "the disk is full" in one_line_of(done, 3)
        subprocess.run(["mount", "-o", "remount,size=100m", str(cache)], check=True)
        done = run(pictures, tiny, tmp_path / "out", "--limit", "1", env={"SNELLEN_CACHE": str(cache)})
        assert done.returncode == 0, done.stderr
