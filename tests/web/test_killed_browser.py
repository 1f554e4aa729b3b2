"""Verdicts that wait to be sent when the browser is killed: the next browser of the same profile sends them."""

import os
import signal
import subprocess
from contextlib import contextmanager, suppress

import pytest
from browser import find_browser
from review_site import open_review, pictures, server_of, wait_stored
from waits import wait_until

# How many entries the journal of the page has on the disk.
JOURNAL = """() => new Promise((resolve, reject) => {
  const opened = indexedDB.open('snellen');
  opened.onerror = () => reject(opened.error);
  opened.onsuccess = () => {
    const count = opened.result.transaction('entries').objectStore('entries').count();
    count.onsuccess = () => { opened.result.close(); resolve(count.result); };
  };
})"""


@contextmanager
def playing():
    if find_browser() is None:
        pytest.skip("no browser")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the extra `test`)")
    with sync_api.sync_playwright() as playwright:
        yield playwright


@contextmanager
def browser_of(playwright, profile):
    """A browser of a profile, in a process group of its own that is killed with -9 at the end."""
    profile.mkdir(exist_ok=True)
    port = profile / "DevToolsActivePort"
    port.unlink(missing_ok=True)
    options = ["--headless=new", "--no-sandbox", "--no-first-run", "--remote-debugging-port=0"]
    command = [find_browser(), *options, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: process.poll() is not None or (port.exists() and "\n" in port.read_text()))
        address = f"http://127.0.0.1:{port.read_text().split()[0]}"
        yield playwright.chromium.connect_over_cdp(address).contexts[0]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for name in ("SingletonLock", "SingletonCookie", "SingletonSocket"):
            (profile / name).unlink(missing_ok=True)


@pytest.mark.slow
def test_what_waits_to_be_sent_survives_a_browser_that_is_killed(tmp_path):
    hard, images = pictures(tmp_path / "set", 40)
    words = [("k", "keep"), ("d", "drop"), ("u", "unsure")]
    expected = [(one.id, words[k % 3][1]) for k, one in enumerate(images[:-1])]
    profile = tmp_path / "profile"
    with playing() as playwright, server_of(hard, tmp_path / "cache") as server:
        with browser_of(playwright, profile) as context:
            page = open_review(context, server, "ada").page
            server.kill()
            for k in range(len(expected)):
                page.keyboard.press(words[k % 3][0])
            wait_until(lambda: page.evaluate(JOURNAL) == len(expected))
        assert server.said("ada") == []
        server.start()
        with browser_of(playwright, profile) as context:
            page = open_review(context, server, "ada").page
            wait_until(lambda: len(server.said("ada")) == len(expected))
            wait_stored(page)
            assert [(one.id, one.verdict) for one in server.said("ada")] == expected
            assert len({one.client for one in server.said("ada")}) == 1
            page.get_by_text("judged by you, 13 unsure").wait_for()
            wait_until(lambda: page.evaluate(JOURNAL) == 0)
