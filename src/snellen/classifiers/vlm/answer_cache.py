"""Answers of generative models, kept so that no request is paid for twice: one small JSON file each.

`CACHE/answers/<call>/<image>.json`: `<call>` stands for all of a request but its image, `<image>` is the sha256 of the
image as it was sent. `call.json` beside them says what the call was, so that a folder can be told from others and
deleted. No key is ever in them.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from snellen.atomic import FULL, create_atomic, write_atomic
from snellen.errors import ModelError, SnellenError, Stopped
from snellen.places import cache_root

CALL = "call.json"


@dataclass(frozen=True)
class Call:
    """A request without its image.

    url: where it is sent: the same name on another server may be another model.
    sampling: `temperature`, `max_tokens` and `seed`, as far as they are sent.
    """

    url: str
    model: str
    prompt: str
    sampling: Mapping[str, float]

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over all of it."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """A plain form for `call.json`."""
        return {"url": self.url, "model": self.model, "prompt": self.prompt, "sampling": dict(self.sampling)}

    def body(self, image_url: str) -> dict[str, Any]:
        """The request for one image, given as a data: URL."""
        # The text first: a server that keeps what it computed for a common beginning then reads the classes once.
        content = [{"type": "text", "text": self.prompt}, {"type": "image_url", "image_url": {"url": image_url}}]
        return {"model": self.model, "messages": [{"role": "user", "content": content}], **self.sampling}


@dataclass(frozen=True)
class AnswerCache:
    """The answers to one call that are kept in `folder`."""

    call: Call
    folder: Path

    @staticmethod
    def of(call: Call) -> "AnswerCache":
        """The place for the answers to `call`, in the user's cache."""
        return AnswerCache(call, cache_root() / "answers" / call.fingerprint[:24])

    def get(self, image: str) -> str | None:
        """The answer on the image with sha256 `image`; None where none is kept, or the file is damaged."""
        try:
            answer = json.loads((self.folder / f"{image}.json").read_bytes())["answer"]
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return answer if isinstance(answer, str) else None

    def put(self, image: str, answer: str) -> None:
        """Keep an answer; Stopped where the disk is full, ModelError where nothing can be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / CALL).exists():
                create_atomic(self.folder / CALL, json.dumps(self.call.to_json(), indent=1).encode())
            write_atomic(self.folder / f"{image}.json", json.dumps({"answer": answer}).encode())
        except OSError as error:
            raise _explain(error, self.folder) from error

    def has_answers(self) -> bool:
        """Whether the call was ever answered, which says that there is nothing wrong with it."""
        with contextlib.suppress(OSError):
            return any(path.suffix == ".json" and path.name != CALL for path in self.folder.iterdir())
        return False


def _explain(error: OSError, folder: Path) -> SnellenError:
    if error.errno in FULL:
        return Stopped(f"the disk is full ({folder}); free some space and run the same command again to resume")
    return ModelError(
        f"the cache of answers {str(folder)!r} cannot be used: {error.strerror or error}; "
        "set SNELLEN_CACHE to a folder that can be written"
    )
