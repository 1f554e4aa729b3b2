"""A child process that its parent speaks to in lines of JSON, and what it says when its work cannot go on."""

import contextlib
import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snellen.atomic import explain_os_error
from snellen.engine.memory import NO_MEMORY, refused, short
from snellen.errors import SnellenError


def child_command(module: str) -> list[str]:
    """What starts the `serve` of a module as a child of this process, which calls `become_child`."""
    return [sys.executable, "-P", "-c", f"from {module} import serve; serve()", str(os.getpid())]


def become_child() -> Callable[..., None]:
    """Make this process one that its parent speaks to in lines; returns what says a line of JSON to the parent.

    Whatever else is printed goes to standard error.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    _die_with_parent()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**answer: Any) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    return say


def end_for_memory(error: Exception) -> int:
    """The exit code of a worker that was refused memory, which may be its image's fault; 0 for other errors."""
    if not refused(error):
        return 0
    try:
        return NO_MEMORY if short() else 1
    except MemoryError:
        return NO_MEMORY


def give_up(error: Exception, run: Path, say: Callable[..., None]) -> None:
    """Say what ended the work; where memory was refused, end this process as if the system had killed it instead.

    So its task is given to another worker, and split if that dies too.
    """
    code = end_for_memory(error)
    if code:
        os._exit(code)
    say(**error_event(error, run))


def error_event(error: Exception, run: Path) -> dict[str, Any]:
    """What a worker says of an error after which the work cannot go on: the message and the command's exit code."""
    if isinstance(error, OSError):
        error = explain_os_error(error, run, begun=True)
    if isinstance(error, SnellenError):
        return {"event": "error", "message": str(error), "exit_code": error.exit_code}
    traceback.print_exception(error)  # a defect, not an image: no other worker would do better
    return {"event": "error", "message": f"a worker failed: {type(error).__name__}: {error}", "exit_code": 1}


def _die_with_parent() -> None:
    """Be killed when the parent dies, so that a restarted command never works beside the dead one's workers."""
    with contextlib.suppress(AttributeError):  # no prctl: standard input still ends, after the task at hand
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG of linux/prctl.h
    # It died before the call. Process 1 says nothing: in a container it may be the parent, and another take in orphans.
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)
