"""One process at a time in a folder.

On this machine by `flock`: the system lets go of it when the process ends, however it ends. Where there is none (a
store, some network file systems) by a lease: a small file of the process's own beside the others', rewritten every
HEARTBEAT_SECONDS for as long as it works. A process takes the folder when it finds no lease but its own there.

A lease counts as dead when its process is known to be gone (the same machine), or when a process that waits has looked
at it so often, LOOK_SECONDS apart, that it stood unchanged for EXPIRY_SECONDS. Looks are counted, and no time is read:
neither a clock of the store or of another machine, nor how long the waiting process itself was stopped, makes a lease
older. Until then the folder is refused, as soon as the other lease is seen to change. The safety of this rests on one
property of the store: a file that was written is in every listing that begins later. Of two that come at the very same
time each sees the other, and both step back for a moment of random length.

A beat is tried once and never waited for: the next one comes soon, and many fail before the lease expires. A process
that slept past its expiry (a suspended machine) finds its lease gone, or another's beside it, at its next beat. Who
takes over from a dead lease holds the next higher turn; of two leases that stand beside each other, since a write came
late, the higher turn is the valid one. What the workers of a process that lost the folder committed until then is
sound, since a commit record decides for itself; but it changes nothing else any more.
"""

import contextlib
import errno
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from snellen.atomic import write_atomic
from snellen.errors import Stopped, UsageError
from snellen.files import entries, read_bytes, remove
from snellen.leases import holds, lease_text, owner, owner_lives, turn_of
from snellen.places import is_remote
from snellen.trouble import at_once

HEARTBEAT_SECONDS = 10.0
# Some times what a request takes that hangs until the driver gives it up (60 s), and more than a process that is just
# coming leaves its lease unchanged where each of its three requests in a row needs all of `trouble.PATIENCE_SECONDS`.
EXPIRY_SECONDS = 300.0
# How often a process that waits looks again, and how often it says so.
LOOK_SECONDS = 1.0
SAY_SECONDS = 60.0
# How often it steps back for others that come at the same time.
TRIES = 10
# What a file system without `flock` says of it.
NO_FLOCK = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)

Say = Callable[[str], None]

# Names of the leases that this process holds or asks for: another of its own is one that it could not remove.
_held_here: set[str] = set()


@dataclass
class Lock:
    """A folder that is held.

    lease: the file that holds it, of this turn; None where the system does.
    lost: whether another process was found to have taken it, or nothing is done any more to keep it; set by the thread
        that writes the beats, within one of these, so that it costs nothing to ask.
    """

    folder: Path
    lease: Path | None = None
    turn: int = 1
    lost: bool = False

    def check(self) -> None:
        """Raise Stopped where the folder is no longer held; asks the store, which may know more than the last beat."""
        self.lost = self.lost or not _stands(self)
        if self.lost:
            raise Stopped(
                f"another process took over {str(self.folder)!r}, since nothing was heard of this one for "
                f"{EXPIRY_SECONDS / 60:.0f} minutes; what was finished is kept, and the same command resumes after "
                "that one"
            )


@contextlib.contextmanager
def only_here(folder: Path, name: str = ".lock", *, wait: bool = False, say: Say = lambda text: None) -> Iterator[Lock]:
    """Hold a folder by a lock of this name, or leases whose names begin so.

    wait: wait as long as another process holds it. Else UsageError where one does; one that is dead is waited out.
    say: hears what is being waited for, now and then.
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
    lock, ended = _take(mine, wait, say), threading.Event()
    thread = threading.Thread(target=_beat, args=(lock, mine, ended), daemon=True)
    thread.start()
    try:
        yield lock
    finally:
        _held_here.discard(mine.name)
        ended.set()
        thread.join(HEARTBEAT_SECONDS)
        if not thread.is_alive():  # else the store is away, and the lease expires
            with contextlib.suppress(OSError):
                remove(mine)


def _take(mine: Path, wait: bool, say: Say) -> Lock:
    """The lock when no lease but `mine` is left; UsageError as `only_here` says."""
    folder, tries, turn, said = mine.parent, 0, 1, -SAY_SECONDS
    seen: dict[str, tuple[bytes, int]] = {}  # what each of the others said, and in how many looks it said the same
    while True:
        others = _others(mine)
        for other, text in others.items():
            before, looks = seen.get(other, (text, -1))
            seen[other] = text, looks + 1 if before == text else 0
            lives = owner_lives(text, still_held=other in _held_here)
            if lives is False or seen[other][1] * LOOK_SECONDS >= EXPIRY_SECONDS:
                remove(folder / other)
                turn = max(turn, turn_of(text) + 1)
                continue
            if (lives or before != text) and holds(text) and not wait:
                raise _taken(folder, owner(text))
            if time.monotonic() - said >= SAY_SECONDS:
                said = time.monotonic()
                say(
                    f"waiting for {owner(text)} to leave {folder}; "
                    f"it counts as dead after {EXPIRY_SECONDS / 60:.0f} minutes without a sign of life"
                )
        if others:
            time.sleep(LOOK_SECONDS)
            continue
        _held_here.add(mine.name)
        try:
            write_atomic(mine, lease_text(turn, 0, holds=False))
            if not _others(mine):
                lock = Lock(folder, mine, turn)
                write_atomic(mine, lease_text(turn, 1, holds=True))
                if _stands(lock):
                    return lock
        except BaseException:
            _held_here.discard(mine.name)
            with contextlib.suppress(OSError), at_once():
                remove(mine)
            raise
        _held_here.discard(mine.name)
        remove(mine)
        tries += 1
        if tries >= TRIES and not wait:
            raise _taken(folder)
        time.sleep(random.uniform(0, 2 * LOOK_SECONDS))


def _beat(lock: Lock, mine: Path, ended: threading.Event) -> None:
    """Rewrite a lease until the work has ended, or another process has the folder."""
    beat = 1
    try:
        with at_once():
            while not ended.wait(HEARTBEAT_SECONDS):
                beat += 1
                with contextlib.suppress(OSError):  # the store is away: at the next beat again
                    if not _stands(lock):
                        return
                    if not ended.is_set():
                        write_atomic(mine, lease_text(lock.turn, beat, holds=True))
    finally:
        lock.lost = lock.lost or not ended.is_set()


def _stands(lock: Lock) -> bool:
    """Whether a lock's lease is there, and no other process's beside it goes before it; True where it needs none."""
    if lock.lease is None:
        return True
    mine = lock.lease
    if mine.name not in _names(mine):
        return False
    held = (_rank(other, text) for other, text in _others(mine).items() if holds(text))
    return not any(rank < (-lock.turn, mine.name) for rank in held)


def _rank(name: str, text: bytes) -> tuple[int, str]:
    """Of leases that stand beside each other, the one of the least rank is valid."""
    return -turn_of(text), name


def _names(mine: Path) -> list[str]:
    """The leases of the lock that `mine` is a lease of."""
    start = mine.name.rsplit(".", 2)[0] + "."
    return [file.name for file in entries(mine.parent) if file.name.startswith(start) and file.name.endswith(".json")]


def _others(mine: Path) -> dict[str, bytes]:
    """The leases of others and what they say; one that has just gone is left out."""
    found = {}
    for name in _names(mine):
        if name != mine.name:
            with contextlib.suppress(FileNotFoundError):
                found[name] = read_bytes(mine.parent / name)
    return found
