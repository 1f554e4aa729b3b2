"""Review in a real browser, with the real server: what is in the log is what was typed, whatever fails on the way."""

import itertools
import json
import random
import subprocess
import uuid

import pytest
from hard_set import verdict_on
from review_site import COMMAND, open_review, pictures, server_of, wait_stored
from view_site import serve

from snellen.labels import IMAGENET_1K
from snellen.mining.hardset import DISAGREE, STALE, read
from snellen.mining.log import append, read_log
from snellen.mining.sheet import sheet

WORDS = {"k": "keep", "d": "drop", "u": "unsure"}


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("review"), 200)


@pytest.fixture(scope="module")
def server(hard, tmp_path_factory):
    with server_of(hard[0], tmp_path_factory.mktemp("cache")) as running:
        yield running


@pytest.fixture
def context(browser):
    """A browser that was never here; what is in its storage goes with it."""
    found = browser.new_context(viewport={"width": 1280, "height": 900})
    yield found
    found.close()


def image(page):
    return page.locator(".review-picture figcaption a").inner_text()


def note(page):
    """What the page says beside the buttons; it must be seen."""
    line = page.locator(".review-note")
    page.wait_for_timeout(50)
    assert line.is_visible()
    box = line.bounding_box()
    assert box["width"] > 100
    assert box["height"] > 10
    return line.inner_text()


def typed(count, seed):
    return "".join(random.Random(seed).choices("kdu", (5, 4, 1), k=count))


def told(verdicts):
    return [(one.id, one.verdict) for one in verdicts]


def waiting(page):
    return int(page.locator(".review-queue").get_attribute("data-waiting"))


def test_every_verdict_typed_at_full_speed_arrives_though_every_tenth_request_fails(server, hard, context):
    page = open_review(context, server, "fast").page
    sent, failed = itertools.count(1), []

    def pass_on(route):
        if route.request.method == "GET" or next(sent) % 10:
            route.continue_()
        elif len(failed) % 3 == 0:
            failed.append("no connection")
            route.abort()
        elif len(failed) % 3 == 1:
            failed.append("an error")
            route.fulfill(status=503, body="{}")
        else:
            failed.append("an answer that is lost")
            route.fetch()
            route.abort()

    page.route("**/api/verdicts", pass_on)
    keys = typed(200, 1)
    page.keyboard.type(keys)
    wait_stored(page)
    said = server.said("fast")
    assert len(failed) >= 2
    assert told(said) == [(one.id, WORDS[key]) for one, key in zip(hard[1], keys, strict=True)]
    assert [one.seq for one in said] == list(range(200))
    assert {one.sha256 for one in said} == {one.sha256 for one in hard[1]}
    assert "200 of 200 judged by you" in page.locator(".review-totals").inner_text()
    assert read_log(hard[0]).torn == ()


@pytest.mark.slow
def test_a_killed_server_costs_nothing(browser, tmp_path):
    folder, images = pictures(tmp_path, 60)
    with server_of(folder, tmp_path / "cache") as server:
        context = browser.new_context()
        page = open_review(context, server, "ada").page
        keys = typed(60, 2)
        page.keyboard.type(keys[:20])
        server.kill()
        before = told(server.said("ada"))
        page.keyboard.type(keys[20:40])
        page.wait_for_selector("text=not stored yet")
        server.start()
        wait_stored(page)
        expected = [(one.id, WORDS[key]) for one, key in zip(images, keys, strict=True)]
        assert before == expected[: len(before)]
        assert told(server.said("ada")) == expected[:40]

        # Killed again, and the tab is closed with what it could not send.
        server.kill()
        page.keyboard.type(keys[40:])
        assert waiting(page) == 20
        page.close()
        server.start()
        page = open_review(context, server, "ada").page
        wait_stored(page)
        assert told(server.said("ada")) == expected
        assert len({one.client for one in server.said("ada")}) == 1
        context.close()


def test_what_is_typed_without_a_connection_is_sent_later(server, hard, context):
    page = open_review(context, server, "afloat").page
    context.set_offline(True)
    page.keyboard.type("kdk")
    page.get_by_text("They are kept in this browser and sent again in").wait_for()
    assert "fetch" not in page.locator(".review").inner_text()
    assert server.said("afloat") == []
    context.set_offline(False)
    wait_stored(page)
    assert told(server.said("afloat")) == [
        (one.id, word) for one, word in zip(hard[1], ("keep", "drop", "keep"), strict=False)
    ]


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
    page.wait_for_function(shown)
    version.append("other")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "() => document.querySelector('.review-picture img:not([hidden])')?.src.endsWith('v=other')", timeout=10_000
    )
    page.wait_for_function(shown)
    assert page.get_by_text("cannot be shown").count() == 0
    assert image(page) == hard[1][102].image_id


@pytest.mark.slow
def test_two_tabs_are_two_clients_and_go_on_where_the_other_was(server, hard, context):
    tabs = [open_review(context, server, "twice").page for _ in range(2)]
    for k in range(20):
        tab = tabs[k % 2]
        tab.wait_for_selector(f".review-totals >> text='{k} of 200 judged by you'")
        tab.keyboard.press("n")
        if k:
            assert image(tab) != hard[1][0].image_id
        tab.keyboard.press("k")
    for tab in tabs:
        wait_stored(tab)
    said = server.said("twice")
    assert len({one.client for one in said}) == 2
    assert len({one.id for one in said}) == len(said) == 20

    # One that sees what the other tab said replaces it.
    first = hard[1].index(next(one for one in hard[1] if one.id == said[0].id))
    for tab in tabs:
        tab.goto(f"{server.address}#/s0/review/{first}")
    tabs[1].wait_for_selector(".review-said >> text=keep")
    tabs[1].keyboard.press("d")
    tabs[0].wait_for_selector(".review-said >> text=drop")
    wait_stored(tabs[1])
    assert server.said("twice")[-1].based_on == (said[0].key,)


@pytest.mark.slow
def test_what_one_browser_did_not_see_it_does_not_overwrite(server, hard, browser):
    contexts = [browser.new_context() for _ in range(2)]
    pages = [open_review(one, server, "apart", "/7").page for one in contexts]
    for page, key in zip(pages, "kd", strict=True):
        page.keyboard.press(key)
        wait_stored(page)
    found = [one for one in read(hard[0]).conflicts if {said.reviewer for said in one.verdicts} >= {"apart"}]
    assert [(one.image.id, one.why) for one in found] == [(hard[1][7].id, STALE)]
    assert sorted(one.verdict for one in server.said("apart")) == ["drop", "keep"]
    for one in contexts:
        one.close()


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


def test_who_gives_no_name_is_led_to_the_field_for_it(server, context):
    page = context.new_page()
    page.goto(f"{server.address}#/s0/review/70")
    page.wait_for_selector(".review-words")
    for press in (lambda: page.keyboard.press("k"), lambda: page.get_by_role("button", name="drop").click()):
        before = image(page)
        press()
        assert "write who you are" in note(page)
        page.wait_for_function("document.activeElement.getAttribute('list') === 'review-names'")
        assert page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
        assert image(page) == before
        page.evaluate("document.activeElement.blur()")
    page.get_by_label("Reviewer").fill("newcomer")
    page.keyboard.press("Enter")
    page.keyboard.press("k")
    wait_stored(page)
    assert note(page) == ""
    assert [one.verdict for one in server.said("newcomer")] == ["keep"]
    page.keyboard.press("z")
    assert note(page) == "Undone: it waits for you again."
    page.keyboard.press("ArrowRight")
    assert note(page) == ""


def test_relabel_takes_names_synonyms_keys_and_candidates(server, hard, context):
    page = open_review(context, server, "names", "/20").page
    page.keyboard.type("rtabby\nn02124075\n\n")  # by name, by key, and given
    page.keyboard.type("1r\n")  # what it has: not given
    assert note(page) == "These are the labels it has: keep it, or choose others."
    page.keyboard.press("Escape")
    page.keyboard.type("2\n")  # its first candidate, beside what it has
    page.keyboard.type("rdomestic llama\n")  # no class: nothing is chosen
    assert note(page) == "There is no class “domestic llama”."
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


@pytest.mark.slow
def test_reviewers_judge_blind_and_conflicts_are_settled_in_sight(server, hard, browser):
    where = hard[1][40]
    with_names = {name: browser.new_context() for name in ("ann", "bob", "judge")}
    pages = {}
    for name, key in (("ann", "k"), ("bob", "d")):
        pages[name] = page = open_review(with_names[name], server, name, "/40").page
        assert "ann" not in page.locator(".review-said").inner_text()
        page.keyboard.press(key)
        wait_stored(page)
    assert [one.why for one in read(hard[0]).conflicts if one.image.id == where.id] == [DISAGREE]
    page = open_review(with_names["judge"], server, "judge", "/40?show=conflicts").page
    page.wait_for_selector(f".review-picture >> text={where.image_id}")
    shown = page.locator(".review-said").inner_text()
    assert [word in shown for word in ("ann: keep", "bob: drop", DISAGREE)] == [True] * 3
    page.keyboard.press("d")
    wait_stored(page)
    found = read(hard[0]).by_id[where.id]
    assert (found.status, [one.reviewer for one in found.standing]) == ("dropped", ["judge"])
    assert {"ann", "bob"} <= {one.reviewer for one in read_log(hard[0]).verdicts}
    # Verdicts of others that were replaced cannot be given back: the image is undecided, not decided by nobody.
    page.keyboard.press("z")
    wait_stored(page)
    found = read(hard[0]).by_id[where.id]
    assert (found.status, [one.verdict for one in found.standing]) == ("undecided", ["unsure"])
    page.reload()
    page.locator("summary").click()
    page.wait_for_selector(".review-agreement >> text=ann, bob", timeout=10_000)
    download = page.evaluate(
        "fetch(document.querySelector('.review-agreement a').getAttribute('href')).then(a => a.text())"
    )
    assert download.encode() == sheet(read(hard[0]), "judge").removeprefix(b"\xef\xbb\xbf")
    for one in with_names.values():
        one.close()


def test_what_can_never_be_stored_is_told_and_holds_nothing_up(server, hard, context):
    page = open_review(context, server, "odd", "/50").page
    name = page.evaluate("fetch('data/site.json').then(a => a.json()).then(site => site.reviews)")
    client = str(uuid.uuid4())
    common = {"verdict": "keep", "labels": [], "reviewer": "odd", "reason": "", "client": client, "based_on": []}
    time = {"time": "2025-01-01T00:00:00Z"}
    left = [
        common | time | {"id": hard[1][50].id, "sha256": hard[1][50].sha256, "seq": 0},
        common | time | {"id": "0" * 16, "sha256": "0" * 64, "seq": 1},
        common | time | {"id": hard[1][51].id, "sha256": hard[1][51].sha256, "seq": 2},
    ]
    for one in left:
        key = f"snellen-verdict/{name}/{client}/{one['seq']}"
        page.evaluate("([key, text]) => localStorage.setItem(key, text)", [key, json.dumps(one)])
    page.reload()
    page.wait_for_selector("[role=alert] >> text=there is no image")
    wait_stored(page)
    assert [one.seq for one in server.said("odd")] == [0, 2]
    page.get_by_role("button", name="I have read it").click()
    assert page.locator("[role=alert]").count() == 0
    assert page.evaluate("Object.keys(localStorage).filter(name => name.includes('/')).length") == 0


@pytest.mark.slow
def test_a_full_storage_is_told_and_verdicts_are_sent_all_the_same(server, context):
    page = open_review(context, server, "full", "/60").page
    page.evaluate("() => { Storage.prototype.setItem = () => { throw new Error('full'); }; }")
    context.set_offline(True)
    page.keyboard.type("kd")
    page.wait_for_selector("text=Leave this page open")
    context.set_offline(False)
    wait_stored(page)
    assert [one.verdict for one in server.said("full")] == ["keep", "drop"]


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
    page.wait_for_function("() => location.hash === '#/s0/review/43'")
    assert image(page) == hard[1][43].image_id


def test_a_key_that_is_held_down_is_one_verdict(server, context):
    page = open_review(context, server, "heavy", "/70").page
    for _ in range(5):
        page.keyboard.down("k")
    page.keyboard.up("k")
    wait_stored(page)
    assert len(server.said("heavy")) == 1


@pytest.mark.slow
def test_names_of_reviewers_are_told_apart(server, context):
    page = open_review(context, server, "first name").page
    page.keyboard.type("k")
    wait_stored(page)
    page.reload()
    page.wait_for_selector("text=1 of 200 judged by you")
    page.get_by_role("button", name="change").click()
    field = page.get_by_label("Reviewer")
    for name in ("First  Name", " ada", "a\u202eb", "x" * 101):
        field.fill(name)
        assert page.get_by_role("button", name="Begin").is_disabled(), name
    field.fill("\U0001f989 other")
    assert page.get_by_role("button", name="Begin").is_enabled()


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


@pytest.mark.slow
def test_an_export_shows_verdicts_and_takes_none(browser, tmp_path):
    folder, images = pictures(tmp_path, 6)
    append(folder, [verdict_on(images[0], "relabel", "n02123045", reason="<b>it is</b>")])
    command = (*COMMAND, str(folder), "--export", str(tmp_path / "site"), "--cache", str(tmp_path / "cache"))
    subprocess.run(command, check=True, capture_output=True)
    with serve(tmp_path / "site") as address:
        page = browser.new_page()
        written = []
        page.on("request", lambda one: written.append(one.url) if one.method != "GET" else None)
        page.goto(f"{address}#/s0/review/0")
        page.wait_for_selector(".review-said >> text=ada: relabel tabby")
        assert "<b>it is</b>" in page.locator(".review-said").inner_text()
        assert page.locator(".review-queue").inner_text() == "read-only"
        page.keyboard.type("kd2\n")
        assert image(page) == images[0].image_id
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(f".review-picture >> text={images[1].image_id}")
        assert written == []
        assert page.locator(".review-words, .review-chosen").count() == 0
        page.close()
