"""SFTP servers of this machine: asyncssh's, and OpenSSH's where it is installed. Both write into real folders."""

import asyncio
import contextlib
import getpass
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import psutil

CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {keys}/host
AuthorizedKeysFile {keys}/user.pub
PidFile none
UsePAM no
StrictModes no
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Server:
    """url: of the root folder; key: the file of the key that a client shows; sever: breaks all connections off."""

    url: str
    key: Path
    sever: Callable[[], None]


def _keys(folder: Path) -> None:
    for name in ("host", "user"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(folder / name)
        key.write_public_key(folder / f"{name}.pub")
        (folder / name).chmod(0o600)


@contextlib.contextmanager
def asyncssh_server(keys: Path) -> Iterator[Server]:
    """A server that runs in this process while the block does."""
    _keys(keys)
    loop, connections = asyncio.new_event_loop(), set()

    class Noted(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            connections.add(conn)

    def sever() -> None:
        while connections:
            loop.call_soon_threadsafe(connections.pop().abort)

    async def listening() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Noted,
            server_host_keys=[keys / "host"],
            authorized_client_keys=str(keys / "user.pub"),
            sftp_factory=True,
        )

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    acceptor = asyncio.run_coroutine_threadsafe(listening(), loop).result(30)
    try:
        yield Server(f"sftp://{getpass.getuser()}@127.0.0.1:{acceptor.get_port()}", keys / "user", sever)
    finally:
        loop.call_soon_threadsafe(acceptor.close)
        sever()
        asyncio.run_coroutine_threadsafe(_ended(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _ended() -> None:
    """Let everything else that the loop does come to its end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def openssh() -> str | None:
    """The server's program; it has to be called by its whole path."""
    return shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")


@contextlib.contextmanager
def openssh_server(keys: Path, port: int) -> Iterator[Server]:
    """OpenSSH's server while the block runs; ConnectionError where it does not start."""
    _keys(keys)
    (keys / "configuration").write_text(CONFIGURATION.format(port=port, keys=keys))
    command = [openssh(), "-D", "-e", "-f", keys / "configuration"]
    with (keys / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            end = time.monotonic() + 30
            while "Server listening" not in (keys / "log").read_text():
                if process.poll() is not None or time.monotonic() > end:
                    raise ConnectionError((keys / "log").read_text())
                time.sleep(0.02)

            def sever() -> None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()

            yield Server(f"sftp://{getpass.getuser()}@127.0.0.1:{port}", keys / "user", sever)
        finally:
            process.terminate()
