"""The review log of a hard set, wherever it is kept."""

import threading

import pytest
from hard_set import client_of, images_of, verdict_on, write_hard_set

from snellen.errors import DataError, Stopped, UsageError
from snellen.files import entries
from snellen.mining.hardset import read
from snellen.mining.log import FOLDER, append, read_log
from snellen.mining.review import verdicts_of
from snellen.mining.sheet import sheet
from snellen.places import place

IMAGES = images_of(5)


def test_verdicts_are_kept(folder, tmp_path):
    hard = write_hard_set(folder / "hard", IMAGES)
    first = [verdict_on(image, seq=k) for k, image in enumerate(IMAGES)]
    assert append(hard, first) is True
    assert append(hard, first) is False
    with pytest.raises(DataError, match="other verdicts under the same numbers"):
        append(hard, [verdict_on(image, "drop", seq=k) for k, image in enumerate(IMAGES)])
    assert read_log(hard).verdicts == tuple(first)
    path = tmp_path / "a.csv"
    path.write_bytes(sheet(read(hard), "ada").replace(b"\r\n,,,", b"\r\ndrop,,,"))
    found = verdicts_of(path, read(hard), "ada")
    assert append(hard, found) is True
    assert [image.status for image in read(hard).images] == ["dropped"] * 5
    assert verdicts_of(path, read(hard), "ada") == []
    assert [file.name.partition(".")[2] for file in entries(hard / FOLDER)] == ["0-4.jsonl"] * 2


def test_of_many_writers_every_batch_is_there_once(folder):
    hard = write_hard_set(folder / "hard", IMAGES)
    told = []

    def write(client):
        for seq in range(0, 10, 5):
            batch = [verdict_on(image, client=client, seq=seq + k) for k, image in enumerate(IMAGES)]
            told.append(append(hard, batch))

    threads = [threading.Thread(target=write, args=(client,)) for client in (1, 2, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = sorted((verdict.client, verdict.seq) for verdict in read_log(hard).verdicts)
    assert names == [(client_of(client), seq) for client in (1, 2) for seq in range(10)]
    assert told.count(True) >= 4, "of two that wrote the same, both may hear that they did"


def test_a_store_that_is_not_there(s3, monkeypatch):
    monkeypatch.setattr("snellen.trouble.PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(UsageError, match="is no hard set"):
        read(place("s3://bucket/nothing"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    with pytest.raises(Stopped, match="cannot be reached"):
        read(place("s3://bucket/hard"))
