"""OUT on an S3 server that fails, stalls, loses its answers or goes away: the study goes on, or ends with 3."""

import contextlib
import os
import random
import time

import pytest
from disturbed import goes_on, kill_group, lost_rows, run, start, wait_for
from faulty_proxy import faulty_proxy

boto3 = pytest.importorskip("boto3")
moto_server = pytest.importorskip("moto.server")
pytest.importorskip("s3fs")

BUCKET = "bucket"
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1,localhost",
}


@pytest.fixture(scope="module")
def server():
    """The URL of an S3 server."""
    serving = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    serving.start()
    host, port = serving.get_host_and_port()
    yield f"http://{host}:{port}"
    serving.stop()


@pytest.fixture
def client(server):
    """A client that talks to the server itself, with an empty bucket there."""
    made = boto3.client(
        "s3", endpoint_url=server, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
    )
    with contextlib.suppress(made.exceptions.ClientError):
        empty(made)
        made.delete_bucket(Bucket=BUCKET)
    made.create_bucket(Bucket=BUCKET)
    yield made
    made.close()


def keys(client) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def empty(client):
    for key in keys(client):
        client.delete_object(Bucket=BUCKET, Key=key)


def commits_of(client) -> list[str]:
    return [key for key in keys(client) if "/commits/" in key and key.endswith(".json")]


def fetched(client, folder):
    """The bucket's OUT as a folder here, byte for byte."""
    for key in keys(client):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    return folder / "out"


@pytest.mark.slow
@pytest.mark.parametrize(
    "rates",
    [{"busy": 0.1, "broken": 0.05}, {"lost": 0.05}, {"cut": 0.05}, {"slow": 0.1}],
    ids=lambda rates: " and ".join(rates),
)
def test_a_server_that_fails_now_and_then(rates, server, client, pictures, tiny, undisturbed, tmp_path, tally):
    with faulty_proxy(server, rates) as proxy:
        with tally.fault(f"S3: {', '.join(rates)} answers", times=0) as case:
            done = run(pictures, tiny, f"s3://{BUCKET}/out", env=KEYS | {"AWS_ENDPOINT_URL": proxy.url})
            case.times = sum(count for fault, count in proxy.done.items() if fault)
            assert done.returncode == 0, done.stderr
            case.lost = lost_rows(fetched(client, tmp_path), undisturbed.rows)
        assert case.times >= 5, proxy.done


@pytest.mark.slow
def test_a_server_that_goes_away_and_comes_back(server, client, pictures, tiny, undisturbed, tmp_path, tally):
    """Away for longer than anyone waits: exit 3; the same command goes on when it is back."""
    with faulty_proxy(server, {}) as proxy, tally.fault("S3: server away for minutes") as case:
        environment = KEYS | {"AWS_ENDPOINT_URL": proxy.url}
        process = start(pictures, tiny, f"s3://{BUCKET}/out", "-q", env=os.environ | environment)
        wait_for(lambda: len(commits_of(client)) >= 3)
        proxy.down = True
        _, errors = process.communicate(timeout=400)
        assert process.returncode == 3, errors
        assert "to resume" in errors
        before = commits_of(client)
        proxy.down = False
        done = run(pictures, tiny, f"s3://{BUCKET}/out", env=environment)
        assert done.returncode == 0, done.stderr
        assert set(before) <= set(commits_of(client))
        case.lost = lost_rows(fetched(client, tmp_path), undisturbed.rows)


@pytest.mark.slow
def test_killed_at_random_moments(server, client, pictures, tiny, undisturbed, tmp_path, tally):
    rng = random.Random(5)
    environment = KEYS | {"AWS_ENDPOINT_URL": server}
    for _ in range(5):
        process = start(pictures, tiny, f"s3://{BUCKET}/out", "-q", env=os.environ | environment)
        if not goes_on(process, rng.uniform(1, 2 * undisturbed.seconds)):
            process.communicate()
            break
        before = {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in commits_of(client)}
        with tally.fault("kill -9 of the whole process group, OUT on S3"):
            kill_group(process)
            now = {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in commits_of(client)}
            assert {key: now.get(key) for key in before} == before
    with tally.fault("the same command after kills") as case:
        # The lock of a command that was killed may have to run out first.
        limit = time.monotonic() + 300
        while (
            done := run(pictures, tiny, f"s3://{BUCKET}/out", env=environment)
        ).returncode == 2 and time.monotonic() < limit:
            assert "another" in done.stderr, done.stderr
            time.sleep(2)
        assert done.returncode == 0, done.stderr
        case.lost = lost_rows(fetched(client, tmp_path), undisturbed.rows)
