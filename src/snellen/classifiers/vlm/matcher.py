"""What class a text means: the answers of generative models, matched to the classes that take part.

Every way returns one class or none. A text that may mean several classes means none: it is listed, not guessed.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from snellen.errors import ModelError
from snellen.labels import ClassSpace

Words = tuple[str, ...]
Match = Callable[[str], int]

NONE = -1
# Counts up when the same text would mean another class.
RULE = 1
ARTICLES = ("a", "an", "the")
# How a sentence leads up to the one thing it names; folded as answers are.
LEAD_IN = re.compile(
    r"^(?:answer|its|(?:it|this|that) is|(?:(?:the|this) )?(?:main object|image|picture|photo|photograph)"
    r"(?: in (?:the|this) (?:image|picture|photo|photograph))? (?:is|shows|depicts))(?: (?:a|an|the))? (?=.)"
)


@dataclass(frozen=True)
class _Names:
    """What each folded name means.

    ids: the classes that take part.
    literal: keys and shown names, unfolded, to their class.
    first: folded keys, shown names and first words, to the classes they stand for.
    all: `first`, and all synonyms.
    texts: folded synonyms as one text each, to their words.
    """

    ids: frozenset[int]
    literal: dict[str, int]
    first: dict[Words, frozenset[int]]
    all: dict[Words, frozenset[int]]
    texts: dict[str, Words]
    longest: int


def matcher(how: str, space: ClassSpace, ids: Sequence[int] | None = None, threshold: float = 90.0) -> Match:
    """A function that gives the class id a text means, or -1.

    how: `exact`: the whole text is a class's shown name, first word, key or index.
        `synonyms`: that, or the whole text is one of a class's words, or the words of classes that it holds can all
        mean one and the same class; a word inside a longer one ("tiger" in "tiger cat") does not count.
        `fuzzy`: that, or the class's word that is most like the whole text, if at least `threshold` (0 … 100; the
        normalised indel similarity of rapidfuzz's `fuzz.ratio`).
    ids: the classes that take part; None means all.

    Case, accents, punctuation, quotes, underscores, hyphens, a leading article and what stands before `</think>` do
    not count. Where a word is the first of one class and a further one of others ("partridge"), it means the first.

    Raises ModelError for a way that there is not.

    >>> from snellen.labels import IMAGENET_1K
    >>> means = matcher("synonyms", IMAGENET_1K)
    >>> means("It's a tabby cat."), means("a tabby or a tiger cat"), means("crane")
    (281, -1, -1)
    """
    if how not in MATCHERS:
        raise ModelError(f"match={how}: expected {', '.join(MATCHERS)}")
    names, match = _names(space, ids), MATCHERS[how]
    return lambda text: match(names, _after_thinking(text), threshold)


def shown_names(space: ClassSpace, ids: Sequence[int] | None = None) -> list[str]:
    """The name of each class that takes part: its first word, with the second or the key where others share that.

    No two are alike, not even when folded.
    """
    taking_part = range(len(space)) if ids is None else ids
    heads = [space.synonyms[i][:2] for i in taking_part]
    firsts, pairs = Counter(fold(head[0]) for head in heads), Counter(tuple(map(fold, head)) for head in heads)
    names = []
    for i, head in zip(taking_part, heads, strict=True):
        if firsts[fold(head[0])] == 1 or head[0] == space.keys[i]:
            names.append(head[0])
        else:
            apart = head[1] if len(head) == 2 and pairs[tuple(map(fold, head))] == 1 else space.keys[i]
            names.append(f"{head[0]} ({apart})")
    return names


def fold(text: str) -> Words:
    """The words of a text, without case, accents, punctuation and a leading article.

    >>> fold('  "The Jack-o’-lantern" ')
    ('jack', 'o', 'lantern')
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(c for c in plain if not unicodedata.combining(c) and c not in "'’‘ʼ`´")
    words = tuple(re.findall(r"\w+", plain.replace("_", " ")))
    return words[1:] if len(words) > 1 and words[0] in ARTICLES else words


def _names(space: ClassSpace, ids: Sequence[int] | None) -> _Names:
    taking_part = list(range(len(space)) if ids is None else ids)
    shown = shown_names(space, taking_part)
    first: dict[Words, set[int]] = defaultdict(set)
    synonyms: dict[Words, set[int]] = defaultdict(set)
    for i, name in zip(taking_part, shown, strict=True):
        for text in (space.keys[i], name, space.synonyms[i][0]):
            first[fold(text)].add(i)
        for text in space.synonyms[i]:
            synonyms[fold(text)].add(i)
    every = {words: first.get(words, set()) | synonyms.get(words, set()) for words in {**first, **synonyms}}
    literal = {**dict(zip(shown, taking_part, strict=True)), **{space.keys[i]: i for i in taking_part}}
    texts = {" ".join(words): words for words in synonyms if words}
    longest = max(map(len, every), default=0)
    return _Names(frozenset(taking_part), literal, _frozen(first), _frozen(every), texts, longest)


def _frozen(table: dict[Words, set[int]]) -> dict[Words, frozenset[int]]:
    return {words: frozenset(ids) for words, ids in table.items() if words}


def _exact(names: _Names, text: str, threshold: float) -> int:
    literal = names.literal.get(text.strip())
    if literal is not None:
        return literal
    words = fold(text)
    if words in names.first:
        return _only(names.first[words])
    number = re.fullmatch(r"[^\w-]*([0-9]{1,9})\W*", text)
    return int(number[1]) if number and int(number[1]) in names.ids else NONE


def _synonyms(names: _Names, text: str, threshold: float) -> int:
    found = _exact(names, text, threshold)
    if found != NONE:
        return found
    mentions = _mentions(names, fold(text))
    return _decide(names, mentions) if mentions else NONE


def _fuzzy(names: _Names, text: str, threshold: float) -> int:
    from rapidfuzz import fuzz, process

    found = _synonyms(names, text, threshold)
    if found != NONE:
        return found
    query = LEAD_IN.sub("", " ".join(fold(text)))
    scored = process.extract(query, list(names.texts), scorer=fuzz.ratio, score_cutoff=threshold, limit=None)
    nearest = [names.texts[choice] for choice, score, _ in scored if score == scored[0][1]]
    meant = {_decide(names, [words]) for words in nearest}
    return _only(frozenset(meant))


# The ways to match, as `match=` names them.
MATCHERS: dict[str, Callable[[_Names, str, float], int]] = {"exact": _exact, "synonyms": _synonyms, "fuzzy": _fuzzy}


def _mentions(names: _Names, words: Words) -> list[Words]:
    """The names that stand in a text, without those inside a longer one."""
    spans = {
        (start, stop)
        for start in range(len(words))
        for stop in range(start + 1, min(len(words), start + names.longest) + 1)
        if words[start:stop] in names.all
    }

    def inside(a: int, b: int) -> bool:
        around = ((c, d) for c in range(b - names.longest, a + 1) for d in range(b, c + names.longest + 1))
        return any(span in spans and span != (a, b) for span in around)

    return [words[a:b] for a, b in spans if not inside(a, b)]


def _decide(names: _Names, mentions: Sequence[Words]) -> int:
    """The one class that every name can mean; where they leave several, the one of which a name is the first."""
    common = frozenset.intersection(*(names.all[words] for words in mentions))
    if len(common) == 1:
        return _only(common)
    return _only(common & frozenset().union(*(names.first.get(words, frozenset()) for words in mentions)))


def _only(ids: frozenset[int]) -> int:
    return next(iter(ids)) if len(ids) == 1 else NONE


def _after_thinking(text: str) -> str:
    """What a model says after thinking aloud; nothing where it was cut off while it thought."""
    _, closed, answer = text.rpartition("</think>")
    return answer if closed else text.partition("<think>")[0]
