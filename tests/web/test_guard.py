"""A table of attacks on the server of the page, and what each of them gets."""

import json
import re
import socket
import threading

import pytest
import uvicorn
from hard_set import images_of, verdict_on, write_hard_set
from page import MadeUpSet, client, served

from snellen.labels import IMAGENET_1K
from snellen.mining.log import encode, read_log
from snellen.web import guard, rules
from snellen.web.guard import HEADERS
from snellen.web.references import References
from snellen.web.rules import host_name, is_loopback, rules_for
from snellen.web.serve import Listening, warning
from snellen.web.serve import address as printed

TOKEN = "a-token-that-nobody-guesses"
SECRET = "what no page may ever show"


@pytest.fixture
def hard(tmp_path):
    return write_hard_set(tmp_path / "HARD", images_of(3))


@pytest.fixture
def site(tmp_path, drawers, hard, examples_dir):
    """A server's folder with a secret beside it, and a link to it inside."""
    (tmp_path / "secret.json").write_text(SECRET)
    (tmp_path / "secret.jpg").write_text(SECRET)
    (tmp_path / "examples" / "n01440764").mkdir(parents=True)
    (tmp_path / "examples" / "n01440764" / "a.jpg").symlink_to(tmp_path / "secret.jpg")
    images = [path.read_bytes() for path in sorted(examples_dir.glob("*.jp*g"))[:2]]
    references = References(tmp_path / "examples", [IMAGENET_1K], outside=False)
    found = served(tmp_path / "cache", drawers, MadeUpSet(images), hard=hard, references=references)
    (tmp_path / "cache" / "data" / "s0" / "m0.json").symlink_to(tmp_path / "secret.json")
    return found


@pytest.fixture
def here(site):
    return client(site)


PATHS = [
    "/../secret.json",
    "/data/../../secret.json",
    "/data/..%2f..%2fsecret.json",
    "/data/%2e%2e/%2e%2e/secret.json",
    "/data/%252e%252e/secret.json",
    "/data/s0/../../../secret.json",
    "/data/s0/..\\..\\secret.json",
    "/data//etc/passwd",
    "/data/%2fetc%2fpasswd",
    "/data/etc/passwd%00.json",
    "/data/s0/m0.json",  # a link in the cache to what lies outside
    "/data/classes-../../secret.json",
    "/data/verdicts.json",
    "/static/../app.py",
    "/static/..%2fapp.py",
    "/static/%2e%2e/%2e%2e/errors.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/js/..%2f..%2f..%2fapp.py",
    "/thumbs/..%2fsecret/0.jpg",
    "/thumbs/s0/..%2f..%2fsecret.jpg",
    "/thumbs/s0/-1.jpg",
    "/thumbs/s0/2.jpg",
    "/thumbs/s0/1e3.jpg",
    "/thumbs/s0/%D9%A1.jpg",  # a digit, but none of ours
    f"/thumbs/s0/{'9' * 5000}.jpg",
    "/pictures/s1/0.jpg",
    "/views/s0/0/324.png",
    "/views/s0/0/-1.png",
    "/views/s0/0/0.png?model=..%2f..%2fsecret",
    "/references/n01440764/0.jpg",  # a link out of the folder of examples
    "/references/..%2f..%2fsecret/0.jpg",
    "/references/%2fetc/0.jpg",
    "/docs",
    "/openapi.json",
    "/redoc",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out(here, path):
    answer = here.get(path)
    assert answer.status_code in (400, 404)
    assert SECRET not in answer.text
    assert "root:" not in answer.text
    assert "import " not in answer.text


def raw(app_client, request: bytes) -> bytes:
    """What a server answers to bytes that no client library would send."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app_client.app, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with socket.create_connection(listener.getsockname(), timeout=10) as connection:
            connection.sendall(request)
            connection.settimeout(10)
            answer = b""
            while part := connection.recv(65536):
                answer += part
            return answer
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.mark.parametrize(
    "target", [b"/../../../../etc/passwd", b"/static/../../errors.py", b"//etc/passwd", b"http://x/../etc/passwd"]
)
def test_paths_that_no_client_library_sends(here, target):
    answer = raw(here, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.split(b" ", 2)[1] in (b"400", b"404")
    assert b"root:" not in answer
    assert b"exit_code" not in answer


EVIL = "http://evil.example"
SAME = {"origin": "http://127.0.0.1:8765", "sec-fetch-site": "same-origin"}
READS = [
    # What is asked with; what it gets.
    ({}, 200),
    (SAME, 200),
    ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 200),
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 200),  # a link
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, 403),
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, 403),
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, 403),
    ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, 403),
    ({"origin": EVIL}, 403),
    ({"origin": "null"}, 403),
    ({"host": "evil.example"}, 421),  # DNS rebinding
    ({"host": "evil.example:8765"}, 421),
    ({"host": "127.0.0.1.evil.example:8765"}, 421),
    ({"host": "localhost@evil.example"}, 421),
    ({"host": "127.0.0.1:8765/"}, 421),
    ({"host": ""}, 421),
    ({"host": "192.168.0.1:8765"}, 421),
    ({"host": "localhost:9000"}, 200),  # a tunnel
    ({"host": "[::1]:8765"}, 200),
    ({"host": "LOCALHOST."}, 200),
]


@pytest.mark.parametrize(("headers", "status"), READS)
def test_who_may_read(here, headers, status):
    for address in ("/data/site.json", "/api/verdicts", "/thumbs/s0/0.jpg"):
        assert here.get(address, headers=headers).status_code == status


WRITE = {"x-snellen": "review"}
WRITES = [
    (SAME | WRITE, 200),
    (WRITE, 200),  # a script of the user's
    ({}, 403),
    (SAME, 403),
    (SAME | {"x-snellen": "yes"}, 403),
    (WRITE | {"origin": EVIL}, 403),
    (WRITE | {"origin": "null"}, 403),
    (WRITE | {"origin": "http://127.0.0.1:8766"}, 403),
    (WRITE | {"origin": "https://127.0.0.1:8765.evil.example"}, 403),
    (WRITE | {"origin": "file://"}, 403),
    (WRITE | {"sec-fetch-site": "cross-site"}, 403),
    (WRITE | {"sec-fetch-site": "same-site"}, 403),
    (WRITE | {"sec-fetch-site": "none"}, 403),
    (
        WRITE | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
        403,
    ),
    (WRITE | {"host": "evil.example:8765", "origin": "http://evil.example:8765"}, 421),
    (SAME | WRITE | {"content-type": "text/plain"}, 415),
    (SAME | WRITE | {"content-type": "application/x-www-form-urlencoded"}, 415),
]


@pytest.mark.parametrize(("headers", "status"), WRITES)
def test_who_may_write(here, hard, headers, status):
    (line,) = encode([verdict_on(images_of(1)[0])]).splitlines()
    body = json.dumps({"verdicts": [json.loads(line)]})
    answer = here.post("/api/verdicts", content=body, headers={"content-type": "application/json"} | headers)
    assert answer.status_code == status
    assert len(read_log(hard).verdicts) == (status == 200)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "POST"])
def test_other_methods_change_nothing(here, hard, method):
    headers = {"origin": EVIL, "access-control-request-method": "POST"}
    assert here.request(method, "/api/verdicts", headers=headers).status_code == 403
    answer = here.request(method, "/data/site.json", headers=WRITE)
    assert answer.status_code == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_long_bodies_are_not_read(here, hard, monkeypatch):
    monkeypatch.setattr(guard, "MOST_BYTES", 1000)
    headers = WRITE | {"content-type": "application/json"}
    assert here.post("/api/verdicts", content=b"[" * 1001, headers=headers).status_code == 413

    def endless():
        for _ in range(100):
            yield b"[" * 100

    assert here.post("/api/verdicts", content=endless(), headers=headers).status_code == 413
    # Where none belongs none is read at all.
    for content in (b"[" * 10, endless()):
        assert here.request("GET", "/thumbs/s0/0.jpg", content=content).status_code == 413
    for length in ("-1", "1e3", "9" * 40):
        assert here.post("/api/verdicts", content=b"{}", headers=headers | {"content-length": length}).status_code in (
            400,
            413,
        )
    deep = here.post("/api/verdicts", content=b"[" * 999, headers=headers)
    assert deep.status_code == 400
    assert deep.json() == {"error": "the body is no JSON"}


def test_every_answer_carries_the_headers(here, site):
    told = client(site, rules_for("127.0.0.1", TOKEN))
    for answer in (
        here.get("/data/site.json"),
        here.get("/thumbs/s0/0.jpg"),
        here.get("/nothing"),
        here.get("/", headers={"host": "evil.example"}),
        here.post("/api/verdicts"),
        told.get("/"),
        told.get(f"/?token={TOKEN}"),
    ):
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
    policy = dict(part.split(" ", 1) for part in HEADERS["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in HEADERS["content-security-policy"]
    assert "http" not in HEADERS["content-security-policy"]


def test_the_page_itself_has_no_inline_script_and_names_no_other_host(here):
    page = here.get("/")
    if page.status_code == 404:
        pytest.fail("there is no index.html")
    assert not re.search(r"<script(?![^>]*\ssrc=)[^>]*>", page.text)
    assert not re.search(r"\son[a-z]+\s*=", page.text)
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)


def test_off_this_machine_nothing_is_shown_without_the_token(site):
    asked = client(site, rules_for("0.0.0.0", None), "192.168.0.1")
    for address in ("/", "/index.html", "/static/js/main.js", "/data/site.json", "/thumbs/s0/0.jpg", "/api/verdicts"):
        assert asked.get(address).status_code == 401
    assert asked.post("/api/verdicts", headers=WRITE).status_code == 401


GUESSES = [
    "",
    "wrong",
    TOKEN[:-1],
    TOKEN + "x",
    TOKEN.upper(),
    "%00",
    "\u00e9",
    "%ff%fe",
]


@pytest.mark.parametrize("guess", GUESSES)
def test_a_wrong_token_gets_nothing(site, guess):
    asked = client(site, rules_for("127.0.0.1", TOKEN))
    answer = asked.get(f"/?token={guess}")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    name, value = rules_for("127.0.0.1", TOKEN).cookie
    for cookie in (f"{name}={guess or 'x'}".encode(), f"{name}={TOKEN}".encode(), f"x{name}={value}".encode()):
        assert asked.get("/data/site.json", headers={"cookie": cookie}).status_code == 401


def test_the_token_is_exchanged_for_a_cookie(site):
    asked = client(site, rules_for("127.0.0.1", TOKEN))
    answer = asked.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "./")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert TOKEN not in cookie
    assert TOKEN not in str(answer.headers)
    assert asked.get("/data/site.json").status_code == 200  # the client keeps it
    # Only the page exchanges it; in other addresses it would stay in a history.
    fresh = client(site, rules_for("127.0.0.1", TOKEN))
    assert fresh.get(f"/data/site.json?token={TOKEN}").status_code == 401
    request = f"GET //evil.example/?token={TOKEN} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert raw(fresh, request.encode()).startswith(b"HTTP/1.1 401 ")
    # A cookie alone is no leave for another site's page.
    writes = WRITE | {"content-type": "application/json", "origin": EVIL}
    assert asked.post("/api/verdicts", content=b"{}", headers=writes).status_code == 403


def test_the_address_that_is_printed_is_let_in(site):
    for token in (TOKEN, "a+b&c#d%41 e?f=g/h"):
        listening = Listening("127.0.0.1", 8765, token)
        asked = client(site, listening.rules())
        assert asked.get(printed("127.0.0.1", 8765, token)).status_code == 303
        assert asked.get("/data/site.json").status_code == 200


def test_who_listens_where():
    assert rules_for("127.0.0.1", None).token is None
    assert rules_for("localhost", None).token is None
    tokens = {
        rules_for(host, None).token for host in ("0.0.0.0", "::", "192.168.0.1", "box.example", "127.0.0.1.nip.io")
    }
    assert None not in tokens
    assert len(tokens) == 5
    assert all(len(token) >= 32 for token in tokens)
    assert rules_for("0.0.0.0", TOKEN).token == TOKEN
    anywhere = rules_for("::", None)
    assert anywhere.knows("192.168.0.1:80")
    assert anywhere.knows(socket.gethostname())
    assert not anywhere.knows("evil.example")
    named = rules_for("Box.Example", None)
    assert named.knows("box.example:8765")
    assert not named.knows("localhost")
    assert not is_loopback("2130706433")
    assert not is_loopback("127.0.0.1.evil.example")
    assert [host_name(one) for one in ("a b", "a\r\nb", "[::1", "a:b", "a:123456", "", "é")] == [""] * 7


def test_a_token_is_compared_in_constant_time(site, monkeypatch):
    compared = []

    def compare(a, b):
        compared.append((a, b))
        return a == b

    monkeypatch.setattr(rules.hmac, "compare_digest", compare)
    asked = client(site, rules_for("127.0.0.1", TOKEN))
    asked.get("/?token=guess")
    assert (b"guess", TOKEN.encode()) in compared
    asked.get("/data/site.json", headers={"cookie": f"{rules_for('127.0.0.1', TOKEN).cookie[0]}=guess"})
    assert compared[-1] == (b"guess", rules_for("127.0.0.1", TOKEN).cookie[1].encode())


def test_hostile_names_are_data_of_json_alone(tmp_path, drawers):
    hostile = "<img src=x onerror=alert(1)>"
    folder = write_hard_set(tmp_path / "HARD", images_of(1))
    site = served(tmp_path / "cache", drawers, MadeUpSet([]), hard=folder)
    asked = client(site)
    for address in (f"/{hostile}", f"/thumbs/{hostile}/0.jpg", f"/views/s0/0/0.png?model={hostile}"):
        answer = asked.get(address)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
    csv = asked.get("/api/review.csv", params={"reviewer": 'x"\u2028\r\nset-cookie: a=b'})
    assert csv.status_code == 400
    assert "set-cookie" not in csv.headers
    named = asked.get("/api/review.csv", params={"reviewer": 'Zoë "../<b>'})
    assert named.headers["content-disposition"] == "attachment; filename*=UTF-8''review-Zo%C3%AB%20%22..%2F%3Cb%3E.csv"


def test_who_listens_for_others_is_told_of_the_tunnel():
    assert warning("127.0.0.1", 8765) == warning("localhost", 8765) == ""
    for host in ("0.0.0.0", "192.168.0.1"):
        assert "not encrypted" in warning(host, 9000)
        assert "ssh -N -L 9000:localhost:9000 " in warning(host, 9000)
