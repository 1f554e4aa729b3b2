"""The hard set as a function of what was mined and of what people said."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hard_set import MadeUpImage, client_of, images_of, verdict_on, write_hard_set
from hypothesis import given, settings
from hypothesis import strategies as st

from snellen.errors import DataError, UsageError
from snellen.labels import ClassSpace
from snellen.mining.hardset import CHANGED, DISAGREE, NO_CLASS, STALE, read, resolve
from snellen.mining.log import FOLDER, append, encode
from snellen.mining.mined import read_mined

FISH, SHARK = "n01443537", "n01484850"  # classes 1 and 2
IMAGE = MadeUpImage("a.jpg", (0,))


@pytest.fixture
def hard(tmp_path):
    return write_hard_set(tmp_path / "hard", [IMAGE, MadeUpImage("b.jpg", (3, 4), sha256="b" * 64)])


def said(*texts):
    """Verdicts on `IMAGE`: `ada keep`, or `bob relabel KEY < 0 1`, which saw the first two of these."""
    found = []
    for number, text in enumerate(texts):
        words, _, seen = text.partition("<")
        reviewer, verdict, *labels = words.split()
        based_on = [found[int(k)] for k in seen.split()]
        found.append(verdict_on(IMAGE, verdict, *labels, reviewer=reviewer, seq=number, based_on=based_on))
    return found


@pytest.mark.parametrize(
    ("texts", "status", "labels", "conflicts"),
    [
        ((), "undecided", (0,), []),
        (("ada keep",), "kept", (0,), []),
        (("ada drop",), "dropped", (0,), []),
        ((f"ada relabel {SHARK} {FISH}",), "relabelled", (1, 2), []),
        (("ada unsure",), "undecided", (0,), []),
        (("ada keep", "bob keep"), "kept", (0,), []),
        (("ada keep", "bob unsure"), "kept", (0,), []),
        (("ada keep", "bob drop"), "undecided", (0,), [DISAGREE]),
        ((f"ada relabel {FISH}", f"bob relabel {SHARK}"), "undecided", (0,), [DISAGREE]),
        ((f"ada relabel {FISH} {SHARK}", f"bob relabel {SHARK} {FISH}"), "relabelled", (1, 2), []),
        # Who changes their mind replaces what they said.
        (("ada keep", "ada drop < 0"), "dropped", (0,), []),
        (("ada keep", "bob drop", "bob keep < 1"), "kept", (0,), []),
        (("ada keep", "ada unsure < 0"), "undecided", (0,), []),
        # Who saw all of it decides.
        (("ada keep", "bob drop", "cy drop < 0 1"), "dropped", (0,), []),
        # Not having seen what one replaces is stale.
        (("ada keep", "ada drop"), "undecided", (0,), [STALE]),
        (("ada keep", "ada drop < 0", "ada unsure < 0"), "dropped", (0,), []),
        (("ada keep", "ada drop < 0", "bob keep < 0"), "undecided", (0,), [STALE]),
        (("ada keep", "bob drop", "ada drop < 0", "cy keep < 0 1"), "undecided", (0,), [STALE]),
        (("ada keep", "ada keep"), "kept", (0,), []),
        # A class that there is not decides nothing, and lets nobody else decide.
        (("ada relabel fish",), "undecided", (0,), [NO_CLASS]),
        (("ada relabel fish", "bob keep"), "undecided", (0,), [NO_CLASS]),
        (("ada relabel fish", f"ada relabel {FISH} < 0"), "relabelled", (1,), []),
    ],
)
def test_what_verdicts_decide(texts, status, labels, conflicts, hard):
    mined = read_mined(hard)
    found = resolve(mined, said(*texts))
    assert (found.images[0].status, found.images[0].labels) == (status, labels)
    assert [(one.image.id, one.why) for one in found.conflicts] == [(IMAGE.id, why) for why in conflicts]
    assert (found.images[1].status, found.images[1].labels) == ("undecided", (3, 4))
    assert sum(found.counts.values()) == 2


def test_a_verdict_is_of_the_bytes_that_were_seen(hard):
    old = verdict_on(MadeUpImage("a.jpg", sha256="c" * 64), "drop")
    append(hard, [old])
    found = read(hard)
    assert [(one.why, one.verdicts) for one in found.conflicts] == [(CHANGED, (old,))]
    assert found.counts["undecided"] == 2
    append(hard, [verdict_on(IMAGE, "keep", seq=1, based_on=[old])])
    assert (read(hard).images[0].status, read(hard).conflicts) == ("kept", ())


def test_mining_again_shifts_nothing(hard):
    """Images that come before, go, or come back: a verdict stays with its image."""
    append(hard, [verdict_on(IMAGE, "drop"), verdict_on(MadeUpImage("b.jpg", sha256="b" * 64), "keep", seq=1)])
    write_hard_set(hard, [*images_of(3), MadeUpImage("b.jpg", (3, 4), sha256="b" * 64)])
    found = read(hard)
    assert [image.status for image in found.images] == ["undecided"] * 3 + ["kept"]
    assert [verdict.id for verdict in found.elsewhere] == [IMAGE.id]
    assert found.ratings == {"ada": {found.images[3].mined.id: ("keep", ())}}
    write_hard_set(hard, [IMAGE])
    assert [image.status for image in read(hard).images] == ["dropped"]


@settings(max_examples=20)
@given(st.data())
def test_the_order_of_the_log_and_its_files_is_nothing(tmp_path_factory, data):
    images = images_of(3)
    numbers = count()
    verdicts = []
    for _ in range(data.draw(st.integers(1, 8))):
        image = data.draw(st.sampled_from(images))
        before = [one for one in verdicts if one.id == image.id]
        word = data.draw(st.sampled_from(["keep", "drop", "unsure", "relabel"]))
        verdicts.append(
            verdict_on(
                image,
                word,
                *([FISH] if word == "relabel" else []),
                reviewer=data.draw(st.sampled_from(["ada", "bob"])),
                seq=next(numbers),
                based_on=data.draw(st.lists(st.sampled_from(before), unique=True)) if before else [],
            )
        )
    folders = [tmp_path_factory.mktemp("hard") for _ in range(2)]
    for folder in folders:
        write_hard_set(folder, images)
        (folder / FOLDER).mkdir()
    (folders[0] / FOLDER / "all.jsonl").write_bytes(encode(verdicts))
    shuffled = data.draw(st.permutations([*verdicts, *data.draw(st.lists(st.sampled_from(verdicts)))]))
    cut = data.draw(st.integers(0, len(shuffled)))
    for name, part in (("z", shuffled[:cut]), ("a", shuffled[cut:])):
        (folders[1] / FOLDER / f"{name}.jsonl").write_bytes(encode(part))
    one, other = map(read, folders)
    assert (one.images, one.conflicts, one.verdicts) == (other.images, other.conflicts, other.verdicts)
    assert (one.ratings, str(one.agreement)) == (other.ratings, str(other.agreement))


def test_agreement_is_of_verdicts_given_without_sight(hard):
    other = MadeUpImage("b.jpg", sha256="b" * 64)
    first = [verdict_on(IMAGE, "keep"), verdict_on(other, "drop", seq=1)]
    blind = [
        verdict_on(IMAGE, "drop", reviewer="bob", client=2),
        verdict_on(other, "drop", reviewer="bob", client=2, seq=1),
    ]
    append(hard, first)
    append(hard, blind)
    before = read(hard)
    assert before.agreement.pairs[0].kappa.observed == 0.5
    # They talk: bob gives in. That they agree now says nothing of whether two people would.
    append(hard, [verdict_on(IMAGE, "keep", reviewer="bob", client=2, seq=2, based_on=[first[0], blind[0]])])
    after = read(hard)
    assert after.images[0].status == "kept"
    assert after.ratings == before.ratings
    # On second thoughts, by herself.
    append(hard, [verdict_on(other, "unsure", client=1, seq=3, based_on=[first[1]])])
    assert read(hard).ratings["ada"][other.id] == ("unsure", ())
    # And without having seen the first of them, twice: nobody knows what she thinks.
    append(hard, [verdict_on(other, "keep", client=3)])
    assert other.id not in read(hard).ratings["ada"]


def test_who_undoes_what_they_settled_is_no_witness(hard):
    blind = [verdict_on(IMAGE, "keep"), verdict_on(IMAGE, "drop", reviewer="bob", client=2)]
    settled = verdict_on(IMAGE, "drop", reviewer="carol", client=3, based_on=blind)
    undone = verdict_on(IMAGE, "unsure", reviewer="carol", client=3, seq=1, based_on=[settled])
    for batch in ([blind[0]], [blind[1]], [settled, undone]):
        append(hard, batch)
    found = read(hard)
    assert found.ratings["carol"] == {}
    assert [(pair.a, pair.b) for pair in found.agreement.pairs] == [("ada", "bob")]


@settings(max_examples=200)
@given(st.data())
def test_sight_is_inherited(tmp_path_factory, data):
    """Against a search by matrix powers: who has seen another's, near or far, does not count."""
    folder = write_hard_set(tmp_path_factory.mktemp("hard"), [IMAGE])
    n = data.draw(st.integers(1, 7))
    # Numbers are those of verdicts that may also come later: a log may hold circles.
    edges = data.draw(st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))))
    who = data.draw(st.lists(st.sampled_from(["ada", "bob", "cy"]), min_size=n, max_size=n))
    word = data.draw(st.lists(st.sampled_from(["keep", "drop", "unsure"]), min_size=n, max_size=n))
    plain = [verdict_on(IMAGE, word[k], reviewer=who[k], seq=k) for k in range(n)]
    verdicts = [
        replace(one, based_on=tuple(plain[b].key for a, b in sorted(edges) if a == k)) for k, one in enumerate(plain)
    ]
    found = resolve(read_mined(folder), verdicts).ratings

    near = np.zeros((n, n), bool)
    for a, b in edges:
        near[a, b] = True
    far = near.copy()
    for _ in range(n):
        far |= (far.astype(int) @ near.astype(int)) > 0
    for reviewer in set(who):
        own = [k for k in range(n) if who[k] == reviewer]
        blind = [k for k in own if all(who[b] == reviewer for b in range(n) if far[k, b])]
        last = [k for k in blind if not any(near[a, k] for a in blind)] or blind
        words = {word[k] for k in last}
        assert found[reviewer] == ({IMAGE.id: (words.pop(), ())} if len(words) == 1 else {})


def test_a_label_that_the_miners_answer_makes_the_image_no_longer_hard(tmp_path):
    images = [MadeUpImage(name, (0,), answers=((1, 0.4), (2, 0.3))) for name in ("a", "b", "c")]
    hard = write_hard_set(tmp_path, images)
    append(hard, [verdict_on(images[0], "relabel", SHARK), verdict_on(images[1], "relabel", "n01491361", seq=1)])
    found = read(hard)
    assert [image.read_by for image in found.images] == [(found.mined.images[0].miners[1],), (), ()]


def test_classes_of_ones_own(tmp_path):
    space = ClassSpace.of_names(["cat", "dog", "fox"], "pets")
    hard = write_hard_set(tmp_path, [MadeUpImage("a.jpg", (0,), answers=((1, 0.5), (1, 0.5)))], space=space)
    append(hard, [verdict_on(MadeUpImage("a.jpg"), "relabel", "fox", "dog")])
    assert read(hard).images[0].labels == (1, 2)
    assert read(hard).space == space


def broken(name, text):
    def do(hard):
        (hard / name).write_bytes(text)

    return do


def without(column):
    def do(hard):
        path = hard / "candidates.parquet"
        pq.write_table(pq.read_table(path).drop_columns([column]), path)

    return do


def changed(column, values):
    def do(hard):
        path = hard / "candidates.parquet"
        table = pq.read_table(path)
        place = table.column_names.index(column)
        pq.write_table(table.set_column(place, column, pa.array(values)), path)

    return do


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (lambda hard: (hard / "mine.json").unlink(), UsageError, "no mine.json; `snellen mine … -o "),
        (broken("mine.json", b"{"), DataError, "mine.json' is damaged"),
        (broken("mine.json", b"[]"), DataError, "mine.json' is damaged"),
        (broken("mine.json", json.dumps({"format": 2}).encode()), DataError, "another format than 1"),
        (lambda hard: (hard / "candidates.parquet").unlink(), UsageError, "no candidates.parquet; let `snellen mine"),
        (broken("candidates.parquet", b"PAR1"), DataError, "candidates.parquet' cannot be read"),
        (without("sha256"), DataError, "no column 'sha256'"),
        (changed("labels", ["1", "2"]), DataError, "candidates.parquet' cannot be read"),
        (changed("labels", [[1000], [2]]), DataError, r"class outside 0 … 999"),
        (changed("id", ["0" * 16] * 2), DataError, "'0000000000000000' is not the id of 'a.jpg'"),
        (changed("image_id", ["a.jpg", None]), DataError, "candidates.parquet' cannot be read"),
    ],
)
def test_what_is_no_hard_set_is_one_line(damage, kind, words, hard):
    damage(hard)
    with pytest.raises(kind, match=words) as told:
        read(hard)
    assert "\n" not in str(told.value)


def test_a_place_without_anything(tmp_path):
    with pytest.raises(UsageError, match="is no hard set"):
        read(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is no hard set"):
        read(tmp_path / "file")


def test_clients_are_told_apart(hard):
    """Two clients count for themselves."""
    append(hard, [verdict_on(IMAGE, "keep", client=1)])
    append(hard, [verdict_on(IMAGE, "keep", reviewer="bob", client=2)])
    assert [one.key for one in read(hard).verdicts] == [f"{client_of(1)}/0", f"{client_of(2)}/0"]
    assert Path(hard / FOLDER).is_dir()
