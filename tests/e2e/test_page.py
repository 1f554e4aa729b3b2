"""The report's page in a real browser: nothing breaks, nothing is asked for, everybody can read and reach it."""

import pytest
from browser import chromium, visit
from photo_runs import paint, photo_run

from snellen.analysis.survey import survey
from snellen.report.page import LIMIT
from snellen.report.write import KINDS, make_tables, write_report

SIZES = [(1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")]
OPEN = "all => all.forEach(one => one.open = true)"
# As long as names get, and with what could end a tag, an attribute or a line.
LONG = "<script>alert('1')</script>\" onerror=\"x_" + "unbroken" * 12


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of three runs, whose names, classes and files are as long and as odd as they may be."""
    folder = tmp_path_factory.mktemp("page")
    names = [f"{k:02d} {LONG.replace('/', '∕')}.jpg" for k in range(16)]
    photos = paint(folder / "photos", names)
    classes = [LONG, "\u202ertl\u202c", *(f"kind-{k}" for k in range(8))]
    runs = [
        photo_run(
            folder / f"run-{k}",
            photos,
            classes=classes,
            model=f"timm/{['short', LONG.replace('/', '∕'), 'other'][k]}",
            ease=[0, 0.02, 1, *[0.2 + 0.2 * k] * 13],
            bad=[15],
            sources=("own", "other"),
            seed=k,
        )
        for k in range(3)
    ]
    (photos / names[0]).unlink()
    found = survey(runs, ("own", "other"), resamples=50)
    write_report(found, runs, folder / "report", KINDS[:1], make_tables(found, runs))
    return folder / "report" / "index.html"


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_it_opens_whole_and_by_itself(browser, report, width, scheme):
    with visit(browser, report, width=width, scheme=scheme) as seen:
        assert seen.complaints == []
        assert seen.requests == []
        assert seen.overflow() == 0
        seen.page.eval_on_selector_all("details", OPEN)
        seen.show_images()
        assert seen.overflow() == 0
        broken = seen.page.eval_on_selector_all("img", "all => all.filter(i => !i.naturalWidth).map(i => i.alt)")
        assert broken == []
        assert seen.page.locator("img").count() > 40
        # Rows are alike; hundreds of them would keep axe busy for a minute.
        seen.page.eval_on_selector_all("tbody tr:nth-child(n + 4)", "all => all.forEach(row => row.remove())")
        assert seen.violations() == []
        assert seen.complaints == []


def test_it_is_small_and_carries_no_script(report):
    content = report.read_bytes()
    assert len(content) < LIMIT
    assert b"<script" not in content.lower()


def test_the_first_tab_offers_to_skip_to_the_content(browser, report):
    with visit(browser, report) as seen:
        page = seen.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.locator(".skip").bounding_box()["y"] >= 0
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"


def test_the_keyboard_reaches_everything(browser, report):
    with visit(browser, report) as seen:
        page = seen.page
        reached = []
        for _ in range(200):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    "(e => [e.tagName, e.className, e.getAttribute('href') || e.id || e.getAttribute('aria-label')])"
                    "(document.activeElement)"
                )
            )
            if reached[-1][0] == "BODY":
                break
        tags = [tag for tag, _, _ in reached]
        assert tags[-1] == "BODY", "Tab leaves the page at its end"
        assert tags.count("INPUT") == 1  # one stop for the three colours, which the arrows choose from
        sections = page.eval_on_selector_all("nav a", "all => all.map(a => a.getAttribute('href'))")
        assert [name for tag, _, name in reached if tag == "A" and name in sections][: len(sections)] == sections
        regions = page.eval_on_selector_all(
            ".scroll", "all => all.filter(e => e.checkVisibility({contentVisibilityAuto: true})).length"
        )
        assert sum("scroll" in css.split() for _, css, _ in reached) == regions > 10
        assert tags.count("SUMMARY") == page.locator("summary").count() > 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_until_somebody_chooses(browser, report, scheme):
    def paper(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    with visit(browser, report, scheme=scheme) as seen:
        page = seen.page
        first = paper(page)
        page.focus("#theme-auto")
        page.keyboard.press("ArrowRight")
        light = paper(page)
        page.keyboard.press("ArrowRight")
        dark = paper(page)
        assert light == "rgb(255, 255, 255)" != dark
        assert first == {"light": light, "dark": dark}[scheme]
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
        page.reload()
        assert paper(page) == first


def test_wide_tables_scroll_by_themselves_on_a_phone(browser, report):
    with visit(browser, report, width=390) as seen:
        moved = seen.page.eval_on_selector_all(
            "section[aria-labelledby=summary] > .scroll", "all => all.map(e => (e.scrollLeft = 9999, e.scrollLeft))"
        )
        assert moved
        assert max(moved) > 100
        assert seen.overflow() == 0


def test_the_frame_lies_on_its_picture(browser, report):
    with visit(browser, report) as seen:
        seen.page.eval_on_selector_all("details", OPEN)
        boxes = seen.page.evaluate(
            """[...document.querySelectorAll('.whole:has(rect)')].map(whole => {
                 const [i, r] = [whole.querySelector('img'), whole.querySelector('.frame')]
                 const [a, b] = [i.getBoundingClientRect(), r.getBoundingClientRect()]
                 const scale = Math.min(a.width / i.naturalWidth, a.height / i.naturalHeight)
                 const top = a.top + (a.height - scale * i.naturalHeight) / 2
                 return [b.left - a.left, b.top - top, a.left + scale * i.naturalWidth - b.right,
                         top + scale * i.naturalHeight - b.bottom]
               })"""
        )
        assert len(boxes) > 20
        assert min(min(box) for box in boxes) > -3, "no frame leaves its picture by more than its own line"


def test_print_is_light_and_complete(browser, report, tmp_path):
    with visit(browser, report, scheme="dark") as seen:
        page = seen.page
        content = page.pdf(path=tmp_path / "page.pdf", format="A4", print_background=True)
        assert content[:5] == b"%PDF-"
        assert content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") + content.count(b"/Type/Page\n") <= 60
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(28, 33, 39)"
        for part in (".contents", ".theme", ".skip", "details"):
            assert not page.locator(part).first.is_visible(), part
        assert page.locator(".printed").is_visible()
        page.set_viewport_size({"width": 718, "height": 1000})  # A4 less its margins
        wide = page.eval_on_selector_all(
            "table, img, pre", "all => all.filter(e => e.checkVisibility()).map(e => e.getBoundingClientRect().right)"
        )
        assert max(wide) <= 718 + 1


def test_the_browser_would_have_noticed(browser, tmp_path):
    """What the other tests look for, on a page that has it."""
    path = tmp_path / "bad.html"
    path.write_text(
        "<title>x</title><body style='width: 3000px'><img src=http://127.0.0.1:9/x.png>"
        "<p style='color: #999; background: #aaa'>pale</p><script>console.error('broken')</script>"
    )
    with visit(browser, path) as seen:
        assert any("broken" in line for line in seen.complaints)
        assert seen.requests == ["http://127.0.0.1:9/x.png"]
        assert seen.overflow() > 1000
        rules = {line.partition(":")[0] for line in seen.violations()}
        assert {"image-alt", "color-contrast", "html-has-lang"} <= rules
