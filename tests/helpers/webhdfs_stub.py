"""A stand-in for HDFS on the loopback interface: a NameNode and its DataNode as the WebHDFS API describes them.

https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html. What that page leaves open is as in
HDFS: RENAME without options answers false where the name is taken, where there is nothing to rename and where the
folder is none; with `renameoptions=OVERWRITE` it replaces, and answers without a text.
"""

import contextlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

# Of a request that the NameNode sent on to the DataNode.
SENT_ON = "namenoderpcaddress"
CODES = {"FileNotFoundException": 404, "IllegalArgumentException": 400, "SecurityException": 401}


class Refused(Exception):
    """What HDFS answers with an exception: its name, and its message."""


class Hdfs:
    """What the stand-in holds, what it was asked, and how it fails.

    files: the bytes and the time of each; folders: those that there are.
    fault: called with the operation and the path of each request, gives "" or one of: lost (it is done, and its answer
        never comes), cut (only half of the bytes come, or are kept), away (not done, no answer), or the name of an
        exception.
    replaces: False as HttpFS, which passes over `renameoptions`.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.fault: Callable[[str, str], str] = lambda operation, path: ""
        self.done: Counter[str] = Counter()
        self.clear()

    def clear(self) -> None:
        """Nothing is there, and nothing fails."""
        self.files: dict[str, tuple[bytes, float]] = {}
        self.folders = {"/"}
        self.replaces = True
        self.fault = lambda operation, path: ""
        self.done.clear()

    def below(self, folder: str) -> dict[str, bytes]:
        """Every file below a folder, by the rest of its path."""
        with self.lock:
            return {p.removeprefix(folder): data for p, (data, _) in self.files.items() if p.startswith(folder)}

    def status(self, path: str, name: str = "") -> dict:
        data, modified = self.files.get(path, (b"", 0.0))
        if path not in self.files and path not in self.folders:
            raise Refused("FileNotFoundException", f"File does not exist: {path}")
        kind = "FILE" if path in self.files else "DIRECTORY"
        return {"pathSuffix": name, "type": kind, "length": len(data), "modificationTime": int(modified * 1000)}

    def listed(self, folder: str) -> list[dict]:
        if folder in self.files:
            return [self.status(folder)]
        self.status(folder)
        start = folder.rstrip("/") + "/"
        inside = sorted(p for p in (*self.files, *self.folders) if p.startswith(start) and p != start)
        return [self.status(p, p.removeprefix(start)) for p in inside if "/" not in p.removeprefix(start)]

    def make_folder(self, path: str) -> None:
        parts = [part for part in path.split("/") if part]
        for k in range(len(parts) + 1):
            folder = "/" + "/".join(parts[:k])
            if folder in self.files:
                raise Refused("ParentNotDirectoryException", f"{folder} (is not a directory)")
            self.folders.add(folder)

    def create(self, path: str, data: bytes, overwrite: bool, parents: bool) -> None:
        parent = path.rpartition("/")[0] or "/"
        if parent not in self.folders:
            if not parents:
                raise Refused("FileNotFoundException", f"Parent directory doesn't exist: {parent}")
            self.make_folder(parent)
        if path in self.folders or (path in self.files and not overwrite):
            raise Refused("FileAlreadyExistsException", f"{path} for client 127.0.0.1 already exists")
        self.files[path] = data, time.time()

    def rename(self, old: str, new: str, replace: bool) -> bool:
        there = old in self.files and (new.rpartition("/")[0] or "/") in self.folders
        if replace and not there:
            raise Refused("FileNotFoundException", f"rename source: {old} is not found.")
        if not there or (not replace and (new in self.files or new in self.folders)):
            return False
        self.files[new] = self.files.pop(old)
        return True

    def remove(self, path: str) -> bool:
        return self.files.pop(path, None) is not None


@contextlib.contextmanager
def webhdfs_stub() -> Iterator[tuple[str, Hdfs]]:
    """Its host and port, and what it holds, while the block runs."""
    hdfs = Hdfs()

    class Handler(_Handler):
        pass

    Handler.hdfs = hdfs

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:  # the client went away
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", hdfs
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hdfs: Hdfs
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_any(self) -> None:
        url = urlsplit(self.path)
        assert url.path.startswith("/webhdfs/v1")
        path = "/" + unquote(url.path.removeprefix("/webhdfs/v1")).strip("/")
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        operation = asked["op"]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if operation in ("OPEN", "CREATE") and SENT_ON not in asked:
            return self.send_on(path, url.query, operation)
        fault = self.hdfs.fault(operation, path)
        self.hdfs.done[operation] += 1
        if fault == "away":
            return self.hang_up()
        try:
            if fault not in ("", "lost", "cut"):
                raise Refused(fault, "made up by a test")
            if fault == "cut" and operation == "CREATE":
                body = body[: len(body) // 2]
            with self.hdfs.lock:
                status, content = self.answer_to(operation, path, asked, body)
        except Refused as refused:
            kind, message = refused.args
            said = {"exception": kind, "javaClassName": f"org.apache.hadoop.{kind}", "message": message}
            status, content = CODES.get(kind, 403), json.dumps({"RemoteException": said}).encode()
        if fault == "lost" or (fault == "cut" and operation == "CREATE"):
            return self.hang_up()
        self.answer(status, {}, content, half=fault == "cut")
        return None

    do_GET = do_PUT = do_POST = do_DELETE = do_any  # noqa: N815

    def answer_to(self, operation: str, path: str, asked: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Do what is asked for: the status, and the text."""
        hdfs = self.hdfs
        if operation == "GETFILESTATUS":
            return 200, json.dumps({"FileStatus": hdfs.status(path)}).encode()
        if operation == "LISTSTATUS":
            return 200, json.dumps({"FileStatuses": {"FileStatus": hdfs.listed(path)}}).encode()
        if operation == "OPEN":
            if path not in hdfs.files:
                raise Refused("FileNotFoundException", f"Path is not a file or does not exist: {path}")
            data, start = hdfs.files[path][0], int(asked.get("offset", 0))
            return 200, data[start:][: int(asked.get("length", len(data)))]
        if operation == "CREATE":
            hdfs.create(path, body, asked.get("overwrite") == "true", asked.get("createparent", "true") == "true")
            return 201, b""
        if operation == "RENAME":
            replace = hdfs.replaces and "OVERWRITE" in asked.get("renameoptions", "").upper()
            done = hdfs.rename(path, asked["destination"], replace)
            return 200, b"" if replace else json.dumps({"boolean": done}).encode()
        if operation == "MKDIRS":
            hdfs.make_folder(path)
            return 200, b'{"boolean": true}'
        if operation == "DELETE":
            return 200, json.dumps({"boolean": hdfs.remove(path)}).encode()
        raise Refused("IllegalArgumentException", f"Invalid value for webhdfs parameter op: {operation}")

    def send_on(self, path: str, query: str, operation: str) -> None:
        """As the NameNode, which looks whether a file that is to be read is there, and names a DataNode."""
        with self.hdfs.lock:
            lacking = operation == "OPEN" and path not in self.hdfs.files
        if lacking:
            said = {"exception": "FileNotFoundException", "message": f"File does not exist: {path}"}
            return self.answer(404, {}, json.dumps({"RemoteException": said}).encode())
        host = self.headers["Host"]
        location = f"http://{host}/webhdfs/v1{quote(path)}?{query}&{SENT_ON}=stub"
        return self.answer(307, {"Location": location}, b"")

    def answer(self, status: int, headers: dict[str, str], content: bytes, half: bool = False) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if half else content)
        self.wfile.flush()
        if half:
            self.hang_up()

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
