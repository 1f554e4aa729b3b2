"""Class spaces: the classes a model's logits stand for, and how a person's word for a class finds its id."""

import difflib
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

from snellen.errors import DataError


@dataclass(frozen=True)
class ClassSpace:
    """An ordered list of classes; a class's id is its place in it.

    name: for example `imagenet-1k`.
    keys: one identifier a class (a WordNet id, or the class's own name), unique.
    synonyms: for each class, the words it goes by; the first is the one that is shown.
    """

    name: str
    keys: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.keys)

    @staticmethod
    def of_names(names: list[str] | tuple[str, ...], name: str = "custom") -> "ClassSpace":
        """A class space of a user's own class names; ImageNet-1k itself where the names are its WordNet ids."""
        if tuple(names) == IMAGENET_1K.keys:
            return IMAGENET_1K
        twice = [n for n, count in Counter(names).items() if count > 1]
        if twice:
            raise DataError(f"class names must be unique: {twice[0]!r} is given {names.count(twice[0])} times")
        odd = [n for n in names if "|" in n or not n.strip()]
        if odd:
            raise DataError(
                f"class name {odd[0]!r}: a name may not be blank or hold |, which separates labels in files"
            )
        return ClassSpace(name, tuple(names), tuple((n,) for n in names))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name each class is shown by; where two classes share their first word, the key tells them apart."""
        counts = Counter(words[0] for words in self.synonyms)
        return tuple(
            words[0] if counts[words[0]] == 1 or words[0] == key else f"{words[0]} ({key})"
            for key, words in zip(self.keys, self.synonyms, strict=True)
        )

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the keys in order."""
        return hashlib.sha256("\n".join(self.keys).encode()).hexdigest()

    @cached_property
    def _by_word(self) -> dict[str, list[int]]:
        by_word: dict[str, list[int]] = defaultdict(list)
        for i, (key, words) in enumerate(zip(self.keys, self.synonyms, strict=True)):
            for word in {_fold(w) for w in (key, *words)}:
                by_word[word].append(i)
        return by_word

    def find(self, word: str) -> int | None:
        """The id that `word` means: a key, an index, or any synonym; None where it means none.

        Raises DataError where the word means several classes.

        >>> IMAGENET_1K.find("n01440764"), IMAGENET_1K.find("0"), IMAGENET_1K.find("Tinca_tinca")
        (0, 0, 0)
        """
        ids = self._by_word.get(_fold(word), [])
        if len(ids) > 1:
            exact = [i for i in ids if self.keys[i] == word]
            if len(exact) == 1:
                return exact[0]
            choices = " or ".join(f"{self.keys[i]} ({', '.join(self.synonyms[i])})" for i in ids)
            raise DataError(f"class {word!r} is ambiguous: it may be {choices}; use the key instead")
        if ids:
            return ids[0]
        digits = word.lstrip("0") or "0"
        if word.isascii() and word.isdecimal() and len(digits) < 10 and int(digits) < len(self):
            return int(digits)
        return None

    def finder(self) -> Callable[[str], int]:
        """`find` for many words, each looked up once; it raises DataError, with the nearest, for one that is unknown.

        >>> IMAGENET_1K.finder()("goldfish")
        1
        """

        @cache
        def find(word: str) -> int:
            found = self.find(word)
            if found is None:
                raise self.unknown(word)
            return found

        return find

    def unknown(self, word: str) -> DataError:
        """The error for a word that `find` does not know; it names the nearest class."""
        near = difflib.get_close_matches(_fold(word), list(self._by_word), n=1, cutoff=0.6)
        hint = "give a key, an index or a name"
        if near:
            i = self._by_word[near[0]][0]
            hint = f"the nearest is {near[0]!r}" + ("" if self.keys[i] == near[0] else f" ({self.keys[i]})")
        return DataError(f"unknown class {word!r} in {self.name} ({len(self)} classes): {hint}")


def _fold(word: str) -> str:
    return " ".join(word.replace("_", " ").casefold().split())


def _imagenet() -> ClassSpace:
    lines = files(__package__).joinpath("imagenet1k.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    return ClassSpace("imagenet-1k", tuple(r[0] for r in rows), tuple(tuple(r[1].split(", ")) for r in rows))


IMAGENET_1K = _imagenet()
