"""Data sets of the Hub from a local copy."""

import pytest
from hub_copies import REPO, VALIDATION, put

from snellen.datasets import open_dataset
from snellen.errors import DataError


@pytest.mark.parametrize("split", ["", ":validation", ":val"])
def test_a_local_copy(files, truth, rows, tmp_path, split):
    dataset = open_dataset(f"hub/{REPO}{split}", root=put(tmp_path, files))
    ids = [item.id for item in dataset.items]
    assert ids == truth["ids"]
    assert [dataset.origin(k) for k in range(len(ids))] == truth["origins"]
    assert [dataset.read(k) for k in range(len(ids))] == [row.data for row in rows]
    assert dataset.spec == f"hub/{REPO}:validation@{tmp_path}"
    assert dataset.name == "taesiri-imagenet-hard-validation"
    assert open_dataset(dataset.spec).fingerprint == dataset.fingerprint


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (f"hub/{REPO}:test", "taesiri/imagenet-hard has no split 'test': .* one of validation"),
        (f"hub/{REPO},config=4k", "no configuration '4k': give config= one of default"),
        (f"hub/{REPO},revision=main", "revision=main and a local copy"),
        (f"hub/{REPO},label=cls", "no column 'cls': its columns are image, label, origin, english_label"),
        (f"hub/{REPO},split=val", r"hub/ORG/NAME\[:SPLIT\] has no option 'split=val': expected .*config=…, revision=…"),
        ("hub/imagenet-hard", "no data set 'hub/imagenet-hard': expected hub/ORG/NAME"),
        ("hub/../../etc", "no data set 'hub/../../etc'"),
        ("hub/a/b/c", "no data set 'hub/a/b/c'"),
    ],
)
def test_a_wrong_call(files, tmp_path, spec, message):
    with pytest.raises(DataError, match=message) as raised:
        open_dataset(spec, root=put(tmp_path, files))
    assert "\n" not in str(raised.value)


def test_a_local_copy_that_lacks_files(files, tmp_path):
    with pytest.raises(DataError, match="no Parquet files in"):
        open_dataset(f"hub/{REPO}", root=tmp_path)
    put(tmp_path, {path: data for path, data in files.items() if path != VALIDATION[0]})
    with pytest.raises(DataError, match=r"only a part .* data/validation \(1 of 2 files\); fetch the others"):
        open_dataset(f"hub/{REPO}", root=tmp_path)


def test_a_local_copy_in_a_folder_whose_spec_would_not_open_it(files, truth, tmp_path):
    root = put(tmp_path / "a,b=c", files)
    with pytest.raises(DataError, match=r"a,b=c': a path may not hold ,WORD= here, .*; link to it$"):
        open_dataset(f"hub/{REPO}", root)
    (tmp_path / "link").symlink_to(root)
    again = open_dataset(open_dataset(f"hub/{REPO}", tmp_path / "link").spec)
    assert [item.id for item in again.items] == truth["ids"]
