"""A stand-in for the Hub on the loopback interface: data set repositories, listed, read by range and downloaded."""

import contextlib
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

API = re.compile(
    r"/api/datasets/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>revision|tree)/(?P<revision>[^/]+)(?:/(?P<path>.*))?)?"
)
FILE = re.compile(r"/datasets/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass(frozen=True)
class Request:
    """A request for a file: `start` and `stop` of its range, or None; `sent`: bytes of it that were answered."""

    method: str
    path: str
    start: int | None
    stop: int | None
    sent: int


@dataclass
class Hub:
    """What the stand-in serves, and what it was asked.

    repos: files by path, by commit, by repository; branches: the commit each names.
    gated: repositories whose files are refused; down: files whose downloads break before the first byte.
    breaking: files whose next whole download breaks after that many bytes.
    """

    endpoint: str = ""
    repos: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    branches: dict[str, dict[str, str]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    breaking: dict[str, int] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def add(self, repo: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Commit these files, all there are, to a branch; the commit."""
        digest = hashlib.sha1(repr(sorted((p, hashlib.sha1(d).digest()) for p, d in files.items())).encode())
        commit = digest.hexdigest()
        self.repos.setdefault(repo, {})[commit] = files
        self.branches.setdefault(repo, {})[branch] = commit
        return commit


@contextlib.contextmanager
def serving():
    """A running stand-in."""
    hub = Hub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        place = urlsplit(self.path).path
        self.hub.asked.append(f"{self.command} {place}")
        if match := API.fullmatch(place):
            self._describe(match)
        elif match := FILE.fullmatch(place):
            self._file(match)
        else:
            self._refuse(404, "EntryNotFound")

    def _at(self, match):
        """The commit and files that a request is about, or None where it was refused."""
        commits = self.hub.repos.get(match["repo"])
        if commits is None:
            return self._refuse(401, "RepoNotFound")
        revision = unquote(match["revision"] or "main")
        commit = revision if revision in commits else self.hub.branches[match["repo"]].get(revision)
        return (commit, commits[commit]) if commit else self._refuse(404, "RevisionNotFound")

    def _describe(self, match):
        found = self._at(match)
        if found is None:
            return
        commit, files = found
        if match["what"] == "tree":
            folder = f"{unquote(match['path'])}/" if match["path"] else ""
            answer = [
                {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for path, data in files.items()
                if path.startswith(folder)
            ]
        else:
            answer = {
                "id": match["repo"],
                "sha": commit,
                "siblings": [{"rfilename": path} for path in files],
                "tags": [],
            }
        body = json.dumps(answer).encode()
        self._head(200, {"Content-Type": "application/json", "Content-Length": len(body)})
        self.wfile.write(body)

    def _file(self, match):
        found = self._at(match)
        if found is None:
            return
        if match["repo"] in self.hub.gated:
            self._refuse(403, "GatedRepo")
            return
        commit, files = found
        path = unquote(match["path"])
        if path not in files:
            self._refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
            return
        data = files[path]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else None
        stop = int(wanted[2]) + 1 if wanted and wanted[2] else None
        body = data[start:stop]
        # Only downloads break; a range with an end is how footers are read.
        broken = 0 if path in self.hub.down else self.hub.breaking.get(path) if start is None else None
        sent = body if stop is not None or broken is None else body[:broken]
        head = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": commit, "Content-Length": len(body)}
        if wanted:
            head["Content-Range"] = f"bytes {start}-{start + len(body) - 1}/{len(data)}"
        asks = self.command == "GET"
        self.hub.requests.append(Request(self.command, path, start, stop, len(sent) if asks else 0))
        self._head(206 if wanted else 200, head | {"Accept-Ranges": "bytes"})
        if not asks:
            return
        self.wfile.write(sent)
        if len(sent) < len(body):
            self.hub.breaking.pop(path, None)
            self.close_connection = True

    def _head(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def _refuse(self, status, code, headers=None):
        self._head(status, {"X-Error-Code": code, "X-Error-Message": code, "Content-Length": 0} | (headers or {}))
