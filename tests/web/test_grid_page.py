"""The frame, the overview and the grid in a real browser: cells, filters, links, keys, hostile names, reading aids."""

import json
import re
import shutil
from urllib.parse import parse_qs

import pytest
from view_site import HOSTILE, make_site, open_page, serve

N = 3000
SCROLLER = ".scroller"
# Records for how long the middle of the grid was without a cell while the page was busy.
WATCH = """() => {
  const scroller = document.querySelector('.scroller');
  const box = scroller.getBoundingClientRect();
  const watch = { longest: 0, cells: 0, frames: 0, since: null };
  globalThis.watch = watch;
  const look = (now) => {
    const points = [0.1, 0.5, 0.9].map((share) =>
      document.elementFromPoint(box.left + 60, box.top + share * box.height));
    const blank = points.some((element) => !element?.closest('.cell'));
    if (blank) watch.since ??= now; else watch.since = null;
    if (blank) watch.longest = Math.max(watch.longest, now - watch.since);
    watch.cells = Math.max(watch.cells, document.querySelectorAll('.cell').length);
    watch.frames += 1;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
# Milliseconds from a change in a field until the number of images has changed.
ANSWER = """([find, event, value]) => new Promise((resolve) => {
  const field = document.querySelector(find);
  const count = document.querySelector('.count b');
  const start = performance.now();
  const changed = new MutationObserver(() => resolve(performance.now() - start));
  changed.observe(count, { characterData: true, subtree: true, childList: true });
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), 'value').set.call(field, value);
  field.dispatchEvent(new Event(event, { bubbles: true }));
})"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory.mktemp("grid"), N)


@pytest.fixture(scope="module")
def address(site):
    with serve(site.folder) as found:
        yield found


def field(page, name):
    return page.get_by_role("combobox", name=name, exact=True)


def count(page):
    return int(page.locator(".count b").inner_text().replace(",", ""))


def rows(page):
    """Rows of the cells on the page, in the order of their places."""
    links = page.eval_on_selector_all(
        ".cell a", "all => all.map(a => [Number(a.dataset.place), a.getAttribute('href')])"
    )
    return [int(re.search(r"/image/(\d+)", href)[1]) for _, href in sorted(links)]


def scroll_through(page, steps):
    """Scroll from the top to the bottom, then jump into the middle; what was seen on the way."""
    page.wait_for_selector(".cell")
    page.evaluate(WATCH)
    full = page.eval_on_selector(SCROLLER, "one => one.scrollHeight")
    for step in range(1, steps + 1):
        page.eval_on_selector(SCROLLER, "(one, top) => { one.scrollTop = top; }", full * step / steps)
        page.wait_for_timeout(16)
    end = rows(page)
    page.eval_on_selector(SCROLLER, "(one, top) => { one.scrollTop = top; }", full / 2)
    middle = """n => [...document.querySelectorAll('.cell a')].some((link) =>
      Math.abs(Number(link.dataset.place) - n / 2) < 200 && link.querySelector('img')?.complete)"""
    page.wait_for_function(middle, arg=count(page))
    return page.evaluate("watch"), end


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1400, 900), (3840, 2160)])
def test_few_cells_at_once_and_none_is_blank(browser, address, width, height):
    with open_page(browser, address + "#/s0/grid", width=width, height=height) as seen:
        watch, end = scroll_through(seen.page, 60 if width < 3000 else 15)
        assert watch["frames"] > 10
        assert watch["cells"] <= 200
        assert watch["longest"] <= 500
        assert end[-1] == N - 1
        assert end == list(range(end[0], N))
        assert seen.overflow() == 0
        assert seen.complaints == seen.requests == []


def test_filters_and_order_show_the_images_that_they_name(browser, address, site):
    images, model, other = site.images, *site.models
    with open_page(browser, address + "#/s0/grid") as seen:
        page = seen.page
        page.wait_for_selector(".cell")
        field(page, "1-crop").select_option("0")
        wrong = [k for k in range(N) if model["right"][k] == 0]
        page.wait_for_function(
            "n => document.querySelector('.count b').textContent.replace(',', '') == n", arg=str(len(wrong))
        )
        assert rows(page) == wrong[: len(rows(page))]
        field(page, "Order").select_option("wins")
        page.locator("[title='Turn the order round']").click()
        page.wait_for_timeout(200)
        ordered = sorted(wrong, key=lambda k: model["winning"][k], reverse=True)
        assert rows(page) == ordered[: len(rows(page))]
        field(page, "Model").select_option("m1")
        page.wait_for_timeout(200)
        of_other = sorted(
            (k for k in range(N) if other["right"][k] == 0), key=lambda k: other["winning"][k], reverse=True
        )
        assert count(page) == len(of_other)
        assert rows(page) == of_other[: len(rows(page))]
        page.get_by_role("button", name="Show all").click()
        page.get_by_label("Search names").fill("photo_00012")
        page.wait_for_timeout(300)
        assert count(page) == sum("photo_00012" in one for one in images["id"])
        field(page, "Label").fill("n00000033")
        page.wait_for_timeout(300)
        expected = [k for k in range(N) if "photo_00012" in images["id"][k] and 33 in images["labels"][k]]
        assert count(page) == len(expected)
        assert seen.complaints == []


def test_every_state_is_a_link_that_goes_back_and_forth(browser, address):
    with open_page(browser, address + "#/s0/grid") as seen:
        page = seen.page
        page.wait_for_selector(".cell")
        field(page, "1-crop").select_option("1")
        field(page, "Origin").select_option("imagenet-a")
        page.wait_for_function("() => location.hash.includes('origin=imagenet-a')")
        there = count(page)
        page.eval_on_selector(SCROLLER, "one => { one.scrollTop = 3000; }")
        page.wait_for_function("() => location.hash.includes('at=')")
        link, first = page.url, rows(page)
        assert parse_qs(link.partition("?")[2])["right"] == ["1"]
        with open_page(browser, link) as shared:
            shared.page.wait_for_selector(".cell")
            shared.page.wait_for_timeout(300)
            assert (count(shared.page), rows(shared.page)) == (there, first)
            assert field(shared.page, "Origin").input_value() == "imagenet-a"
        page.locator(".cell a").nth(20).click()
        page.wait_for_function("() => location.hash.startsWith('#/s0/image/')")
        page.go_back()
        page.wait_for_selector(".cell")
        page.wait_for_timeout(300)
        assert (page.url, rows(page)) == (link, first)
        page.go_back()
        page.wait_for_function("() => !location.hash.includes('origin')")
        assert field(page, "Origin").input_value() == ""
        assert field(page, "1-crop").input_value() == "1"
        page.go_back()
        page.wait_for_function("n => document.querySelector('.count b').textContent == n", arg=f"{N:,}")
        page.go_forward()
        page.wait_for_function("() => location.hash.includes('right=1')")
        assert field(page, "1-crop").input_value() == "1"


def test_hostile_names_are_text(browser, address, site):
    bad = [k for k in range(N) if site.images["id"][k].startswith(HOSTILE)]
    with open_page(browser, address + "#/s0/grid?q=onerror") as seen:
        page = seen.page
        page.wait_for_selector(".cell")
        page.wait_for_timeout(300)
        assert count(page) > 0
        assert bad
        titles = page.eval_on_selector_all(".cell a", "all => all.map((one) => one.title + one.textContent)")
        # Each cell is there for a word that an image, a class or an origin has as text.
        assert len(titles) == len(rows(page))
        assert any(one.startswith(HOSTILE[0]) for one in titles)
        field(page, "Origin").select_option(HOSTILE[0])
        page.wait_for_timeout(200)
        assert page.title() == "Images · photographs · Snellen"
        page.goto(address + "#/s0/overview")
        page.get_by_role("link", name=HOSTILE[0]).wait_for()
        for hostile in HOSTILE:
            page.goto(
                address
                + f"#/s0/grid?q={hostile}&label={hostile}&origin={hostile}&sort={hostile}&size={hostile}&m={hostile}"
            )
            page.wait_for_timeout(100)
        page.goto(address + "#/%3Cimg%20src=x%20onerror=alert(1)%3E/grid")
        page.wait_for_timeout(100)
        assert page.eval_on_selector_all("img[src=x], svg[onload], [onerror], main script", "all => all.length") == 0
        assert "pwned" not in page.title()
        assert seen.complaints == seen.requests == []


def test_links_with_odd_words_show_the_page(browser, address):
    for odd in ("grid?size=constructor", "grid?sort=constructor&m=toString&right=0", "review?show=constructor&sort=x"):
        with open_page(browser, f"{address}#/s0/{odd}") as seen:
            seen.page.wait_for_selector(".cell, .empty")
            assert seen.page.get_by_text("This page failed").count() == 0
            assert seen.complaints == []


def test_a_link_waits_for_the_answers_that_it_is_about(browser, address, site):
    wrong = [k for k in range(N) if site.models[1]["right"][k] == 0]
    with open_page(browser, address + "#/s0/overview") as seen:
        page = seen.page
        page.wait_for_selector(".numbers .bar")
        page.route("**/m1.json*", lambda route: page.wait_for_timeout(600) or route.continue_())
        page.goto("about:blank")
        page.goto(address + "#/s0/grid?m=m1&right=0&at=400")
        page.wait_for_selector(".count b")
        counts = set()
        for _ in range(40):
            counts.add(page.locator(".count b").inner_text())
            page.wait_for_timeout(30)
        assert counts == {"…", f"{len(wrong):,}"}
        shown = rows(page)
        assert shown == wrong[wrong.index(shown[0]) :][: len(shown)]
        assert wrong[400] in shown
        assert wrong[0] not in shown
        page.wait_for_timeout(400)
        assert "at=" in page.url


def test_a_file_that_could_not_be_had_is_asked_for_again(browser, address):
    with open_page(browser, address + "#/s0/compare") as seen:
        page, refused = seen.page, []

        def once(route):
            if len(refused) < 2:
                refused.append(route.request.url)
                route.fulfill(status=503, body="{}")
            else:
                route.continue_()

        page.goto("about:blank")
        page.route("**/data/s0/*.json*", once)
        page.goto(address + "#/s0/grid")
        page.wait_for_selector(".sign", timeout=15_000)
        assert len(refused) == 2


def test_the_way_back_leads_to_the_place_that_was_left_at_once(browser, address):
    with open_page(browser, address + "#/s0/grid") as seen:
        page = seen.page
        page.wait_for_selector(".cell img")
        page.eval_on_selector(SCROLLER, "one => { one.scrollTop = 4000; }")
        page.wait_for_function("() => Number(document.querySelector('.cell a').dataset.place) > 20")
        page.evaluate("() => document.querySelectorAll('.cell a')[30].click()")
        page.wait_for_function("() => location.hash.startsWith('#/s0/image/')")
        page.wait_for_function("() => document.activeElement.id === 'main'")
        page.go_back()
        page.wait_for_selector(".cell")
        page.wait_for_function("() => document.querySelector('.scroller').scrollTop > 3500")
        page.wait_for_function("() => document.activeElement.id === 'main'")


def test_a_scroll_by_pixels_draws_nothing(browser, address):
    with open_page(browser, address + "#/s0/grid?label=n00000033") as seen:
        page = seen.page
        page.goto(address + "#/s0/grid")
        page.wait_for_selector(".cell img")
        page.eval_on_selector(SCROLLER, "one => { one.scrollTop = 1000; }")
        page.wait_for_timeout(400)
        drawn = page.evaluate(
            """async () => {
              let changes = 0;
              const watch = new MutationObserver((all) => { changes += all.length; });
              watch.observe(document.getElementById('app'), { subtree: true, childList: true, attributes: true });
              const scroller = document.querySelector('.scroller');
              const counts = [];
              for (const by of [5, 2000]) {
                changes = 0;
                for (let k = 0; k < 5; k += 1) {
                  scroller.scrollTop += by;
                  await new Promise(requestAnimationFrame);
                }
                counts.push(changes);
              }
              watch.disconnect();
              return counts;
            }"""
        )
        assert drawn[0] == 0 < drawn[1]


def test_keys_reach_everything(browser, address):
    with open_page(browser, address + "#/s0/grid") as seen:
        page = seen.page
        page.wait_for_selector(".cell")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "search"
        reached = set()
        for _ in range(30):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.closest('.field, .order, .cell')?.className ?? ''"))
            if "cell" in reached:
                break
        assert {"field", "order", "cell"} <= reached
        place = "() => Number(document.activeElement.dataset.place)"
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"({place})() === 1")
        page.keyboard.press("End")
        page.wait_for_function(f"n => ({place})() === n", arg=N - 1)
        page.keyboard.press("Home")
        page.wait_for_function(f"({place})() === 0")
        page.keyboard.press("ArrowDown")
        page.wait_for_function(f"({place})() > 1")
        down = page.evaluate(place)
        page.keyboard.press("?")
        page.locator("dialog dt").nth(8).wait_for()
        page.keyboard.press("Escape")
        page.locator("dialog").wait_for(state="detached")
        page.locator(f"[data-place='{down}']").focus()
        page.keyboard.press("Enter")
        page.wait_for_function(f"() => location.hash === '#/s0/image/{down}'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1400, 900)])
def test_nothing_hinders_those_who_read_by_other_means(browser, address, scheme, width, height):
    for page in ("", "#/s0/grid", "#/s0/grid?q=nothing-has-this-name"):
        with open_page(browser, address + page, width=width, height=height, scheme=scheme) as seen:
            seen.page.wait_for_selector(".numbers .bar, .cell, .empty")
            if not page:
                seen.page.wait_for_selector(".plot")
            assert seen.violations() == []
            assert seen.overflow() == 0
            assert seen.complaints == seen.requests == []


@pytest.mark.parametrize("kind", ["hard", "data"])
def test_a_hard_set_and_a_bare_data_set(browser, tmp_path, kind):
    made = make_site(tmp_path, 80, kind=kind, models=0 if kind == "data" else 1)
    with serve(tmp_path) as address, open_page(browser, address) as seen:
        page = seen.page
        tabs = ["Images"] if kind == "data" else ["Overview", "Images", "Review"]
        page.wait_for_selector(".top nav a")
        assert page.locator("nav[aria-label=Pages] a").all_inner_texts() == tabs
        if kind == "hard":
            page.get_by_role("link", name="2 conflicts").click()
        page.wait_for_selector(".cell")
        page.wait_for_timeout(200)
        assert rows(page) == ([1, 2] if kind == "hard" else list(range(made.images["n"]))[: len(rows(page))])
        assert seen.violations() == []
        assert seen.complaints == seen.requests == []


@pytest.mark.slow
def test_fifty_thousand_images(browser, tmp_path):
    made = make_site(tmp_path, 50_000)
    with serve(tmp_path) as address, open_page(browser, address + "#/s0/grid") as seen:
        page = seen.page
        page.wait_for_selector(".sign")
        watch, end = scroll_through(page, 150)
        assert watch["cells"] <= 200
        assert watch["longest"] <= 500
        assert end[-1] == 49_999
        asked = [
            ("#search", "input", "thing 31"),
            ("select:has(option[value='-1'])", "change", "0"),
            ("select:has(option[value='confidence'])", "change", "confidence"),
            ("select:has(option[value='answer'])", "change", "right"),
            ("#search", "input", "photo_0001"),
        ]
        times = {}
        for find, event, value in asked:
            if value == "confidence":  # the order changes no count
                page.locator(find).select_option(value)
                page.wait_for_timeout(300)
                continue
            times[value] = page.evaluate(ANSWER, [find, event, value])
        print({value: round(time) for value, time in times.items()}, watch)
        assert max(times.values()) <= 300
        first, second = made.models
        left = [
            k
            for k in range(50_000)
            if "photo_0001" in made.images["id"][k] and first["right"][k] == 0 and second["right"][k] == 1
        ]
        assert rows(page) == sorted(left, key=lambda k: first["crop_p"][k])[: len(rows(page))]


def test_a_run_that_is_still_written_is_followed(browser, tmp_path):
    make_site(tmp_path, 60)
    site_file, model_file = tmp_path / "data" / "site.json", tmp_path / "data" / "s0" / "m1.json"
    site, model = json.loads(site_file.read_text()), json.loads(model_file.read_text())
    told = site["sets"][0]["models"][1]
    site["live"] = True
    told |= {"complete": False, "images": 20, "ready": False}
    site_file.write_text(json.dumps(site))
    with serve(tmp_path) as address, open_page(browser, address) as seen:
        page = seen.page
        page.get_by_text("reading …").wait_for()
        told |= {"ready": True, "version": "2"}
        site_file.write_text(json.dumps(site))
        page.get_by_text("20 of 60").wait_for()
        model["summary"]["1-crop"] |= {"k": 7, "n": 60, "value": 0.125}
        model_file.write_text(json.dumps(model))
        told |= {"complete": True, "images": 60, "version": "3"}
        site_file.write_text(json.dumps(site))
        page.get_by_text("12.5 %").wait_for()
        assert page.get_by_text("running").count() == 0
        assert seen.complaints == []


def test_a_study_that_begins_later_is_seen_and_pictures_stay(browser, tmp_path):
    make_site(tmp_path, 60)
    site_file = tmp_path / "data" / "site.json"
    site = json.loads(site_file.read_text()) | {"live": True}
    (one,) = site["sets"]
    later = one["models"].pop()
    site_file.write_text(json.dumps(site))
    with serve(tmp_path) as address:
        context = browser.new_context()
        page = context.new_page()
        page.clock.install()
        page.goto(address + "#/s0/grid")
        page.wait_for_selector(".cell img")
        page.clock.run_for(1000)
        page.wait_for_function(
            "() => [...document.querySelectorAll('.cell')].filter(o => o.querySelector('img')).length > 20"
        )
        page.evaluate(
            """() => {
              globalThis.lost = 0;
              const note = (node) => { lost += node.tagName === 'IMG'; };
              const watch = new MutationObserver((all) => all.forEach((one) => one.removedNodes.forEach(note)));
              watch.observe(document.querySelector('.scroller'), { subtree: true, childList: true });
            }"""
        )
        one["models"].append(later)
        one["version"] = "2"
        site_file.write_text(json.dumps(site))
        page.clock.run_for(6_000)
        page.wait_for_function("() => document.querySelector('.cell .signs').children.length === 2")
        page.clock.run_for(1000)
        page.wait_for_function("() => document.querySelector('.cell img').src.endsWith('v=2')")
        assert page.evaluate("lost") == 0
        context.close()


def test_numbers_and_the_images_they_are_of_are_of_one_version(browser, tmp_path):
    make_site(tmp_path, 60)
    site_file, model_file = tmp_path / "data" / "site.json", tmp_path / "data" / "s0" / "m1.json"
    site, model = json.loads(site_file.read_text()), json.loads(model_file.read_text())
    told = site["sets"][0]["models"][1]
    site["live"] = True
    told |= {"complete": False, "images": 14}
    site_file.write_text(json.dumps(site))
    model["summary"]["1-crop"] |= {"k": 5, "n": 10, "value": 0.5}
    model_file.write_text(json.dumps(model))
    held = []
    with serve(tmp_path) as address, open_page(browser, address) as seen:
        line = seen.page.locator(".numbers tbody tr").nth(1)
        seen.page.get_by_text("14 of 60running; numbers of 10 so far").wait_for()
        # The study ends; its last numbers are slow to come.
        seen.page.route("**/m1.json?v=9", lambda route: held.append(route))
        told |= {"complete": True, "images": 60, "version": "9"}
        site_file.write_text(json.dumps(site))
        model["summary"]["1-crop"] |= {"k": 15, "n": 60, "value": 0.25}
        model_file.write_text(json.dumps(model))
        seen.page.get_by_text("60 of 60reading …; numbers of 10 so far").wait_for(timeout=5000)
        assert "50.0 %" in line.inner_text()
        held[0].continue_()
        seen.page.get_by_text("25.0 %", exact=True).wait_for()
        assert line.locator("td").first.inner_text() == "60"
        assert seen.complaints == []


@pytest.mark.parametrize("name", ["Label", "Most zooms answer"])
def test_a_class_that_is_not_understood_is_told_and_the_link_stays(browser, address, site, name):
    query = {"Label": "label", "Most zooms answer": "says"}[name]
    with open_page(browser, address + f"#/s0/grid?{query}=n00000033") as seen:
        page = seen.page
        page.wait_for_selector(".count b")
        where, before = page.url, count(page)
        told = page.locator(".not-understood:not(:empty)")
        assert told.count() == 0
        field(page, name).fill("nosuchclass")
        told.wait_for()
        assert told.is_visible()
        assert "“nosuchclass” is not understood" in told.inner_text()
        assert "n00000033" in told.inner_text()
        assert (page.url, count(page)) == (where, before)
        field(page, name).fill("n00000034")
        page.wait_for_function("where => location.href !== where", arg=where)
        told.wait_for(state="detached")
        page.goto(address + f"#/s0/grid?{query}=nothing")
        told.wait_for()
        assert "“nothing” is not understood" in told.inner_text()
        assert "No image has it." in told.inner_text()
        assert count(page) == 0
        assert seen.violations() == []


def test_all_runs_of_all_data_sets_are_in_the_overview(browser, tmp_path):
    made = make_site(tmp_path, 60, models=6)
    site_file = tmp_path / "data" / "site.json"
    site = json.loads(site_file.read_text())
    shutil.copytree(tmp_path / "data" / "s0", tmp_path / "data" / "s1")
    site["sets"].append(site["sets"][0] | {"key": "s1", "name": "other"})
    site_file.write_text(json.dumps(site))
    with serve(tmp_path) as address, open_page(browser, address) as seen:
        seen.page.wait_for_function("() => document.querySelectorAll('.numbers .bar').length === 2 * 6 * 4")
        shown = seen.page.locator(".numbers tbody tr td:nth-child(3) .bar-text").all_inner_texts()
        assert shown == 2 * [f"{100 * model['summary']['1-crop']['value']:.1f} %" for model in made.models]
        seen.page.locator("h3 a").click()
        seen.page.wait_for_function("() => document.querySelector('h1')?.textContent === 'other'")
        assert seen.complaints == []
