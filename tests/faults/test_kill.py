"""`kill -9` at moments nobody chose: what was committed stays, the rest is done again, nothing comes twice."""

import contextlib
import os
import random
import signal

import pytest
from disturbed import Hold, committed, goes_on, kill_group, lost_rows, run, running, start, wait_for, workers_of
from looking import commits, record

# Workers that die in a row before they are ready end a study; a test that kills more of one study would meet that.
WORKERS_KILLED_OF_ONE_STUDY = 2


def still_runs_at_random(rng, process, out, seconds):
    """Wait for a moment that nobody chose, by time or by commits; whether the command has not ended before."""
    if rng.random() < 0.5:
        return goes_on(process, rng.uniform(0, seconds))
    enough = len(commits(out)) + rng.randint(1, 8)
    wait_for(lambda: len(commits(out)) >= enough, process=process)
    return goes_on(process, rng.uniform(0, 0.05))


def check_whole(out, before, undisturbed):
    """The rows of a run that was taken up with `before` committed are those of an undisturbed one: rows lost."""
    after = commits(out)
    assert {name: after[name] for name in before} == before, "a committed shard was lost or done again"
    resumed = record(out)["sessions"][-1]["shards"] if len(before) < len(after) else 0
    assert resumed == len(after) - len(before), "something committed was computed again"
    return lost_rows(out, undisturbed.rows)


def kill_until_done(rng, data, model, out, undisturbed, tally, fault, most, only_parent=False):
    """Kill every command on `out` at a random moment until one is done first, or `most` were killed: how many were."""
    kills, before = 0, {}
    while kills < most:
        process = start(data, model, out, "-q")
        if not still_runs_at_random(rng, process, out, undisturbed.seconds):
            _, errors = process.communicate()
            assert process.returncode == 0, errors
            break
        with tally.fault(fault):
            if only_parent:
                children = workers_of(process.pid)
                process.kill()
                process.communicate()
                wait_for(lambda children=children: not any(map(running, children)))
            else:
                kill_group(process)
            kills += 1
            now = committed(out)
            assert {name: now.get(name) for name in before} == before, "a committed shard was lost or done again"
            before = now
    with tally.fault("the same command after kills") as case:
        done = run(data, model, out)
        assert done.returncode == 0, done.stderr
        case.lost = check_whole(out, before, undisturbed) if kills == most else lost_rows(out, undisturbed.rows)
    return kills, len(before)


def test_killed_in_the_middle_the_rest_is_done(pictures, tiny, undisturbed, tmp_path, tally):
    with tally.fault("kill -9 of the whole process group") as case:
        process = start(pictures, tiny, tmp_path, "-q", env=Hold(tmp_path, 5).environment)
        wait_for(lambda: len(commits(tmp_path)) >= 5)
        kill_group(process)
        before = committed(tmp_path)
        done = run(pictures, tiny, tmp_path)
        assert done.returncode == 0, done.stderr
        assert 5 <= len(before) < len(commits(tmp_path))
        case.lost = check_whole(tmp_path, before, undisturbed)


def kills_at_random(seed, wanted, data, model, tmp_path, undisturbed, tally, fault, only_parent=False):
    rng, kills, held, trial = random.Random(seed), 0, set(), 0
    while kills < wanted:
        most = min(rng.randint(1, 6), wanted - kills)
        out = tmp_path / str(trial)
        done, left = kill_until_done(rng, data, model, out, undisturbed, tally, fault, most, only_parent)
        kills, trial = kills + done, trial + 1
        held.add(left)
        assert trial < 3 * wanted, "hardly any command was killed before it was done"
    return held


@pytest.mark.slow
def test_whole_groups_killed_at_random_moments(pictures, tiny, undisturbed, tmp_path, tally):
    fault = "kill -9 of the whole process group"
    held = kills_at_random(0, 30, pictures, tiny, tmp_path, undisturbed, tally, fault)
    assert len(held) > 3, "the moments were hardly random"


@pytest.mark.slow
def test_commands_killed_without_their_workers(pictures, tiny, undisturbed, tmp_path, tally):
    """Workers go with their parent, so that the next command never works beside them."""
    fault = "kill -9 of the command alone"
    kills_at_random(1, 10, pictures, tiny, tmp_path, undisturbed, tally, fault, only_parent=True)


def test_one_killed_worker_is_replaced(pictures, tiny, undisturbed, tmp_path, tally):
    with tally.fault("kill -9 of one worker") as case:
        hold = Hold(tmp_path, 3)
        process = start(pictures, tiny, tmp_path, "-q", env=hold.environment)
        wait_for(lambda: len(commits(tmp_path)) >= 3)
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        hold.release()
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        case.lost = lost_rows(tmp_path, undisturbed.rows)


@pytest.mark.slow
def test_workers_killed_at_random_moments(pictures, tiny, undisturbed, tmp_path, tally):
    """Also while they start, and some hit twice on the same shard: the same command goes on to its end."""
    rng, kills, trial = random.Random(2), 0, 0
    while kills < 20:
        out = tmp_path / str(trial)
        process = start(pictures, tiny, out, "-q")
        hit = 0
        for _ in range(WORKERS_KILLED_OF_ONE_STUDY):
            moment = still_runs_at_random(rng, process, out, undisturbed.seconds / 2)
            if moment and (workers := workers_of(process.pid)):
                with contextlib.suppress(ProcessLookupError):  # it has just ended, since all is done
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    hit += 1
        with tally.fault("kill -9 of one worker", times=hit) as case:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
            case.lost = lost_rows(out, undisturbed.rows)
        kills, trial = kills + hit, trial + 1
        assert trial < 40, "hardly any worker was killed"


@pytest.mark.slow
def test_killed_while_the_model_is_prepared_for_the_first_time(pictures, tiny, undisturbed, tmp_path, tally):
    """Half a model in the cache would be taken for a whole one for ever."""
    rng = random.Random(3)
    environment = os.environ | {"SNELLEN_CACHE": str(tmp_path / "cache")}
    for _ in range(6):
        process = start(pictures, tiny, tmp_path / "out", "-q", env=environment)
        if not goes_on(process, rng.uniform(0.5, 12)):
            process.communicate()
            break
        with tally.fault("kill -9 while a model is prepared"):
            kill_group(process)
            committed(tmp_path / "out")
    with tally.fault("the same command after kills") as case:
        done = run(pictures, tiny, tmp_path / "out", env={"SNELLEN_CACHE": str(tmp_path / "cache")})
        assert done.returncode == 0, done.stderr
        case.lost = lost_rows(tmp_path / "out", undisturbed.rows)
