"""The review page in a real browser, with the real server: keys, labels, undo, pictures, reading aids."""

import pytest
from review_site import image, note, open_review, pictures, server_of, wait_stored
from waits import wait_equal, wait_page

from snellen.labels import IMAGENET_1K
from snellen.mining.hardset import read


def test_pictures_of_data_that_have_changed_come_by_themselves(server, hard, context):
    page = context.new_page()
    version = []

    def other(route):
        answer = route.fetch()
        record = answer.json()
        if version:
            record["sets"][0]["version"] = version[0]
        route.fulfill(response=answer, json=record)

    def image_of(route):
        stale = bool(version) and not route.request.url.endswith(f"v={version[0]}")
        route.fulfill(status=404) if stale else route.continue_(url=route.request.url.partition("?")[0])

    page.route("**/data/site.json", other)
    page.route("**/data/s0/images.json*", lambda route: route.continue_(url=route.request.url.partition("?")[0]))
    page.route("**/pictures/**", image_of)
    page.route("**/thumbs/**", image_of)
    page.goto(f"{server.address}#/s0/review/100")
    shown = "row => document.querySelector('.review-picture img:not([hidden])')?.naturalWidth > 0"
    wait_page(page, shown)
    version.append("other")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    wait_page(page, "() => document.querySelector('.review-picture img:not([hidden])')?.src.endsWith('v=other')")
    wait_page(page, shown)
    assert page.get_by_text("cannot be shown").count() == 0
    assert image(page) == hard[1][102].image_id


def test_undo_says_what_stood_before_or_unsure(server, hard, context):
    page = open_review(context, server, "undone", "/10").page
    page.keyboard.type("k")
    said = page.locator("#announcer").inner_text()
    assert said.startswith(f"keep. Now {image(page)}, ")
    assert image(page) != hard[1][10].image_id
    page.keyboard.press("z")
    assert image(page) == hard[1][10].image_id
    page.keyboard.type("d")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(".review-said >> text=drop")
    page.keyboard.type("kz")
    wait_stored(page)
    page.reload()
    page.wait_for_selector(".review-said >> text=drop")
    page.keyboard.press("z")
    wait_stored(page)
    page.keyboard.press("z")  # nothing is left
    wait_stored(page)
    said = server.said("undone")
    assert {one.id for one in said} == {hard[1][10].id}
    # The last undo takes "drop" back, before which stood the "unsure" of the first.
    assert [one.verdict for one in said] == ["keep", "unsure", "drop", "keep", "drop", "unsure"]
    assert [one.based_on for one in said] == [(), *((one.key,) for one in said[:-1])]


def test_relabel_takes_names_synonyms_keys_and_candidates(server, hard, context):
    page = open_review(context, server, "names", "/20").page
    page.keyboard.type("rtabby\nn02124075\n\n")  # by name, by key, and given
    page.keyboard.type("1r\n")  # what it has: not given
    wait_equal(lambda: note(page), "These are the labels it has: keep it, or choose others.")
    page.keyboard.press("Escape")
    page.keyboard.type("2\n")  # its first candidate, beside what it has
    page.keyboard.type("rdomestic llama\n")  # no class: nothing is chosen
    wait_equal(lambda: note(page), "There is no class “domestic llama”.")
    page.keyboard.press("Escape")
    page.keyboard.type("rGALEOCERDO   cuvierix")
    for _ in range(2):
        page.keyboard.press("Backspace")
    page.keyboard.type("\n\n")  # by a synonym
    wait_stored(page)
    said = server.said("names")
    assert [(one.id, one.verdict, one.labels) for one in said] == [
        (hard[1][20].id, "relabel", ("n02123045", "n02124075")),
        (hard[1][21].id, "relabel", tuple(sorted((IMAGENET_1K.keys[hard[1][21].labels[0]], IMAGENET_1K.keys[7])))),
        (hard[1][22].id, "relabel", ("n01491361",)),
    ]
    state = read(hard[0]).by_id[hard[1][22].id]
    assert "n01491361" in {label for one in state.standing for label in one.labels}


def test_a_reason_goes_with_the_verdict(server, context):
    page = open_review(context, server, "why", "/30").page
    page.keyboard.type("ctoo dark, k?\nk")
    wait_stored(page)
    assert [(one.verdict, one.reason) for one in server.said("why")] == [("keep", "too dark, k?")]


def test_examples_are_asked_for_where_there_are_some(browser, tmp_path):
    folder, images = pictures(tmp_path, 6)
    for name in ("0/b.jpg", "0/a.jpg", "7/c.jpg"):
        path = tmp_path / "examples" / IMAGENET_1K.keys[int(name[0])] / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(next((tmp_path / "photos").rglob("*.jpg")).read_bytes())
    with server_of(folder, tmp_path / "cache", "--reference", str(tmp_path / "examples")) as server:
        context = browser.new_context()
        seen = open_review(context, server, "looks")
        asked = []
        seen.page.on("request", lambda one: asked.append(one.url) if "/references/" in one.url else None)
        seen.page.reload()
        seen.page.wait_for_selector(".review-examples img")
        seen.page.wait_for_load_state("networkidle")
        with_labels = {IMAGENET_1K.keys[k] for k in images[0].labels}
        shown = {IMAGENET_1K.keys[0]: 2, IMAGENET_1K.keys[7]: 1}
        on_page = seen.page.locator(".review-choices li").count()
        assert on_page > len(with_labels)
        expected = {f"{key}/{k}.jpg" for key, count in shown.items() for k in range(count)}
        assert {url.partition("/references/")[2] for url in asked} == expected
        assert seen.complaints == []
        context.close()


def test_a_button_keeps_the_focus_of_those_who_go_by_keys(server, context):
    page = open_review(context, server, "tabs", "/75").page
    page.get_by_role("button", name="keep").focus()
    for key in ("Enter", " "):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.textContent").startswith("keep")
    page.get_by_role("button", name="drop").click()
    assert page.evaluate("document.activeElement === document.body")
    wait_stored(page)
    assert [one.verdict for one in server.said("tabs")] == ["keep", "keep", "drop"]


def test_a_link_shows_its_image_before_the_verdicts_are_there(server, hard, context):
    page = context.new_page()
    held, released = [], []
    page.route("**/api/verdicts", lambda route: route.continue_() if released else held.append(route))
    page.goto(f"{server.address}#/s0/review/42")
    page.wait_for_selector(f".review-picture >> text={hard[1][42].image_id}")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f".review-picture >> text={hard[1][43].image_id}")
    released.append(True)
    for route in held:
        route.continue_()
    wait_page(page, "() => location.hash === '#/s0/review/43'")
    assert image(page) == hard[1][43].image_id


def test_search_finds_every_class_by_name_synonym_and_key(server, context):
    page = open_review(context, server, "search").page
    found = page.evaluate(
        """async () => {
          const { indexed, found } = await import(new URL('static/js/typeahead.js', document.baseURI));
          const classes = await (await fetch('data/classes-imagenet-1k.json')).json();
          const index = indexed(classes);
          return { classes, names: classes.names.map(one => found(index, one)),
            synonyms: classes.synonyms.map(some => some.map(one => found(index, ' ' + one.toUpperCase()))),
            keys: classes.keys.map(one => found(index, one)),
            none: found(index, ' '), inside: found(index, 'etriev', 1000) };
        }"""
    )
    classes = found["classes"]
    assert len(classes["keys"]) == 1000
    for k, ids in enumerate(found["names"]):
        assert classes["names"][ids[0]].lower() == classes["names"][k].lower()
    assert [ids[0] for ids in found["keys"]] == list(range(1000))
    for k, some in enumerate(found["synonyms"]):
        assert all(k in ids for ids in some), classes["synonyms"][k]
    assert found["none"] == []
    named = {k for k, name in enumerate(classes["names"]) if "etriev" in name}
    assert 0 < len(named & set(found["inside"])) == len(named)


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light"), (3840, "light")])
def test_everybody_can_read_and_reach_it(server, browser, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    seen = open_review(context, server, "reader", "/80")
    seen.page.locator("summary").click()
    seen.page.keyboard.press("r")
    seen.page.keyboard.type("shark")
    seen.page.wait_for_selector("[role=option]")
    assert seen.overflow() == 0
    assert seen.violations() == []
    assert seen.complaints == []
    context.close()
