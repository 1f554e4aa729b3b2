"""The command line, where the kernel's count of its kills for memory is read from a made-up root.

python tests/faults/counted_kills.py ROOT COMMAND …

The kernel counts only for control groups, which a test may not make everywhere; the kills themselves are real.
"""

import sys
from pathlib import Path

from snellen.cli import main
from snellen.engine import memory

if __name__ == "__main__":
    root = Path(sys.argv.pop(1))
    memory.KillCount.__init__.__defaults__ = (root,)
    memory.kills.__defaults__ = (root,)
    main()
