"""When a child process takes its parent for dead."""

import os
import subprocess
import sys

import pytest

from snellen.engine.child import child_command

# A worker that is told no job says that it failed; one that has no parent says nothing.
FAILED = '"event": "error"'
AS_FIRST_PROCESS = """
import os, subprocess
from snellen.engine.child import child_command

assert os.getpid() == 1
done = subprocess.run(child_command("snellen.engine.worker"), input="", capture_output=True, text=True)
print(done.returncode, done.stdout, done.stderr)
"""


def without_a_job(command):
    return subprocess.run(command, input="", capture_output=True, text=True, timeout=120)


def test_a_child_works_for_the_process_that_started_it():
    done = without_a_job(child_command("snellen.engine.worker"))
    assert done.returncode == 0
    assert FAILED in done.stdout


@pytest.mark.parametrize("module", ["snellen.engine.worker", "snellen.engine.decoding"])
def test_a_child_that_was_taken_in_by_another_ends_at_once(module):
    *command, parent = child_command(module)
    assert parent == str(os.getpid())
    done = without_a_job([*command, str(os.getppid())])
    assert (done.returncode, done.stdout) == (1, "")


def test_the_first_process_of_a_container_has_children_too():
    alone = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no process namespaces here")
    done = without_a_job([*alone, sys.executable, "-c", AS_FIRST_PROCESS])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 ")
    assert FAILED in done.stdout
