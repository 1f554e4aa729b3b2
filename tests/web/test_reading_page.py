"""The overview and the grid for everybody: by keys, by reading aids, of every kind of target."""

import json
import shutil

import pytest
from grid_page import N, begins
from view_site import make_site, open_page, serve
from waits import wait_page, wait_until


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
        wait_page(page, f"({place})() === 1")
        page.keyboard.press("End")
        wait_page(page, f"n => ({place})() === n", N - 1)
        page.keyboard.press("Home")
        wait_page(page, f"({place})() === 0")
        page.keyboard.press("ArrowDown")
        wait_page(page, f"({place})() > 1")
        down = page.evaluate(place)
        page.keyboard.press("?")
        page.locator("dialog dt").nth(8).wait_for()
        page.keyboard.press("Escape")
        page.locator("dialog").wait_for(state="detached")
        page.locator(f"[data-place='{down}']").focus()
        page.keyboard.press("Enter")
        wait_page(page, f"() => location.hash === '#/s0/image/{down}'")


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
        tabs = ["Images"] if kind == "data" else ["Overview", "Images", "Confusions", "Review"]
        page.wait_for_selector(".top nav a")
        assert page.locator("nav[aria-label=Pages] a").all_inner_texts() == tabs
        if kind == "hard":
            page.get_by_role("link", name="2 conflicts").click()
        page.wait_for_selector(".cell")
        wait_until(lambda: begins(page, [1, 2] if kind == "hard" else list(range(made.images["n"]))))
        assert seen.violations() == []
        assert seen.complaints == seen.requests == []


def test_all_runs_of_all_data_sets_are_in_the_overview(browser, tmp_path):
    made = make_site(tmp_path, 60, models=6)
    site_file = tmp_path / "data" / "site.json"
    site = json.loads(site_file.read_text())
    shutil.copytree(tmp_path / "data" / "s0", tmp_path / "data" / "s1")
    site["sets"].append(site["sets"][0] | {"key": "s1", "name": "other"})
    site_file.write_text(json.dumps(site))
    with serve(tmp_path) as address, open_page(browser, address) as seen:
        wait_page(seen.page, "() => document.querySelectorAll('.numbers .bar').length === 2 * 6 * 4")
        shown = seen.page.locator(".numbers tbody tr td:nth-child(3) .bar-text").all_inner_texts()
        assert shown == 2 * [f"{100 * model['summary']['1-crop']['value']:.1f} %" for model in made.models]
        seen.page.locator("h3 a").click()
        wait_page(seen.page, "() => document.querySelector('h1')?.textContent === 'other'")
        assert seen.complaints == []
