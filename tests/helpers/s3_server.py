"""An S3 server of this machine, and the environment in which every S3 client talks to it and to nothing else."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

BUCKET = "bucket"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "NO_PROXY": "127.0.0.1",
}


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The URL of a server that runs while the block does."""
    from moto.server import ThreadedMotoServer

    serving = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    serving.start()
    host, port = serving.get_host_and_port()
    yield f"http://{host}:{port}"
    serving.stop()


def client(url: str):
    """A client of another library than the one under test."""
    import boto3

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=url, **keys)


def contents(url: str, prefix: str = "") -> dict[str, bytes]:
    """Every object of the bucket below a prefix, by the rest of its key."""
    with contextlib.closing(client(url)) as s3:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        names = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {n.removeprefix(prefix): s3.get_object(Bucket=BUCKET, Key=n)["Body"].read() for n in names}


def emptied(url: str) -> None:
    """The bucket, there and empty."""
    with contextlib.closing(client(url)) as s3:
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=BUCKET)
        for name in contents(url):
            s3.delete_object(Bucket=BUCKET, Key=name)


def upload(url: str, folder: Path, prefix: str) -> None:
    """Copy the files of a folder of this machine into the bucket."""
    with contextlib.closing(client(url)) as s3:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                s3.put_object(Bucket=BUCKET, Key=prefix + path.relative_to(folder).as_posix(), Body=path.read_bytes())


class Contacts:
    """Addresses that this process connects to while `listening`."""

    def __init__(self) -> None:
        self.listening, self.found = False, set()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple) -> None:
        if self.listening and event == "socket.connect" and isinstance(args[1], tuple):
            self.found.add(args[1][0])
