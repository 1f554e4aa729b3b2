"""Whether memory is short: what the kernel says of this process's control group, or of the whole machine.

A worker that the kernel kills for memory is not to blame for its image: one worker fewer is what helps. Two things tell
such a death from others: the kernel's own count of such kills (`memory.events` of cgroup v2, `memory.oom_control` of
v1, else `/proc/vmstat`), and, where an allocation was refused in Python, how much memory is left.
"""

import errno
import re
from collections.abc import Iterator
from pathlib import Path

# A worker ends itself with this exit code where Python was refused memory and little is left (EX_OSERR of sysexits.h).
NO_MEMORY = 71
# Less than this share of all memory left is short: a worker's own need is of that size on a small machine.
SHORT = 0.1
# What `std::bad_alloc` and PyTorch's allocator say.
REFUSED = ("bad_alloc", "can't allocate memory")


class KillCount:
    """The kernel's kills for memory since the start, each asked about once."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._seen = kills(root)

    def another(self) -> bool:
        """Whether there is one more that this has not told of."""
        if kills(self._root) > self._seen:
            self._seen += 1
            return True
        return False


def kills(root: Path = Path("/")) -> int:
    """Processes of this control group, or where it has no count of this machine, that were killed for memory."""
    for group in _groups(root):
        for name in ("memory.events", "memory.oom_control"):
            count = _field(group / name, "oom_kill")
            if count is not None:
                return count
    return _field(root / "proc/vmstat", "oom_kill") or 0


def short(root: Path = Path("/")) -> bool:
    """Whether little memory is left, on the machine or within the limit of this control group."""
    total, left = (_field(root / "proc/meminfo", name) for name in ("MemTotal:", "MemAvailable:"))
    shares = [left / total] if total and left is not None else []
    for group in _groups(root):
        for most, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            limit, now = _number(group / most), _number(group / used)
            if limit and now is not None:
                # Pages of files that nobody uses are given back before anything is refused.
                idle = _field(group / "memory.stat", "inactive_file") or 0
                shares.append((limit - now + idle) / limit)
    return bool(shares) and min(shares) < SHORT


def refused(error: BaseException) -> bool:
    """Whether an error says that memory was refused: Python's own, or what C++ and PyTorch make of it."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or any(words in str(error) for words in REFUSED)


def _groups(root: Path) -> Iterator[Path]:
    """The folders of this process's control group and of those around it, the nearest first."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
        elif not controllers:
            base = root / "sys/fs/cgroup"
        else:
            continue
        # In a container the path may be the host's, while the group is mounted as the root: the last one looked at.
        folder = base / path.lstrip("/")
        yield folder
        while folder != base:
            folder = folder.parent
            yield folder


def _field(file: Path, name: str) -> int | None:
    """The number behind a name in a file of `name number` lines."""
    try:
        found = re.search(rf"^{re.escape(name)}\s+(\d+)", file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found.group(1)) if found else None


def _number(file: Path) -> int | None:
    """The number that a file holds; None for `max`, which is no limit."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
