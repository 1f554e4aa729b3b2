"""A server of the page over made-up data files and real pictures, in this process."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starlette.testclient import TestClient

from snellen.web.app import Served, create_app
from snellen.web.drawing import Drawers
from snellen.web.images import Images
from snellen.web.rules import Rules, rules_for
from snellen.web.verdicts import Reviews
from snellen.zoom import PAPER_GRID, Grid


@dataclass
class MadeUpSet:
    """Images by position. `hashes`: whether a run recorded them; `out`: positions of links that lead out."""

    images: Sequence[bytes]
    grids: dict[str, Grid] = field(default_factory=dict)
    border: int = 0
    hashes: Sequence[str | None] | None = None
    out: Sequence[int] = ()
    reads: int = 0

    def __len__(self):
        return len(self.images)

    def border_at(self, position):
        return self.border

    def image(self, position):
        self.reads += 1
        return self.images[position]

    def sha256(self, position):
        return self.hashes[position] if self.hashes else None

    def leads_out(self, position):
        return position in self.out

    def grid(self, model):
        return self.grids.get(model, None if model else PAPER_GRID)


@dataclass
class MadeUpFiles:
    """Data files that lie in a folder already."""

    folder: Path

    def site(self):
        return {"format": 1, "title": "made up", "sets": []}

    def path(self, url):
        found = self.folder / url
        return found if found.exists() else None

    def shows(self, version):
        return version != "older"


def served(folder: Path, drawers: Drawers, *sets: MadeUpSet, hard: Path | None = None, outside: bool = True, **more):
    """What a server of these sets serves; `s0`, `s1`, … are their keys."""
    (folder / "data" / "s0").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "s0" / "images.json").write_text(json.dumps({"n": len(sets[0]) if sets else 0}))
    images = Images({f"s{k}": one for k, one in enumerate(sets)}, folder, drawers, outside=outside, **more)
    return Served(MadeUpFiles(folder), folder, images, Reviews(hard) if hard else None, "ada")


def client(site: Served, rules: Rules | None = None, host: str = "127.0.0.1") -> TestClient:
    """Somebody who asks that server, as a script does: without what browsers add."""
    app = create_app(site, rules or rules_for(host, None))
    return TestClient(app, base_url=f"http://{host}:8765", follow_redirects=False, raise_server_exceptions=False)


def digest_of(data: bytes) -> str:
    """The hash of a file's bytes."""
    return hashlib.sha256(data).hexdigest()
