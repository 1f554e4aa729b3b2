"""Links, filters and geometry of the page, run in a browser, against what Python finds by the plain way."""

import json
import random
import unicodedata

import pytest
from browser import chromium
from view_site import make_site, open_page, serve

from snellen.analysis.stats import wilson
from snellen.labels import IMAGENET_1K
from snellen.web.classes import classes_record

N = 400


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory.mktemp("filter"), N, kind="hard", classes=40)


@pytest.fixture(scope="module")
def page(site):
    with serve(site.folder) as address, chromium() as browser, open_page(browser, address) as seen:
        yield seen.page


def run(page, module, body, *given):
    """What JavaScript gives that sees a module as `m` and values as `given`."""
    return page.evaluate(
        f"async (given) => {{ const m = await import(new URL('static/js/{module}', document.baseURI)); {body} }}",
        list(given),
    )


def fold(text):
    plain = unicodedata.normalize("NFKD", text.lower())
    return "".join(letter for letter in plain if not unicodedata.category(letter).startswith("M"))


def found(site, query):
    """Positions that a query leaves, by its words."""
    images, classes = site.images, site.classes
    model = site.models[int(query.get("m", "m0")[1:])]
    by_key = {key: k for k, key in enumerate(classes["keys"])}
    verdicts = json.loads((site.folder / "data" / "verdicts.json").read_text())

    def text(k):
        names = [
            "\n".join([classes["keys"][c], classes["names"][c], *classes["synonyms"][c]]) for c in images["labels"][k]
        ]
        return [fold(one) for one in (*names, images["id"][k], images["origins"][images["origin"][k]])]

    def status(k):
        return verdicts["images"].get(images["key"][k], {"status": "undecided"})["status"]

    def distinct(column, k):
        return len({one[column][k] for one in site.models if one["right"][k] != -1})

    def alone(k, where):
        ways = [one["right"][k] if where == "crop" else min(1, one["winning"][k]) for one in site.models]
        return ways.pop(site.models.index(model)) == 1 and ways == [0] * len(ways)

    def left(k):
        low, _, high = query.get("wins", "0-").partition("-") if "wins" in query else ("", "", "")
        if "wins" in query and not (
            model["winning"][k] >= int(low or 0) and (model["winning"][k] <= int(high) if high else True)
        ):
            return False
        checks = {
            "q": lambda v: all(any(fold(word) in one for one in text(k)) for word in v.split()),
            "label": lambda v: by_key[v] in images["labels"][k],
            "origin": lambda v: images["origins"][images["origin"][k]] == v,
            "right": lambda v: model["right"][k] == int(v),
            "says": lambda v: model["consensus"][k] == by_key[v],
            "differ": lambda v: distinct("right" if v == "right" else "crop", k) > 1,
            "only": lambda v: alone(k, v),
            "said": lambda v: all(
                site.models[int(one[1])]["crop"][k] == int(one.partition("-")[2]) for one in v.split(",")
            ),
            "mistake": lambda v: (
                (images["labels"][k][0], model["crop" if v[0] == "c" else "consensus"][k])
                == tuple(map(int, v.split("-")[1:]))
                and model["right" if v[0] == "c" else "consensus_right"][k] == 0
            ),
            "suspect": lambda v: images["suspect"][k] is not None and images["suspect"][k] >= float(v),
            "kind": lambda v: images["kind"][k] == v,
            "verdict": lambda v: (
                k in {"conflict": (1, 2), "unsure": ()}[v] if v in ("conflict", "unsure") else status(k) == v
            ),
            "state": lambda v: str(k) in images["error"],
        }
        return all(checks[name](value) for name, value in query.items() if name in checks)

    rows = [k for k in range(images["n"]) if left(k)]
    column = {"wins": "winning", "confidence": "crop_p", "sensitivity": "sensitivity", "agree": "consensus_share"}
    sort, down = query.get("sort"), bool(query.get("down"))
    if sort is None:
        return rows[::-1] if down else rows
    if sort in column:
        value = [None if one is None or one < 0 else one for one in model[column[sort]]]
    elif sort == "suspect":
        value = images["suspect"]
    elif sort == "differ":
        value = [distinct("crop", k) for k in range(images["n"])]
    else:
        value = [fold(one) for one in images["id"]]
    known = [k for k in rows if value[k] is not None]
    known.sort(key=lambda k: value[k], reverse=down)  # ties keep the order of the data set also where it is reversed
    return known + [k for k in rows if value[k] is None]


def queries(site, count, seed=3):
    draw = random.Random(seed)
    keys = site.classes["keys"]
    different = next(k for k in range(N) if len({one["crop"][k] for one in site.models} - {-1}) == 2)
    wrong = [k for k in range(N) if all(one["right"][k] == 0 for one in site.models)][:2]
    mistaken = [
        f"{kind}-{site.images['labels'][k][0]}-{one[column][k]}"
        for kind, column in (("crop", "crop"), ("zooms", "consensus"))
        for one in site.models
        for k in wrong
    ]
    pair = ",".join(f"m{m}-{one['crop'][different]}" for m, one in enumerate(site.models))
    choices = {
        "q": lambda: draw.choice(
            ("thing 3", "gerat", "photo_00012", "n0000000", "<img", "a 1", "imagenet-a thing", "zzz")
        ),
        "label": lambda: draw.choice(keys),
        "origin": lambda: draw.choice(site.images["origins"]),
        "m": lambda: draw.choice(("m0", "m1")),
        "right": lambda: draw.choice(("1", "0", "-1")),
        "wins": lambda: draw.choice(("0-0", "3-20", "-9", "40-", "0-54")),
        "says": lambda: draw.choice(keys),
        "differ": lambda: draw.choice(("answer", "right")),
        "only": lambda: draw.choice(("crop", "zooms")),
        "mistake": lambda: draw.choice(mistaken),
        "said": lambda: draw.choice((pair, pair.partition(",")[0])),
        "suspect": lambda: draw.choice(("0.5", "0")),
        "kind": lambda: "label error",
        "verdict": lambda: draw.choice(("undecided", "unsure", "kept", "dropped", "conflict")),
        "state": lambda: "error",
        "sort": lambda: draw.choice(("wins", "confidence", "sensitivity", "agree", "suspect", "differ", "name")),
        "down": lambda: "1",
    }
    yield {}
    yield from ({name: make()} for name, make in choices.items())
    for _ in range(count):
        yield {name: choices[name]() for name in draw.sample(sorted(choices), draw.randrange(1, 5))}


def test_every_query_leaves_what_it_says_in_the_order_it_says(site, page):
    body = """
    const data = await import(new URL('static/js/data.js', document.baseURI));
    const set = (await data.loadSite()).sets[0];
    const load = async (one) => ({ ...one, columns: await data.loadModel(set, one) });
    const models = await Promise.all(set.models.map(load));
    const verdicts = await (await fetch('data/verdicts.json')).json();
    const all = { columns: await data.loadSet(set), classes: await data.loadClasses(set.space), models, verdicts };
    return given[0].map((query) => [...m.select(all, query)]);"""
    asked = list(queries(site, 150))
    answers = run(page, "filter.js", body, asked)
    some = 0
    for query, answer in zip(asked, answers, strict=True):
        expected = found(site, query)
        assert answer == expected, query
        some += bool(expected)
    assert some > 60


def test_a_state_and_its_link_are_the_same(page):
    states = [
        {
            "page": "grid",
            "set": "s0",
            "row": None,
            "query": {"q": "a b&c=d#e%/?", "origin": "<img src=x>", "wins": "3-9"},
        },
        {"page": "image", "set": "s0", "row": 12, "query": {}},
        {"page": "review", "set": "s1", "row": 0, "query": {"verdict": "undecided", "q": "Gerät ünï 🦒"}},
    ]
    links = run(page, "route.js", "return given[0].map(m.format);", states)
    assert run(page, "route.js", "return given[0].map(m.parse);", links) == states
    assert links[1] == "#/s0/image/12"
    odd = [
        "",
        "#",
        "#/",
        "#/s0",
        "#/s0/no",
        "#/s0/image/-1",
        "#/s0/image/1e9",
        "#/%E0%A4%A/grid?%zz=%zz&__proto__=1",
        "#?q",
    ]
    parsed = run(page, "route.js", "return given[0].map(m.parse);", odd)
    assert [one["page"] for one in parsed] == ["overview"] * 5 + ["image", "image", "grid", "overview"]
    assert all(one["row"] is None for one in parsed)
    assert parsed[7]["query"] == {"%zz": "%zz"}


def test_tiles_fill_the_window_and_are_never_too_many(page):
    sizes = [
        (w, h, s)
        for w in (300, 390, 768, 1400, 2560, 3840, 7680)
        for h in (200, 844, 2160, 4320)
        for s in ("small", "large", "constructor", "toString")
    ]
    body = """return given[0].map(([w, h, size]) => {
      const tiling = m.tile(w, h, size);
      const count = 50000;
      const full = m.fullHeight(tiling, count);
      const tops = [0, 1, full / 3, full - h].map((top) => [top, ...m.visible(tiling, count, Math.max(0, top))]);
      return { tiling, tops, full, few: m.visible(tiling, 3, 0) };
    });"""
    for (_, height, _), one in zip(sizes, run(page, "tiling.js", body, sizes), strict=True):
        columns, row_height = one["tiling"]["columns"], one["tiling"]["rowHeight"]
        assert one["few"] == [0, 3]
        for top, first, last in one["tops"]:
            assert last - first <= 200
            # Every pixel of the window has a cell.
            assert first // columns * row_height <= max(0, top)
            assert -(-last // columns) * row_height >= min(one["full"], max(0, top) + height)


def test_counts_by_winning_zooms_and_by_scale(page):
    draw = random.Random(1)
    winning = [draw.randrange(-1, 325) for _ in range(5000)]
    bins = run(page, "curves.js", "return m.histogram(given[0], 324, 7);", winning)
    assert [(one["from"], one["to"]) for one in bins][:2] == [(0, 0), (1, 46)]
    assert bins[-1]["to"] == 324
    for one in bins:
        assert one["count"] == sum(one["from"] <= wins <= one["to"] for wins in winning)
    grid = [{"scale": scale, "row": row, "col": col} for scale in (256, 10) for row in range(3) for col in range(3)]
    points = run(
        page, "curves.js", "return m.byScale(given[0], given[1]);", grid, {"k": [*range(9), *range(9, 18)], "n": 20}
    )
    for point, k in zip(points, (13, 4), strict=True):
        assert (point.pop("low"), point.pop("high")) == pytest.approx([float(one) for one in wilson(k, 20)])
    assert points == [
        {"scale": 10, "centre": 13 / 20, "best": 17 / 20, "worst": 9 / 20},
        {"scale": 256, "centre": 4 / 20, "best": 8 / 20, "worst": 0},
    ]
    pairs = [(0, 0), (0, 9), (9, 9), (1, 50_000), (37_211, 50_000)]
    asked = run(page, "curves.js", "return given[0].map(([k, n]) => m.wilson(k, n));", pairs)
    assert asked == [pytest.approx([float(one) for one in wilson(k, n)], abs=1e-12) for k, n in pairs]


def test_a_query_that_cannot_be_answered_yet_says_so(page):
    body = """
    const columns = { n: 3, key: ['a', 'b', 'c'] };
    const models = [{ key: 'm0', columns: { right: [0, 1, 0], crop: [1, 2, 3] } }]; // at one zoom
    const verdicts = { images: { b: { status: 'kept' } }, conflicts: [] };
    return given[0].map(([query, pending, known]) => {
      const data = { columns, classes: { keys: [] }, models, verdicts: known ? verdicts : null };
      return m.waits(data, query, pending) ? 'waits' : [...m.select(data, query)];
    });"""
    asked = [
        ({"verdict": "kept"}, False, False),
        ({"verdict": "kept"}, False, True),
        ({"right": "0"}, True, False),
        ({"right": "0"}, False, False),
        ({"sort": "confidence"}, True, False),
        ({"q": "", "sort": "name"}, True, False),
        ({"wins": "1-5"}, False, False),  # of a model that has no other zooms
        ({"m": "m7", "right": "0"}, False, False),  # of a model that is not there
    ]
    everything = [0, 1, 2]
    expected = ["waits", [1], "waits", [0, 2], "waits", everything, everything, everything]
    assert run(page, "filter.js", body, asked) == expected


def test_no_two_classes_go_by_one_name(page):
    """Two classes of ImageNet are called crane, two maillot, and a dog and a jacket cardigan."""
    record = classes_record("imagenet-1k", IMAGENET_1K)
    assert len({name.casefold() for name in record["names"]}) == 1000
    for name, words in zip(record["names"], IMAGENET_1K.synonyms, strict=True):
        assert name.startswith(words[0])
    asked = ["crane", "Maillot", "tank suit", "cardigan", "n03126707", "cardigan welsh corgi", "tench", "no class"]
    asked += [name.upper() for name in record["names"]]
    body = """
    const [classes, asked] = given;
    return asked.map((text) => [m.classesNamed(classes, text), m.findClass(classes, text),
      m.findClass(classes, text) && m.findClass(classes, m.classText(classes, m.classesNamed(classes, text)[0]))]);
    """
    found = run(page, "filter.js", body, record, asked)
    ids = [ids for ids, _, _ in found]
    assert ids == [[134, 517], [638, 639], [639], [264, 474], [517], [264], [0], [], *([k] for k in range(1000))]
    for some, key, again in found:  # what a field shows of a class names the class
        assert key == again == (record["keys"][some[0]] if len(some) == 1 else None)
