"""The command line as a user calls it."""

import subprocess
import sys


def run_cli(*arguments, **options):
    """The finished process of one `snellen` command."""
    command = [sys.executable, "-m", "snellen.cli", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, **options)


def one_line(done):
    """The error a call cost its user: exit code 2 and a single line."""
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("snellen: ")
    return lines[0]
