"""The page of one image and that of models beside each other: windows, maps, answers, keys, lists."""

import itertools
import json
import random
import shutil
import subprocess
from collections import Counter

import numpy as np
import pytest
from scipy.stats import binomtest
from view_site import STATIC, make_site, open_page, serve

from snellen.zoom.grid import PAPER_GRID, ViewRule

N = 70
JS = STATIC / "js"


def node(code, given=None):
    """What a module prints as JSON; `given` is its standard input."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    done = subprocess.run(
        ["node", "--input-type=module", "-e", code],
        input=json.dumps(given), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return json.loads(done.stdout)


def plain(rule):
    return {name: getattr(rule, name) for name in ("resize", "row", "col", "size", "anchor", "fit", "flip", "scale")}


def test_windows_are_those_of_the_grid():
    draw = random.Random(1)
    rules = [*PAPER_GRID]
    places = list(itertools.product(range(3), range(3)))
    for anchor, fit, size in itertools.product(("thirds", "spread", "floor"), ("shorter", "squash"), (224, 225, 336)):
        for resize in (10, 97, 224, 255, 256, 337):
            rules += [ViewRule(resize, row, col, size, anchor=anchor, fit=fit) for row, col in places]
    sizes = [(1, 1), (500, 375), (375, 500), (1, 3000), (3000, 1), (224, 224), (333, 1000), (4288, 2848)]
    sizes += [(draw.randint(1, 5000), draw.randint(1, 5000)) for _ in range(60)]
    code = f"""
      import {{ resized, corner, windowOn }} from {json.dumps((JS / "window.js").as_uri())};
      import {{ readFileSync }} from 'node:fs';
      const {{ rules, sizes }} = JSON.parse(readFileSync(0, 'utf8'));
      console.log(JSON.stringify(rules.map((rule) => sizes.map(([w, h]) => {{
        const [x, y] = resized(rule, w, h);
        const box = windowOn(rule, w, h);
        return [x, y, ...corner(rule, x, y), box.left * x, box.top * y, box.width * x, box.height * y];
      }}))));"""
    found = np.array(node(code, {"rules": [plain(rule) for rule in rules], "sizes": sizes}), float)
    expected = [
        [[*resized, *rule.window(*resized)] for resized in (rule.resized(w, h) for w, h in sizes)] for rule in rules
    ]
    np.testing.assert_array_equal(found[..., :4], np.array(expected, float))
    np.testing.assert_allclose(found[..., 4:6], found[..., 2:4], atol=1e-9)
    sides = np.broadcast_to(np.array([rule.size for rule in rules], float)[:, None, None], found[..., 6:].shape)
    np.testing.assert_allclose(found[..., 6:], sides, rtol=1e-12)
    assert (found[..., 2:4] < 0).any()  # windows that reach over the image are among them


def answers_of(n, zooms, seed):
    draw = np.random.default_rng(seed)
    ids = draw.integers(0, 1000, (n, zooms, 5)).astype("<i2")
    ids[0, 3] = -1
    shares = -np.sort(-draw.integers(0, 65536, (n, zooms, 5)), axis=-1)
    return ids, shares.astype("<u2"), draw.integers(0, 3, (n, zooms)).astype(np.uint8)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = make_site(tmp_path_factory.mktemp("image"), N)
    made.images["duplicates"] = {"4": [9, 12]}
    made.images["width"][2], made.images["height"][2] = 1000, 250
    (made.folder / "data/s0/images.json").write_text(json.dumps(made.images))
    return made


@pytest.fixture(scope="module")
def answers(site):
    """Ids, probabilities and right of each model; written as chunks of 32 images."""
    found = []
    for k, model in enumerate(site.models):
        one = answers_of(N, len(model["zooms"]["k"]), k)
        folder = site.folder / f"data/s0/m{k}/answers"
        folder.mkdir(parents=True)
        for chunk in range(-(-N // 32)):
            rows = range(32 * chunk, min(N, 32 * chunk + 32))
            data = b"".join(array[row].tobytes() for row in rows for array in one)
            (folder / f"{chunk}.bin").write_bytes(data)
        found.append(one)
    return found


@pytest.fixture(scope="module")
def address(site, answers):
    with serve(site.folder) as found:
        yield found


def test_mcnemar_is_that_of_the_binomial_distribution():
    draw = random.Random(2)
    counts = [*itertools.product(range(12), repeat=2), (20_000, 20_300), (25_000, 25_000), (3, 40_000), (0, 1100)]
    counts += [(draw.randint(0, 600), draw.randint(0, 600)) for _ in range(200)]
    code = f"""
      import {{ mcnemar }} from {json.dumps((JS / "pairs.js").as_uri())};
      import {{ readFileSync }} from 'node:fs';
      console.log(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(([a, b]) => mcnemar(a, b))));"""
    expected = [binomtest(a, a + b, 0.5).pvalue if a + b else 1 for a, b in counts]
    np.testing.assert_allclose(node(code, counts), expected, rtol=1e-8, atol=1e-300)


def top(page, model):
    return page.eval_on_selector_all(
        f"section[aria-label='{model}'] .top-five li",
        "all => all.map(li => [li.querySelector('.class').textContent, li.querySelector('.bar-text').textContent])",
    )


def test_a_cell_under_the_pointer_shows_its_window_and_the_answers_of_all_models(browser, address, site, answers):
    row = 40  # of the second chunk
    with open_page(browser, address + f"#/s0/image/{row}") as seen:
        page = seen.page
        page.wait_for_selector("section[aria-label='model 1'] .heat-cell")
        signs = ["wrong", "right", "none"]
        for k, (_, _, right) in enumerate(answers):
            cells = page.eval_on_selector_all(
                f"section[aria-label='model {k}'] .heat-cell",
                "all => all.map(one => [one.dataset.zoom, one.className.split(' ')[1]])",
            )
            assert dict(cells) == {str(z): signs[right[row, z]] for z in range(54)}
        place = page.locator("section[aria-label='model 0'] .heat").bounding_box()
        unshown = int(np.flatnonzero(answers[0][2][row] == 2)[0])
        for zoom in (0, 17, unshown, 53):
            page.locator(f"section[aria-label='model 0'] [data-zoom='{zoom}']").hover()
            page.wait_for_function(
                "z => document.querySelector('[aria-selected=true]').dataset.zoom === z", arg=f"{zoom}"
            )
            for k, (ids, shares, right) in enumerate(answers):
                best = zip(ids[row, zoom], shares[row, zoom], strict=True)
                expected = [[site.classes["names"][i], f"{100 * int(p) / 65535:.1f} %"] for i, p in best]
                assert top(page, f"model {k}") == ([] if right[row, zoom] == 2 else expected)
            rule = ViewRule((64, 128, 224, 256, 320, 448)[zoom // 9], zoom // 3 % 3, zoom % 3)
            across, down = rule.resized(320, 240)
            left, upper = rule.window(across, down)
            drawn = [float(part) for part in page.locator(".window").get_attribute("data-window").split()]
            assert drawn == pytest.approx([left / across, upper / down, 224 / across, 224 / down])
            # Nothing moves away from under the pointer.
            assert page.locator("section[aria-label='model 0'] .heat").bounding_box() == place
            boxes = [page.locator(name).bounding_box() for name in (".picture img", ".window", ".picture")]
            image, window, whole = boxes
            if zoom >= 9:  # of scale 64 the window goes on beyond what is drawn
                assert window["x"] - image["x"] == pytest.approx(left / across * image["width"], abs=1.5)
                assert window["width"] == pytest.approx(224 / across * image["width"], abs=1.5)
                assert whole["x"] - 1.5 <= window["x"]
        page.wait_for_function("() => location.hash.includes('zoom=448-2-2')")
        assert page.locator(".view").count() == 0  # no server cuts views here
        assert seen.complaints == seen.requests == []


def test_keys_move_in_the_map_and_between_images(browser, address):
    with open_page(browser, address + "#/s0/image/2?zoom=224-1-1") as seen:
        page = seen.page
        page.wait_for_selector("section[aria-label='model 1'] .heat-cell")
        cells = page.locator("section[aria-label='model 0'] .heat-cell")
        assert page.locator("section[aria-label='model 0'] .heat-cell[tabindex='0']").count() == 1
        page.locator("section[aria-label='model 0'] .heat-cell[tabindex='0']").focus()
        for key, zoom in [
            ("ArrowRight", 23),
            ("ArrowDown", 32),
            ("Home", 27),
            ("End", 35),
            ("PageUp", 8),
            ("PageDown", 53),
        ]:
            page.keyboard.press(key)
            page.wait_for_function("z => document.activeElement.dataset.zoom === z", arg=str(zoom))
            assert cells.nth(zoom).get_attribute("tabindex") == "0"
            assert "scale" in cells.nth(zoom).get_attribute("aria-label")
        assert "/image/2" in page.url
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("j")
        page.wait_for_function("() => location.hash.startsWith('#/s0/image/3')")
        page.keyboard.press("k")
        page.wait_for_function("() => location.hash.startsWith('#/s0/image/2')")
        page.keyboard.press("p")
        scales = set()
        for _ in range(8):
            page.wait_for_timeout(240)
            scales.add(page.locator("section[aria-label='model 0'] [aria-selected=true]").get_attribute("data-zoom"))
        assert len(scales) >= 3
        assert {int(zoom) % 9 for zoom in scales} == {8}
        assert page.get_by_role("button", name="Stop").count() == 1
        page.keyboard.press("p")
        # By Tab alone from the first link: one stop in each map, and every button.
        page.reload()
        page.wait_for_selector("section[aria-label='model 1'] .fixes")
        reached = []
        for _ in range(80):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    "() => { const one = document.activeElement;"
                    " return one.closest('.heat, .fix-list, .image-tools, .image-top, .strip')?.className ?? ''; }"
                )
            )
            if reached[-1] == "strip":  # the last of them
                break
        assert {"heat", "fix-list", "image-tools", "image-top", "strip"} <= set(reached)
        assert reached.count("heat") == 2
        assert seen.complaints == []


def selected(page):
    """The zoom that is chosen, by map."""
    return page.eval_on_selector_all(".heat [aria-selected=true]", "all => all.map(one => one.dataset.zoom)")


def test_a_click_pins_a_zoom_until_a_click_or_escape_lets_go(browser, address):
    with open_page(browser, address + "#/s0/image/2") as seen:
        page = seen.page
        page.wait_for_selector("section[aria-label='model 1'] .heat-cell")

        def cell(model, zoom):
            return page.locator(f"section[aria-label='model {model}'] .heat [data-zoom='{zoom}']")

        def stays(zoom):
            """Other cells under the pointer, and the keyboard's focus in another map, change nothing."""
            for model, other in ((0, 3), (1, 44), (0, 30)):
                cell(model, other).hover()
                page.wait_for_timeout(60)
                assert selected(page) == [str(zoom)] * 2

        def follows(zoom):
            cell(0, zoom).hover()
            page.wait_for_function(
                "z => document.querySelector('[aria-selected=true]').dataset.zoom === z", arg=f"{zoom}"
            )

        place = cell(0, 0).bounding_box()
        page.get_by_text("A click on a cell pins its zoom.").wait_for()
        cell(0, 11).click()
        page.get_by_text("Pinned.").wait_for()
        assert cell(0, 0).bounding_box() == place
        page.wait_for_function("() => location.hash.includes('zoom=128-0-2')")
        stays(11)
        cell(1, 20).click()  # another: the pin goes there
        stays(20)
        cell(0, 20).click()  # the same, in the other map
        page.get_by_text("A click on a cell pins its zoom.").wait_for()
        follows(7)
        cell(0, 7).click()
        stays(7)
        page.keyboard.press("j")  # the next image is looked at with the same zoom
        page.wait_for_function("() => location.hash === '#/s0/image/3?zoom=64-2-1'")
        page.wait_for_selector("section[aria-label='model 1'] .heat-cell")
        stays(7)
        page.keyboard.press("Escape")
        follows(9)
        assert "/image/3" in page.url
        cell(0, 9).focus()
        for key, zoom in (("Enter", 9), ("ArrowRight", 10)):  # keys still move
            page.keyboard.press(key)
            page.wait_for_function(
                "z => document.querySelector('[aria-selected=true]').dataset.zoom === z", arg=f"{zoom}"
            )
        stays(10)
        page.keyboard.press("?")
        page.get_by_text("In a map: pin the zoom; again: let go").wait_for()
        page.keyboard.press("Escape")
        page.locator("dialog").wait_for(state="detached")
        stays(10)
        for _ in range(2):
            page.keyboard.press("Escape")
        page.wait_for_function("() => location.hash.startsWith('#/s0/grid')")
        assert seen.complaints == []


@pytest.mark.parametrize("given", ["320/0/2", "320-0-2", "320%2F0%2F2"])
def test_a_zoom_is_read_as_it_is_written_anywhere(browser, address, given):
    with open_page(browser, address + f"#/s0/image/2?zoom={given}") as seen:
        seen.page.wait_for_selector("section[aria-label='model 1'] .heat-cell")
        assert selected(seen.page) == [str(4 * 9 + 2)] * 2
        assert seen.page.locator(".zoom-unknown").count() == 0


@pytest.mark.parametrize(
    "given", ["999-0-0", "320-0", "320-0-3", "320/0-2", "<img src=x>", "--", "1e3/0/0", "320-0-2-x"]
)
def test_a_zoom_that_is_not_understood_is_the_1_crop_and_said_to_be(browser, address, given):
    with open_page(browser, address + "#/s0/image/2?zoom=64-0-0") as seen:
        page = seen.page
        page.wait_for_selector("section[aria-label='model 1'] .heat-cell")
        page.locator("section[aria-label='model 0'] [data-zoom='50']").hover()
        page.wait_for_function("() => location.hash.includes('zoom=448-1-2')")
        page.mouse.move(1, 1)
        page.evaluate("text => { location.hash = `#/s0/image/2?zoom=${encodeURIComponent(text)}`; }", given)
        page.locator(".zoom-unknown").wait_for()
        assert f"“{given}”" in page.locator(".zoom-unknown").inner_text()
        assert selected(page) == [str(3 * 9 + 4)] * 2
        marked = page.eval_on_selector_all(".heat .crop", "all => all.map(one => one.dataset.zoom)")
        assert marked == [str(3 * 9 + 4)] * 2
        page.locator("section[aria-label='model 0'] [data-zoom='50']").hover()
        page.locator(".zoom-unknown").wait_for(state="detached")
        assert seen.complaints == []


def test_what_is_not_loaded_yet_is_not_black(browser, address):
    with open_page(browser, address) as seen:
        held = []
        seen.page.route("**/pictures/**", lambda route: held.append(route))
        seen.page.goto(address + "#/s0/image/3")
        seen.page.wait_for_selector("section[aria-label='model 1'] .heat-cell")
        paper = "() => getComputedStyle(document.querySelector('.picture')).backgroundColor"
        assert seen.page.evaluate(paper) == "rgb(255, 255, 255)"
        held[0].continue_()
        seen.page.wait_for_function(f"() => ({paper})() === 'rgb(0, 0, 0)'")  # beyond the picture, the view is


def test_on_a_phone_the_picture_stays_in_sight(browser, address):
    with open_page(browser, address + "#/s0/image/2", width=390, height=844) as seen:
        page = seen.page
        page.wait_for_selector("section[aria-label='model 1'] .heat-cell")
        for model in (0, 1):
            page.locator(f"section[aria-label='model {model}'] [data-zoom='40']").hover()
            box = page.locator(".picture").bounding_box()
            assert 0 <= box["y"] < box["y"] + box["height"] <= 844 / 2
        assert seen.overflow() == 0
        assert seen.complaints == []


def test_fixes_duplicates_and_hostile_names(browser, address, site, answers):
    with open_page(browser, address + "#/s0/image/4") as seen:
        page = seen.page
        page.wait_for_selector("section[aria-label='model 1'] .fixes")
        right = answers[0][2][4]
        text = page.locator("section[aria-label='model 0'] .fixes").inner_text()
        assert f"{(right == 1).sum()} of {(right != 2).sum()} zooms" in text
        first = page.locator("section[aria-label='model 0'] .fix-list button").first.inner_text()
        steps = {z: abs(z // 9 - 3) + abs(z // 3 % 3 - 1) + abs(z % 3 - 1) for z in np.flatnonzero(right == 1)}
        best = min(steps, key=lambda z: (steps[z], z))
        assert first == f"{(64, 128, 224, 256, 320, 448)[best // 9]}/{best // 3 % 3}/{best % 3}"
        links = page.locator(".strip").first.locator("a")
        assert [link.get_attribute("href").split("?")[0] for link in links.all()] == ["#/s0/image/9", "#/s0/image/12"]
        page.goto(address + "#/s0/image/5")
        page.get_by_role("heading", level=1, name=site.images["id"][5]).wait_for()
        assert page.eval_on_selector_all("img[src=x], [onerror], main script", "all => all.length") == 0
        assert seen.complaints == seen.requests == []


def check_list(page, name, expected):
    """The way from a list to the grid, to an image in it, and on to its neighbours in the same list."""
    page.get_by_role("link", name=f"{name}: all in the grid").click()
    page.wait_for_selector(".cell")
    assert page.locator(".count b").inner_text() == str(len(expected))
    found = page.eval_on_selector_all(".cell a", "all => all.map(a => parseInt(a.hash.split('/image/')[1]))")
    assert found == expected[: len(found)]
    page.locator(".cell a").first.click()
    for place, row in enumerate(expected[:3]):
        page.wait_for_function("row => location.hash.startsWith(`#/s0/image/${row}?`)", arg=row)
        page.get_by_text(f"{place + 1} of {len(expected)}").wait_for()
        if place < len(expected) - 1:
            page.get_by_role("button", name="Next").click()


def test_compare_counts_as_by_hand(browser, address, site):
    one, two = site.models
    shown = [k for k in range(N) if one["right"][k] >= 0 and two["right"][k] >= 0]
    with open_page(browser, address + "#/s0/compare") as seen:
        page = seen.page
        page.wait_for_selector(".thumbs")
        cells = page.locator("section").first.locator("td").all_inner_texts()
        kinds = Counter((one["right"][k], two["right"][k]) for k in shown)
        same = sum(one["crop"][k] == two["crop"][k] for k in shown)
        wrong = sum(one["crop"][k] == two["crop"][k] and not one["right"][k] + two["right"][k] for k in shown)
        n, alone = len(shown), kinds[1, 0] + kinds[0, 1]
        p = binomtest(kinds[1, 0], alone, 0.5).pvalue
        between = binomtest(same, n).proportion_ci(method="wilson")
        assert [cell.strip() for cell in cells] == [
            f"{100 * same / n:.1f} % ({100 * between.low:.1f}–{100 * between.high:.1f})",
            *map(str, (kinds[1, 1], kinds[1, 0], kinds[0, 1])),
            f"{p:.3f}" if p >= 0.001 else "< 0.001",
            *map(str, (kinds[0, 0], wrong, n)),
        ]
        rows = page.eval_on_selector_all("[aria-label='Only model 0'] a", "all => all.map(a => a.getAttribute('href'))")
        only = [k for k in shown if one["right"][k] == 1 and two["right"][k] == 0]
        assert [int(href.split("/image/")[1].split("?")[0]) for href in rows] == only[:24]
        page.get_by_role("button", name="at any zoom").click()
        page.wait_for_function("() => location.hash.includes('by=zooms')")
        some = [k for k in shown if one["winning"][k] > 0 and two["winning"][k] == 0]
        page.get_by_role("heading", name=f"Only model 0: {len(some)}").wait_for()
        differ = Counter((one["crop"][k], two["crop"][k]) for k in shown if one["crop"][k] != two["crop"][k])
        buttons = page.locator("[aria-label='Confusion'] tbody button").all_inner_texts()
        assert [int(count) for count in buttons] == sorted(differ.values(), reverse=True)[:30]
        wide = page.locator("[aria-label='Confusion'] table").bounding_box()["width"]
        for place in (3, 29, 0):  # the images come up right under the line, in sight
            button = page.locator("[aria-label='Confusion'] tbody button").nth(place)
            button.click()
            page.wait_for_selector(f"tbody tr:nth-child({place + 2}).opened .thumbs")
            line, images = (
                page.locator(f"[aria-label='Confusion'] {name}").bounding_box()
                for name in ("[aria-expanded=true]", ".thumbs")
            )
            assert 0 <= images["y"] - line["y"] < 120
            assert images["y"] + images["height"] <= 900
            assert page.locator("[aria-label='Confusion'] table").bounding_box()["width"] == wide
        page.set_viewport_size({"width": 390, "height": 844})
        images = page.locator("[aria-label='Confusion'] .thumbs").bounding_box()
        assert 0 <= images["x"] < images["x"] + images["width"] <= 390
        page.set_viewport_size({"width": 1400, "height": 900})
        first = min(differ, key=lambda pair: (-differ[pair], pair))
        expected = [k for k in shown if (one["crop"][k], two["crop"][k]) == first]
        check_list(page, "Images of this pair", expected)
        page.go_back()
        page.go_back()
        check_list(page, "Only model 1", [k for k in shown if two["winning"][k] > 0 and one["winning"][k] == 0])
        assert seen.complaints == seen.requests == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(browser, address, width, scheme):
    for place, wait in (("image/4", ".heat-cell"), ("compare", ".thumbs")):
        with open_page(browser, address + f"#/s0/{place}", width=width, scheme=scheme) as seen:
            seen.page.wait_for_selector(wait)
            seen.page.wait_for_timeout(300)
            assert seen.violations() == []
            assert seen.overflow() == 0
