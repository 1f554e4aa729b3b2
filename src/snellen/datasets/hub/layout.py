"""How a data set repository of the Hub is laid out: which Parquet files are which split of which configuration.

The card's `configs` decide where it has them; elsewhere the usual names do: `data/SPLIT-00000-of-00002.parquet`,
`SPLIT/0000.parquet`, `CONFIG/SPLIT/0000.parquet`, `val.parquet`. See "Data files configuration" in the Hub's
documentation.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.errors import DataError

SUFFIX = ".parquet"
# What splits are called, after the Hub's documentation of split names.
ALIASES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
SHARD = re.compile(r"(?P<split>\w+(?:\.\w+)*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?:-\w+)?")
# Scored by unless told otherwise, best first.
PREFERRED = ("validation", "test")


class NoSplit(DataError):
    """The configuration or split is not there, or could be any of several; `splits`: those of the configuration."""

    def __init__(self, message: str, splits: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.splits = splits


@dataclass(frozen=True)
class Layout:
    """Parquet files by configuration and split, in byte order of their paths; `default`: the card's choice, or None."""

    configs: Mapping[str, Mapping[str, Sequence[str]]]
    default: str | None = None

    def choose(self, repo: str, split: str | None, config: str | None) -> tuple[str, str]:
        """The configuration and the split that are meant; NoSplit, which lists those there are, for one there is not.

        >>> Layout({"default": {"train": ["a.parquet"], "validation": ["b.parquet"]}}).choose("me/it", None, None)
        ('default', 'validation')
        """
        names = list(self.configs)
        chosen = config or self.default or ("default" if "default" in names or len(names) != 1 else names[0])
        if chosen not in names:
            given = f"no configuration {config!r}" if config else "several configurations"
            raise NoSplit(f"{repo} has {given}: give config= one of {', '.join(names)}")
        splits = self.configs[chosen]
        if split is not None:
            wanted = split if split in splits else ALIASES.get(split, split)
        else:
            wanted = next(iter(splits)) if len(splits) == 1 else next((s for s in PREFERRED if s in splits), "")
        if wanted not in splits:
            given = f"no split {split!r}" if split else "several splits"
            raise NoSplit(f"{repo} has {given}: give hub/{repo}:SPLIT with one of {', '.join(splits)}", list(splits))
        return chosen, wanted


def layout_of(paths: Iterable[str], card: str = "") -> Layout:
    """The layout of a repository with these files, whose README.md is `card`; no configuration where it has no Parquet.

    >>> layout_of(["data/val-00000-of-00002.parquet", "data/val-00001-of-00002.parquet"]).configs["default"].keys()
    dict_keys(['validation'])
    """
    found = sorted((path for path in paths if path.endswith(SUFFIX)), key=str.encode)
    entries = _configs_of(card)
    try:
        configs = {name: splits for name, data in entries.items() if (splits := _by_patterns(data, found))}
    except ValueError:  # a pattern that is none; the usual names still tell the splits
        configs = {}
    if configs:
        flagged = next(
            (name for name, data in entries.items() if data.get("default") is True and name in configs), None
        )
        return Layout(configs, flagged)
    placed: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in found:
        config, split = _place(path)
        placed[config][split].append(path)
    return Layout({config: dict(splits) for config, splits in placed.items()})


def says_split(path: str, split: str) -> bool:
    """Whether a path's own words name the split; a path that names none counts as `train`.

    >>> says_split("data/val-00000-of-00002.parquet", "validation"), says_split("other.parquet", "train")
    (True, False)
    """
    return any(ALIASES.get(word.lower()) == split for word in re.split(r"[^A-Za-z]+", path))


def missing_shards(paths: Iterable[str]) -> list[str]:
    """What `…-00000-of-00005` says there should be and is not: one name for each such series of files.

    >>> missing_shards(["data/val-00000-of-00002.parquet"])
    ['data/val (1 of 2 files)']
    """
    series: dict[tuple[str, int], int] = defaultdict(int)
    for path in paths:
        folder, _, stem = path.removesuffix(SUFFIX).rpartition("/")
        if found := SHARD.fullmatch(stem):
            series[f"{folder}/{found['split']}".lstrip("/"), int(found["count"])] += 1
    return [f"{name} ({there} of {count} files)" for (name, count), there in series.items() if there < count]


def _configs_of(card: str) -> dict[str, dict[str, Any]]:
    """The `configs` of a card by name; none where it has none, or cannot be understood."""
    if not card.startswith("---"):
        return {}
    from huggingface_hub import DatasetCard

    try:
        entries = DatasetCard(card, ignore_metadata_errors=True).data.to_dict().get("configs")
    except Exception:  # a card that is no YAML raises its parser's errors; the usual names still tell the splits
        return {}
    listed = entries if isinstance(entries, list) else []
    return {str(entry.get("config_name", "default")): entry for entry in listed if isinstance(entry, dict)}


def _by_patterns(config: Mapping[str, Any], paths: Sequence[str]) -> dict[str, list[str]]:
    """The files of each split of a card's configuration.

    Its `data_files` is a pattern, a list of them, or for each split its own; without it, `data_dir` holds all. Raises
    ValueError for a pattern that is none.
    """
    from fsspec.utils import glob_translate

    prefix = f"{str(config.get('data_dir') or '').strip('/')}/".lstrip("/")
    given = config.get("data_files")
    splits: dict[str, list[str]] = defaultdict(list)
    if not given:
        for path in paths:
            if prefix and path.startswith(prefix):
                splits[_place(path.removeprefix(prefix))[1]].append(path)
        return dict(splits)
    if isinstance(given, dict):
        given = [{"split": split, "path": path} for split, path in given.items()]
    for entry in given if isinstance(given, list) else [given]:
        entry = entry if isinstance(entry, dict) else {"path": entry}
        patterns = entry.get("path")
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            match = re.compile(glob_translate(prefix + str(pattern).removeprefix("./"))).match
            splits[str(entry.get("split", "train"))].extend(path for path in paths if match(path))
    return {split: sorted(set(files), key=str.encode) for split, files in splits.items() if files}


def _place(path: str) -> tuple[str, str]:
    """The configuration and the split that a path's own names tell."""
    *folders, stem = path.removesuffix(SUFFIX).split("/")
    shard = SHARD.fullmatch(stem)
    if shard:
        split = shard["split"]
    elif stem.isdecimal() and folders:
        split = folders.pop()
    else:
        split = next((word for word in re.split(r"[^A-Za-z0-9]+|_", stem) if word.lower() in ALIASES), "")
        at = next((k for k in reversed(range(len(folders))) if folders[k].lower() in ALIASES), None)
        if not split and at is not None:
            split, folders = folders[at], folders[:at]
    config = "/".join(folder for folder in folders if folder != "data") or "default"
    return config, ALIASES.get(split.lower(), split) or "train"
