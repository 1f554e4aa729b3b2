"""Two commands in one run directory: one works, the other is refused; two runs are never mixed."""

import shutil
import time
from pathlib import Path

import pytest
from disturbed import Hold, lost_rows, run, start, wait_for
from looking import commits
from safetensors.torch import load_file, save_file


def test_the_second_is_refused_while_the_first_works(pictures, tiny, undisturbed, tmp_path, tally):
    with tally.fault("a second command in the same directory") as case:
        hold = Hold(tmp_path, 1)
        process = start(pictures, tiny, tmp_path, "-q", env=hold.environment)
        wait_for(lambda: commits(tmp_path))
        second = run(pictures, tiny, tmp_path)
        assert second.returncode == 2
        assert "another process is working" in second.stderr
        assert len(second.stderr.strip().splitlines()) == 1
        hold.release()
        process.communicate()
        assert process.returncode == 0
        case.lost = lost_rows(tmp_path, undisturbed.rows)


@pytest.mark.slow
def test_four_at_once_from_nothing(pictures, tiny, undisturbed, tmp_path, tally):
    for trial in range(5):
        out = tmp_path / str(trial)
        with tally.fault("a second command in the same directory", times=3) as case:
            processes = [start(pictures, tiny, out, "-q") for _ in range(4)]
            endings = [(process.communicate(timeout=300)[1], process.returncode) for process in processes]
            codes = sorted(code for _, code in endings)
            assert codes[0] == 0
            assert set(codes) <= {0, 2}, endings
            assert all("another process is working" in text for text, code in endings if code)
            case.lost = lost_rows(out, undisturbed.rows)


def test_other_weights_under_the_same_name_are_refused_at_any_moment(
    pictures, tiny_weights, undisturbed, tmp_path, tally
):
    """The checkpoint is replaced while the first command works: the second is told so, the first goes on unharmed."""
    weights = Path(shutil.copy(tiny_weights, tmp_path / "w.safetensors"))
    model, out = f"timm/lcnet_035@{weights},mean=0.5,std=0.5", tmp_path / "out"
    with tally.fault("a command with other weights in the same directory") as case:
        hold = Hold(out, 1)
        process = start(pictures, model, out, "-q", env=hold.environment)
        wait_for(lambda: commits(out))
        state = load_file(weights)
        next(iter(state.values())).add_(1)
        save_file(state, tmp_path / "other.safetensors")
        (tmp_path / "other.safetensors").replace(weights)
        second = run(pictures, model, out)
        assert second.returncode == 2
        assert "holds a run of something else (weights: " in second.stderr
        hold.release()
        process.communicate(timeout=300)
        assert process.returncode == 0
        again = run(pictures, model, out)
        assert again.returncode == 2
        case.lost = lost_rows(out, undisturbed.rows)


@pytest.mark.slow
def test_a_command_that_waits_its_turn(pictures, tiny, undisturbed, tmp_path, tally):
    """As a job script does it: again until the directory is free; it finds everything done."""
    with tally.fault("a second command in the same directory") as case:
        hold = Hold(tmp_path, 1)
        process = start(pictures, tiny, tmp_path, "-q", env=hold.environment)
        wait_for(lambda: commits(tmp_path))
        assert run(pictures, tiny, tmp_path).returncode == 2
        hold.release()
        while (second := run(pictures, tiny, tmp_path)).returncode == 2:
            time.sleep(0.2)
        assert second.returncode == 0
        process.communicate(timeout=60)
        assert process.returncode == 0
        case.lost = lost_rows(tmp_path, undisturbed.rows)
