"""The page follows runs that are still written."""

import json

from view_site import make_site, open_page, serve
from waits import wait_page


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
        wait_page(page, "() => [...document.querySelectorAll('.cell')].filter(o => o.querySelector('img')).length > 20")
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
        wait_page(page, "() => document.querySelector('.cell .signs').children.length === 2")
        page.clock.run_for(1000)
        wait_page(page, "() => document.querySelector('.cell img').src.endsWith('v=2')")
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
        seen.page.get_by_text("60 of 60reading …; numbers of 10 so far").wait_for()
        assert "50.0 %" in line.inner_text()
        held[0].continue_()
        seen.page.get_by_text("25.0 %", exact=True).wait_for()
        assert line.locator("td").first.inner_text() == "60"
        assert seen.complaints == []
