"""One process at a time in a folder.

On this machine by `flock`: the system lets go of it when the process ends, however it ends. Where there is none (a
store, some network file systems) by a lease: a small file of the process's own beside the others', rewritten every
HEARTBEAT_SECONDS for as long as it works. A process takes the folder when it finds no lease but its own there.

A lease counts as dead when its process is known to be gone (the same machine), or when it has not changed for
EXPIRY_SECONDS by the waiting process's own clock, which no setting of the time moves: no clock of the store or of
another machine is trusted. Until then the folder is refused, as soon as the other lease is seen to change. The safety
of this rests on one property of the store: a file that was written is in every listing that begins later. Of two that
come at the very same time each sees the other, and both step back for a moment of random length.

A process that slept past its expiry (a suspended machine) finds its lease gone, or another's beside it. What its
workers committed until then is sound, since a commit record decides for itself; but it changes nothing else any more.
"""

import contextlib
import errno
import json
import os
import platform
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from snellen.atomic import write_atomic
from snellen.errors import Stopped, UsageError
from snellen.files import entries, exists, read_bytes, remove
from snellen.places import is_remote

HEARTBEAT_SECONDS = 10.0
EXPIRY_SECONDS = 60.0
# How often a process that waits looks again.
LOOK_SECONDS = 1.0
# How often it steps back for others that come at the same time.
TRIES = 10
# What a file system without `flock` says of it.
NO_FLOCK = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)

Say = Callable[[str], None]

# Names of the leases that this process holds or asks for: another of its own is one that it could not remove.
_held_here: set[str] = set()


@dataclass
class Lock:
    """A folder that is held. `lost` is set where another process has taken it meanwhile; `lease`: what holds it."""

    folder: Path
    lost: threading.Event = field(default_factory=threading.Event)
    lease: Path | None = None

    def check(self) -> None:
        """Raise Stopped where the folder is no longer held; a machine that has just woken up has not noticed it yet."""
        if self.lost.is_set() or (self.lease is not None and not exists(self.lease)):
            raise Stopped(
                f"another process took over {str(self.folder)!r}, since nothing was heard of this one for "
                f"{EXPIRY_SECONDS:.0f} s; what was finished is kept, and the same command resumes after that one"
            )


@contextlib.contextmanager
def only_here(folder: Path, name: str = ".lock", *, wait: bool = False, say: Say = lambda text: None) -> Iterator[Lock]:
    """Hold a folder by a lock of this name, or leases whose names begin so.

    wait: wait as long as another process holds it. Else UsageError where one does; one that is dead is waited out.
    say: hears what is being waited for.
    """
    if not is_remote(folder):
        import fcntl

        with (folder / name).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise _taken(folder) from None
            except OSError as error:
                if error.errno not in NO_FLOCK:
                    raise
            else:
                yield Lock(folder)
                return
    with _leased(folder, name, wait, say) as lock:
        yield lock


def _taken(folder: Path, owner: str = "") -> UsageError:
    who = f" ({owner})" if owner else ""
    return UsageError(f"another process is working in {str(folder)!r}{who}; wait for it, or choose another -o")


@contextlib.contextmanager
def _leased(folder: Path, name: str, wait: bool, say: Say) -> Iterator[Lock]:
    mine = folder / f"{name}.{uuid.uuid4().hex[:12]}.json"
    lock, ended = Lock(folder, lease=mine), threading.Event()
    _take(mine, name, wait, say)
    thread = threading.Thread(target=_beat, args=(mine, name, lock.lost, ended), daemon=True)
    thread.start()
    try:
        yield lock
    finally:
        _held_here.discard(mine.name)
        ended.set()
        thread.join(LOOK_SECONDS)
        if not thread.is_alive():  # else the store is away, and the lease expires
            with contextlib.suppress(OSError):
                remove(mine)


def _take(mine: Path, name: str, wait: bool, say: Say) -> None:
    """Return when no lease but `mine` is left; UsageError as `only_here` says."""
    folder, tries = mine.parent, 0
    seen: dict[str, tuple[bytes, float]] = {}
    while True:
        others = _others(mine, name)
        for other, text in others.items():
            before = seen.get(other, (text, 0.0))[0]
            if other not in seen or before != text:
                seen[other] = text, time.monotonic()
            lives = _owner_lives(other, text)
            if lives is False or time.monotonic() - seen[other][1] > EXPIRY_SECONDS:
                remove(folder / other)
            elif (lives or before != text) and _holds(text) and not wait:
                raise _taken(folder, _owner(text))
        if others:
            say(f"waiting for {_owner(next(iter(others.values())))} to leave {folder}")
            time.sleep(LOOK_SECONDS)
            continue
        _held_here.add(mine.name)
        write_atomic(mine, _lease(0, holds=False))
        if not _others(mine, name):
            write_atomic(mine, _lease(1, holds=True))
            return
        _held_here.discard(mine.name)
        remove(mine)
        tries += 1
        if tries >= TRIES and not wait:
            raise _taken(folder)
        time.sleep(random.uniform(0, 2 * LOOK_SECONDS))


def _beat(mine: Path, name: str, lost: threading.Event, ended: threading.Event) -> None:
    """Rewrite a lease until the work has ended; set `lost` where it is gone, or where another holder goes first."""
    beat = 1
    while not ended.wait(HEARTBEAT_SECONDS):
        beat += 1
        with contextlib.suppress(OSError):  # the store is away: at the next beat again
            holders = [other for other, text in _others(mine, name).items() if _holds(text)]
            if not exists(mine) or any(other < mine.name for other in holders):
                lost.set()
                return
            if ended.is_set():
                return
            write_atomic(mine, _lease(beat, holds=True))


def _others(mine: Path, name: str) -> dict[str, bytes]:
    """The leases of others and what they say; one that has just gone is left out."""
    found = {}
    for file in entries(mine.parent):
        if file.name.startswith(f"{name}.") and file.name.endswith(".json") and file.name != mine.name:
            with contextlib.suppress(FileNotFoundError):
                found[file.name] = read_bytes(mine.parent / file.name)
    return found


def _lease(beat: int, holds: bool) -> bytes:
    record = {"host": platform.node(), "machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid())}
    return json.dumps({**record, "holds": holds, "beat": beat}).encode()


def _parsed(text: bytes) -> dict[str, object]:
    with contextlib.suppress(ValueError, RecursionError):
        record = json.loads(text)
        if isinstance(record, dict):
            return record
    return {}


def _holds(text: bytes) -> bool:
    return _parsed(text).get("holds") is True


def _owner(text: bytes) -> str:
    record = _parsed(text)
    return f"process {record.get('pid', '?')} on {record.get('host', 'another machine')}"


def _owner_lives(name: str, text: bytes) -> bool | None:
    """Whether the process of a lease still holds it, where it is one of this machine; None where that is not known."""
    record = _parsed(text)
    machine, pid, started = record.get("machine"), record.get("pid"), record.get("started")
    if machine != _machine() or not machine or not isinstance(pid, int) or not isinstance(started, int):
        return None
    if pid == os.getpid() and name not in _held_here:
        return False
    return _started(pid) == started


def _machine() -> str:
    """This machine since it was started, and the space of process numbers: what makes a process number mean one."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """When a process was started, in ticks since the machine was; None where there is none (proc(5), `stat`, 22nd).

    One that is dead and that its parent has not asked about yet is none.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
