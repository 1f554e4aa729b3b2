"""Runs in an object store: the page reads the same of them as of their copy on a disk."""

from photo_runs import paint, photo_run
from s3_server import BUCKET, upload

from snellen.web.build import Builder
from snellen.web.site import open_target

URLS = ("data/s0/images.json", "data/s0/m0.json", "data/s0/m0/answers/0.bin")


def test_runs_in_a_store(tmp_path, s3):
    pictures = paint(tmp_path / "pictures", [f"kind-{k % 3}/{k:02d}.jpg" for k in range(6)])
    photo_run(tmp_path / "out" / "p" / "m" / "g", pictures)
    upload(s3, tmp_path / "out", "study/out/")
    found = []
    for k, place in enumerate((str(tmp_path / "out"), f"s3://{BUCKET}/study/out")):
        builder = Builder(open_target(place), tmp_path / f"cache-{k}")
        builder.finish()
        found.append([builder.path(url).read_bytes() for url in URLS])
        builder.close()
    assert found[0] == found[1]
    assert b"kind-0/00.jpg" in found[0][0]
