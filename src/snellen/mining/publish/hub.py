"""Putting a published data set on the Hub: one commit, so that it is there whole or not at all."""

import glob
import re
from collections.abc import Collection
from pathlib import Path

from snellen.errors import Stopped, UsageError
from snellen.mining.publish.place import CARD, RECORD, SHOWN

# What an earlier version may have left, in any layout, and this one need not have. Images are called by their ids.
IMAGE = f"{16 * '[0-9a-f]'}.*"
OURS = (
    *("data/validation-*.parquet", "validation-*.tar", f"*/{IMAGE}", *SHOWN),
    *("labels.csv", "metadata.jsonl", "annotations.json", "labels.json"),
)
REPOSITORY = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}")


def check_repository(name: str) -> None:
    """UsageError where a name is none of a repository."""
    if not REPOSITORY.fullmatch(name) or ".." in name or "--" in name:
        raise UsageError(f"--repo {name!r}: expected ORG/NAME, letters, digits, dashes, dots and underscores")


def push(folder: Path, repository: str, message: str, files: Collection[str]) -> str:
    """Push a folder to a data set repository of the Hub, in one commit that also removes files of earlier versions.

    files: those of the data; nothing else that lies in the folder is pushed, but for the card and what it shows.

    A new repository is private. Returns the commit's URL. Raises UsageError where the Hub refuses, Stopped where it
    cannot be reached.
    """
    from huggingface_hub import HfApi, errors

    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    strange = there - {*files, CARD, RECORD, *SHOWN}
    again = f"{str(folder)!r} is whole: the same command pushes it"
    try:
        api = HfApi()
        api.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        commit = api.upload_folder(
            folder_path=folder,
            repo_id=repository,
            repo_type="dataset",
            commit_message=message,
            ignore_patterns=[glob.escape(name) for name in sorted(strange)],
            delete_patterns=list(OURS),
        )
    except errors.HFValidationError as error:
        raise UsageError(f"--repo {repository!r} is no name of a repository: {_line(error)}") from error
    except (errors.LocalTokenNotFoundError, errors.HfHubHTTPError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is not None and status >= 500:
            raise Stopped(f"the Hub fails ({_line(error)}); {again}") from error
        if status in (None, 401, 403):
            raise UsageError(
                f"the Hub lets nobody without the right token write to {repository!r}: log in with `hf auth login` and "
                f"a token that may; {again}"
            ) from error
        raise UsageError(f"the Hub refuses {repository!r}: {_line(error)}; {again}") from error
    except OSError as error:  # a disk, or a connection
        raise Stopped(f"pushing to {repository!r} failed: {_line(error)}; {again}") from error
    # The library lets the errors of its transport through, which are no OSErrors and change with its version.
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("httpx", "httpx2", "httpcore", "requests", "urllib3"):
            raise
        raise Stopped(f"the Hub cannot be reached ({_line(error)}); {again}") from error
    return str(commit.commit_url)


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
