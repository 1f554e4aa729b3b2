"""The same attacks from another site's page, in a real browser; and that the page's own requests go through."""

import contextlib
import json
import socket
import threading

import pytest
import uvicorn
from hard_set import images_of, verdict_on, write_hard_set
from page import MadeUpSet, served

from snellen.mining.log import encode, read_log
from snellen.web.app import create_app
from snellen.web.rules import rules_for

TOKEN = "a-token-that-nobody-guesses"


@contextlib.contextmanager
def listening(app):
    """The port of an application that runs in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)


async def foreign(scope, receive, send):
    """Another site's page."""
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"<!doctype html><title>evil</title>"})


@pytest.fixture
def hard(tmp_path):
    return write_hard_set(tmp_path / "HARD", images_of(3))


@pytest.fixture
def site(tmp_path, drawers, hard, examples_dir):
    images = [path.read_bytes() for path in sorted(examples_dir.glob("*.jp*g"))[:1]]
    return served(tmp_path / "cache", drawers, MadeUpSet(images), hard=hard)


def body(seq=0):
    (line,) = encode([verdict_on(images_of(1)[0], seq=seq)]).splitlines()
    return json.dumps({"verdicts": [json.loads(line)]})


SEND = """async ([address, options]) => {
  try {
    const answer = await fetch(address, options);
    return [answer.status, answer.type, await answer.text()];
  } catch (error) {
    return [0, String(error), ''];
  }
}"""
WRITE = {"x-snellen": "review", "content-type": "application/json"}


def test_another_sites_page_reads_and_writes_nothing(browser, site, hard):
    with listening(create_app(site, rules_for("127.0.0.1", TOKEN))) as port, listening(foreign) as other:
        here, context = f"http://127.0.0.1:{port}", browser.new_context()
        own = context.new_page()
        own.goto(f"{here}/?token={TOKEN}")
        assert own.url.partition("#")[0] == f"{here}/"  # the token stands in no address any more
        status, _, text = own.evaluate(SEND, ["api/verdicts", {"method": "POST", "headers": WRITE, "body": body()}])
        assert status == 200, text
        assert len(read_log(hard).verdicts) == 1
        for host in ("localhost", "127.0.0.1"):  # another site, and the same one at another port
            page = context.new_page()
            page.goto(f"http://{host}:{other}/")
            for options in (
                {"method": "POST", "headers": WRITE, "body": body(1)},
                {"method": "POST", "mode": "no-cors", "body": body(1)},
                {"method": "POST", "mode": "no-cors", "credentials": "include", "body": body(1)},
                {"credentials": "include"},
                {"mode": "no-cors"},
            ):
                _, _, text = page.evaluate(SEND, [f"{here}/api/verdicts", options])
                assert text == ""
            shown = page.evaluate(
                """(address) => new Promise((resolve) => {
                  const image = new Image();
                  image.onload = () => resolve(true);
                  image.onerror = () => resolve(false);
                  image.src = address;
                })""",
                f"{here}/thumbs/s0/0.jpg",
            )
            assert shown is False
            frame = page.evaluate_handle(
                "(address) => { const f = document.createElement('iframe'); f.src = address; document.body.append(f);"
                " return new Promise((done) => { f.onload = () => done(f); }); }",
                here,
            )
            assert "snellen" not in (frame.as_element().content_frame().content()).lower()
            # A form needs nobody's leave to be sent.
            page.evaluate(
                "([address, text]) => { const f = document.createElement('form'); f.method = 'post';"
                " f.action = address;"
                " f.enctype = 'text/plain'; const i = document.createElement('input'); i.name = text; f.append(i);"
                " document.body.append(f); f.submit(); }",
                [f"{here}/api/verdicts", body(1)],
            )
            page.wait_for_load_state()
        assert len(read_log(hard).verdicts) == 1
        context.close()


def test_a_link_in_another_page_leads_to_the_page_with_its_state(browser, site):
    with listening(create_app(site, rules_for("127.0.0.1", TOKEN))) as port, listening(foreign) as other:
        here, context = f"http://127.0.0.1:{port}", browser.new_context()
        page = context.new_page()
        page.goto(f"http://localhost:{other}/")
        click = (
            "(address) => { const a = document.createElement('a'); a.href = address; document.body.append(a);"
            " a.click(); }"
        )
        # Not known yet: asked again once, and told.
        page.evaluate(click, f"{here}/#/s0/image/0")
        page.wait_for_selector("text=The token is wrong or missing")
        # With the token, and later without it: the cookie comes along when the page asks by itself.
        for link in (f"{here}/?token={TOKEN}#/s0/image/0", f"{here}/#/s0/image/0"):
            page.goto(f"http://localhost:{other}/")
            page.evaluate(click, link)
            page.wait_for_function("document.querySelector('script[src]') !== null")
            assert page.url in (f"{here}/#/s0/image/0", f"{here}/?again#/s0/image/0")
        context.close()


def test_no_script_runs_but_the_pages_own_files(browser, site):
    with listening(create_app(site, rules_for("127.0.0.1", None))) as port:
        context = browser.new_context()
        page = context.new_page()
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"http://127.0.0.1:{port}/")
        page.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 1';"
            " document.body.append(s); const d = document.createElement('div');"
            " d.setAttribute('onclick', 'window.hacked = 2'); document.body.append(d); d.click(); }"
        )
        assert page.evaluate("window.hacked") is None
        for outside in ("http://127.0.0.1:1/x", "https://example.org/"):
            status, why, _ = page.evaluate(SEND, [outside, {}])
            assert status == 0, why
        assert all(url.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:")) for url in asked)
        context.close()
