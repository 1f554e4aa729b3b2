"""What a lease says: whose it is, whether that process has the folder, and whether it is still there (`locks.py`)."""

import contextlib
import json
import os
import platform
from pathlib import Path


def lease_text(turn: int, beat: int, holds: bool) -> bytes:
    """What the lease of this process says; it differs with each beat."""
    record = {"host": platform.node(), "machine": machine(), "pid": os.getpid(), "started": started(os.getpid())}
    return json.dumps({**record, "turn": turn, "holds": holds, "beat": beat}).encode()


def _parsed(text: bytes) -> dict[str, object]:
    with contextlib.suppress(ValueError, RecursionError):
        record = json.loads(text)
        if isinstance(record, dict):
            return record
    return {}


def holds(text: bytes) -> bool:
    """Whether its process has the folder, and does not only ask for it."""
    return _parsed(text).get("holds") is True


def turn_of(text: bytes) -> int:
    """The how-manieth in a row of processes that each took over from a dead one; 0 where it does not say."""
    turn = _parsed(text).get("turn")
    return turn if isinstance(turn, int) else 0


def owner(text: bytes) -> str:
    """Its process, for a person."""
    record = _parsed(text)
    return f"process {record.get('pid', '?')} on {record.get('host', 'another machine')}"


def owner_lives(text: bytes, still_held: bool) -> bool | None:
    """Whether the process of a lease still holds it, where it is one of this machine; None where that is not known.

    still_held: whether it would be one of this very process that it has not given up.
    """
    record = _parsed(text)
    where, pid, since = record.get("machine"), record.get("pid"), record.get("started")
    if where != machine() or not where or not isinstance(pid, int) or not isinstance(since, int):
        return None
    if pid == os.getpid() and not still_held:
        return False
    return started(pid) == since


def machine() -> str:
    """This machine since it was started, and the space of process numbers: what makes a process number mean one."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def started(pid: int) -> int | None:
    """When a process was started, in ticks since the machine was; None where there is none (proc(5), `stat`, 22nd).

    One that is dead and that its parent has not asked about yet is none.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
