"""The overview of a hard set: what the review, the mining and the miners' answers tell, counted by hand."""

import json
from collections import Counter

import pytest
from scipy.stats import binomtest
from view_site import make_site, open_page, serve

N = 70
FUNNEL = [
    {"miner": "timm/one@w.safetensors,mean=0.5", "shown": 400, "read": 280, "failed": 119, "unanswered": 0, "left": 120}
    | {"unreadable": 1, "forwards": 50_000, "studied": 0, "exhaustive": 129_600},
    {"miner": "embedded/two", "shown": 120, "read": 50, "failed": 70, "unanswered": 0, "left": 70}
    | {"unreadable": 0, "forwards": 25_000, "studied": 0, "exhaustive": 129_600},
]
SOURCES = [
    {"name": "imagenet", "images": 300, "unlabelled": 10, "unreadable": 1, "hard": 40},
    {"name": "elsewhere", "images": 110, "unlabelled": 0, "unreadable": 0, "hard": 30},
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A hard set on which two miners are right at no zoom; one image is undecided since a reviewer is unsure."""
    folder = tmp_path_factory.mktemp("hard")
    made = make_site(folder, N, kind="hard", classes=12)
    data = folder / "data"
    for k, model in enumerate(made.models):
        model |= {"winning": [0] * N, "right": [0] * N, "consensus_right": [0] * N}
        model["summary"] = {"1-crop": {"k": 0, "n": N, "value": 0, "low": 0, "high": 0.05}}
        model["summary"]["upper bound"] = model["summary"]["1-crop"]
        (data / "s0" / f"m{k}.json").write_text(json.dumps(model))
    record = json.loads((data / "site.json").read_text())
    record["sets"][0]["mining"] = {"required": 2, "zooms": 324, "funnel": FUNNEL, "sources": SOURCES}
    (data / "site.json").write_text(json.dumps(record))
    verdicts = json.loads((data / "verdicts.json").read_text())
    said = {"key": "a/0", "reviewer": "ada", "labels": [], "time": "", "reason": ""}
    for row, reason in ((3, ""), (4, "undone")):  # what is undone is not said
        standing = [said | {"verdict": "unsure", "reason": reason}]
        verdicts["images"][made.images["key"][row]] = {"status": "undecided", "labels": [], "standing": standing}
    (data / "verdicts.json").write_text(json.dumps(verdicts))
    return made


@pytest.fixture(scope="module")
def address(site):
    with serve(site.folder) as found:
        yield found


def share(k, n):
    between = binomtest(k, n).proportion_ci(method="wilson")
    return f"{100 * k / n:.1f} % ({100 * between.low:.1f}–{100 * between.high:.1f})"


def counts(page, title):
    """Of each list of a section, names and counts."""
    lists = (
        page.locator("section").filter(has=page.get_by_role("heading", name=title, exact=True)).locator("table.winning")
    )
    rows = "all => all.map(tr => [tr.cells[0].innerText.trim(), Number(tr.cells[1].innerText.trim().split(' ')[0])])"
    return [one.locator("tr").evaluate_all(rows) for one in lists.all()]


def grid_rows(page, n):
    page.wait_for_function("n => document.querySelector('.count b')?.textContent === n", arg=str(n))
    return page.eval_on_selector_all(".cell a", "all => all.map(a => parseInt(a.hash.split('/image/')[1]))")


def test_it_shows_what_tells_something(browser, address, site):
    with open_page(browser, address) as seen:
        page = seen.page
        page.get_by_role("heading", name="What most zooms answer").wait_for()
        page.wait_for_function("() => document.querySelectorAll('.maps table').length === 2")
        page.get_by_role("heading", name="Review", exact=True).wait_for()
        headings = page.locator("main h2").all_inner_texts()
        assert headings == ["Review", "Suspects", "How it was mined", "What most zooms answer", "Origins"]
        kept = sum(k % 5 == 0 for k in range(N))
        dropped = sum(k % 7 == 0 and k % 5 > 0 for k in range(N))
        undecided = N - kept - dropped
        assert counts(page, "Review") == [
            [["kept", kept], ["dropped", dropped], ["relabelled", 0], ["undecided", undecided], ["of these unsure", 1]]
        ]
        kinds = Counter(kind for kind in site.images["kind"] if kind)
        assert counts(page, "Suspects") == [[[kind, count] for kind, count in kinds.most_common()]]
        names = site.classes["names"]
        answers = [Counter(model["consensus"]) for model in site.models]
        assert counts(page, "What most zooms answer") == [
            [[names[k], one[k]] for k in sorted(one, key=lambda k, one=one: (-one[k], k))[:10]] for one in answers
        ]
        funnel = page.get_by_role("region", name="The funnel of mining").locator("tbody tr")
        assert [row.locator("th, td").all_inner_texts() for row in funnel.all()] == [
            ["timm/one", "400", "280", "119", "120", "1", "50,000", "129,600"],
            ["embedded/two", "120", "50", "70", "70", "0", "25,000", "129,600"],
        ]
        page.get_by_text(
            "75,000 forward passes. Studies by all these miners take 259,200: 3.5 times as many."
        ).wait_for()
        sources = page.get_by_role("region", name="Data sets").locator("tbody tr")
        assert [row.locator("th, td").all_inner_texts() for row in sources.all()] == [
            ["imagenet", "300", "10", "1", "40", share(40, 289)],
            ["elsewhere", "110", "0", "0", "30", share(30, 110)],
        ]
        assert seen.complaints == seen.requests == []


def test_each_count_leads_to_its_images(browser, address, site):
    common = Counter(site.models[1]["consensus"]).most_common(1)[0][0]
    kind = next(one for one in site.images["kind"] if one)
    expected = {
        "of these unsure": [3],
        site.classes["names"][common]: [k for k in range(N) if site.models[1]["consensus"][k] == common],
        kind: [k for k in range(N) if site.images["kind"][k] == kind],
    }
    with open_page(browser, address) as seen:
        for name, rows in expected.items():
            seen.page.goto(address + "#/")
            link = seen.page.get_by_role("link", name=name, exact=True).last
            link.click()
            assert sorted(grid_rows(seen.page, len(rows))) == rows
        assert seen.complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1400, "light")])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(browser, address, width, scheme):
    with open_page(browser, address, width=width, scheme=scheme) as seen:
        seen.page.wait_for_function("() => document.querySelectorAll('.maps table').length === 2")
        assert seen.violations() == []
        assert seen.overflow() == 0


def test_miners_that_are_right_somewhere_keep_their_numbers(browser, tmp_path):
    """With fewer miners required than there are, some are right on some hard images."""
    make_site(tmp_path, 20, kind="hard")
    with serve(tmp_path) as address, open_page(browser, address) as seen:
        seen.page.get_by_role("heading", name="What framing can reach").wait_for()
        seen.page.get_by_role("heading", name="By number of winning zooms").wait_for()
        assert seen.complaints == []
