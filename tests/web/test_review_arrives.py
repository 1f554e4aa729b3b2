"""Verdicts typed in a real browser, with the real server: what is in the log is what was typed, whatever fails."""

import itertools
import json
import uuid

import pytest
from review_site import WORDS, open_review, pictures, server_of, told, typed, wait_stored, waiting
from waits import wait_equal

from snellen.mining.log import read_log


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
        wait_equal(lambda: waiting(page), 20)
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


def test_a_key_that_is_held_down_is_one_verdict(server, context):
    page = open_review(context, server, "heavy", "/70").page
    for _ in range(5):
        page.keyboard.down("k")
    page.keyboard.up("k")
    wait_stored(page)
    assert len(server.said("heavy")) == 1
