"""Several tabs, browsers and reviewers at one hard set: none overwrites another."""

import subprocess

import pytest
from hard_set import verdict_on
from review_site import COMMAND, image, note, open_review, pictures, wait_stored
from view_site import serve
from waits import wait_equal, wait_page, wait_until

from snellen.mining.hardset import DISAGREE, STALE, read
from snellen.mining.log import append, read_log
from snellen.mining.sheet import sheet


@pytest.mark.slow
def test_two_tabs_are_two_clients_and_go_on_where_the_other_was(server, hard, context):
    tabs = [open_review(context, server, "twice").page for _ in range(2)]
    for k in range(20):
        tab = tabs[k % 2]
        tab.wait_for_selector(f".review-totals >> text='{k} of 200 judged by you'")
        tab.keyboard.press("n")
        if k:
            wait_until(lambda tab=tab: image(tab) != hard[1][0].image_id)
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
    page.wait_for_selector(".review-agreement >> text=ann, bob")
    download = page.evaluate(
        "fetch(document.querySelector('.review-agreement a').getAttribute('href')).then(a => a.text())"
    )
    assert download.encode() == sheet(read(hard[0]), "judge").removeprefix(b"\xef\xbb\xbf")
    for one in with_names.values():
        one.close()


def test_who_gives_no_name_is_led_to_the_field_for_it(server, context):
    page = context.new_page()
    page.goto(f"{server.address}#/s0/review/70")
    page.wait_for_selector(".review-words")
    for press in (lambda: page.keyboard.press("k"), lambda: page.get_by_role("button", name="drop").click()):
        before = image(page)
        press()
        wait_until(lambda: "write who you are" in note(page))
        wait_page(page, "document.activeElement?.getAttribute('list') === 'review-names'")
        assert page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
        assert image(page) == before
        page.evaluate("document.activeElement.blur()")
    page.get_by_label("Reviewer").fill("newcomer")
    page.keyboard.press("Enter")
    page.keyboard.press("k")
    wait_stored(page)
    wait_equal(lambda: note(page), "")
    assert [one.verdict for one in server.said("newcomer")] == ["keep"]
    page.keyboard.press("z")
    wait_equal(lambda: note(page), "Undone: it waits for you again.")
    page.keyboard.press("ArrowRight")
    wait_equal(lambda: note(page), "")


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
