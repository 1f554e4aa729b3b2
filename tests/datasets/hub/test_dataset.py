"""Data sets of the Hub: over a stand-in on the loopback interface, from its cache on disk, from a local copy.

What talks to a Hub runs in a process of its own, for huggingface_hub reads its environment when it is imported.
"""

import errno
import hashlib
import io
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hard_rows import hard_rows, write_rows
from hub_stub import serving
from seen import seen

from snellen.datasets import open_dataset
from snellen.datasets.hub.layout import Layout, layout_of, missing_shards
from snellen.engine.samples import OF_ONE_FILE
from snellen.errors import DataError

REPO = "taesiri/imagenet-hard"
NO_NETWORK = "http://127.0.0.1:9"
COMMIT = "5" * 40


def card(*configs):
    """A README.md whose head lists these configurations."""
    return "---\nlicense: mit\nconfigs:\n" + "".join(configs) + "---\n# Words\n"


CARDS = {
    "one a split": card(
        "- config_name: default\n  data_files:\n  - split: validation\n    path: data/validation-*\n"
        "  - split: train\n    path: [data/a.parquet, 'data/sub/**']\n"
    ),
    "a pattern": card("- config_name: default\n  data_files: data/*.parquet\n"),
    "a list": card("- config_name: default\n  data_files: [data/a.parquet, ./data/validation-0*]\n"),
    "a folder": card("- config_name: default\n  data_dir: data\n"),
    "by name": card("- config_name: default\n  data_files:\n    dev: data/a.parquet\n"),
    "in a folder": card("- config_name: default\n  data_dir: data\n  data_files: a.parquet\n"),
    "two": card(
        "- config_name: big\n  data_files: data/a.parquet\n",
        "- config_name: small\n  default: true\n  data_files: data/sub/b.parquet\n",
    ),
    "other files": card("- config_name: default\n  data_files: photos.zip\n"),
    "no YAML": "---\nconfigs: [:\n---\n",
    "odd": "---\nconfigs: 7\n---\n",
    "no pattern": card("- config_name: default\n  data_files: '**.parquet'\n"),
    "one no pattern": card(
        "- config_name: big\n  data_files: data/a.parquet\n", "- config_name: small\n  data_files: data/**b/c\n"
    ),
}
VALIDATION = ["data/validation-00000-of-00002.parquet", "data/validation-00001-of-00002.parquet"]
FILES = ["README.md", "photos.zip", "data/a.parquet", "data/sub/b.parquet", *VALIDATION]
BY_NAMES = {
    "default": {"train": ["data/a.parquet"], "validation": VALIDATION},
    "sub": {"train": ["data/sub/b.parquet"]},
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("one a split", {"default": {"train": ["data/a.parquet", "data/sub/b.parquet"], "validation": VALIDATION}}),
        ("a pattern", {"default": {"train": ["data/a.parquet", *VALIDATION]}}),
        ("a list", {"default": {"train": ["data/a.parquet", *VALIDATION]}}),
        ("a folder", {"default": {"train": ["data/a.parquet", "data/sub/b.parquet"], "validation": VALIDATION}}),
        ("by name", {"default": {"dev": ["data/a.parquet"]}}),
        ("in a folder", {"default": {"train": ["data/a.parquet"]}}),
        ("two", {"big": {"train": ["data/a.parquet"]}, "small": {"train": ["data/sub/b.parquet"]}}),
        ("other files", BY_NAMES),
        ("no YAML", BY_NAMES),
        ("odd", BY_NAMES),
        ("no pattern", BY_NAMES),
        ("one no pattern", BY_NAMES),
    ],
)
def test_what_a_card_says_of_its_files(name, expected):
    layout = layout_of(reversed(FILES), CARDS[name])
    assert layout.configs == expected
    assert layout.default == ("small" if name == "two" else None)


@pytest.mark.parametrize(
    ("path", "config", "split"),
    [
        ("data/validation-00000-of-00002.parquet", "default", "validation"),
        ("data/train-00003-of-00294-4d8bd2f7a1a7c4c1.parquet", "default", "train"),
        ("test-00000-of-00001.parquet", "default", "test"),
        ("data/adversarial.r1-00000-of-00001.parquet", "default", "adversarial.r1"),
        ("fog/3-00000-of-00001.parquet", "fog", "3"),
        ("validation/0000.parquet", "default", "validation"),
        ("default/val/0001.parquet", "default", "validation"),
        ("fog/severity_3/0001.parquet", "fog", "severity_3"),
        ("en/partial-train/0000.parquet", "en", "partial-train"),
        ("val.parquet", "default", "validation"),
        ("imagenet_1k-Dev.parquet", "default", "validation"),
        ("images/test/part-a.parquet", "images", "test"),
        ("trainer.parquet", "default", "train"),
        ("photos.parquet", "default", "train"),
        ("0000.parquet", "default", "train"),
    ],
)
def test_the_usual_names_tell_configuration_and_split(path, config, split):
    assert layout_of([path, "README.md"]).configs == {config: {split: [path]}}


def layout(**configs):
    return Layout({name: {split: ["x.parquet"] for split in splits.split()} for name, splits in configs.items()})


@pytest.mark.parametrize(
    ("there", "split", "config", "expected"),
    [
        (layout(default="train"), None, None, ("default", "train")),
        (layout(default="train validation test"), None, None, ("default", "validation")),
        (layout(default="train test"), None, None, ("default", "test")),
        (layout(default="train test"), "train", None, ("default", "train")),
        (layout(default="train validation"), "val", None, ("default", "validation")),
        (layout(default="val test"), "val", None, ("default", "val")),
        (layout(only="odd"), None, None, ("only", "odd")),
        (layout(default="train", other="test"), None, "other", ("other", "test")),
        (layout(default="train", other="test"), None, None, ("default", "train")),
        (layout(a="a b"), None, None, "o/n has several splits: give hub/o/n:SPLIT with one of a, b"),
        (layout(a="a b"), "c", None, "o/n has no split 'c': give hub/o/n:SPLIT with one of a, b"),
        (layout(a="x", b="x"), None, None, "o/n has several configurations: give config= one of a, b"),
        (layout(a="x"), None, "b", "o/n has no configuration 'b': give config= one of a"),
    ],
)
def test_which_split_is_meant(there, split, config, expected):
    if isinstance(expected, tuple):
        assert there.choose("o/n", split, config) == expected
    else:
        with pytest.raises(DataError) as raised:
            there.choose("o/n", split, config)
        assert str(raised.value) == expected


def test_the_cards_default_is_chosen():
    assert layout_of(FILES, CARDS["two"]).choose("o/n", None, None) == ("small", "train")


def test_shards_that_are_missing():
    assert missing_shards(["a.parquet", *VALIDATION]) == []
    assert missing_shards(VALIDATION[1:]) == ["data/validation (1 of 2 files)"]


@pytest.fixture(scope="module")
def rows(examples_dir):
    return hard_rows(examples_dir)


@pytest.fixture(scope="module")
def files(rows, tmp_path_factory):
    """The repository: two files of validation, whose row groups hold three rows."""
    folder = tmp_path_factory.mktemp("made")
    half = -(-len(rows) // 2)
    answer = {"README.md": CARDS["one a split"].encode()}
    for k, path in enumerate(VALIDATION):
        write_rows(rows[k * half : (k + 1) * half], folder / str(k), 3)
        answer[path] = (folder / str(k)).read_bytes()
    return answer


@pytest.fixture(scope="module")
def truth(rows):
    """What any way of opening the repository must show."""
    half = -(-len(rows) // 2)
    return {
        "ids": [f"validation-{k // half:05d}-of-00002:{k % half}" for k in range(len(rows))],
        "labels": [sorted(row.labels) for row in rows],
        "origins": [row.origin for row in rows],
    }


def sha256(rows):
    return [hashlib.sha256(row.data).hexdigest() for row in rows]


def put(folder, files):
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def put_cache(home, files, commit=COMMIT):
    """Lay files out as the Hub's client does in its cache: blobs, and links to them by commit."""
    root = home / "hub" / f"datasets--{REPO.replace('/', '--')}"
    for path, data in files.items():
        blob = root / "blobs" / hashlib.sha256(data).hexdigest()
        link = root / "snapshots" / commit / path
        put(blob.parent, {blob.name: data})
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    put(root / "refs", {"main": commit.encode()})
    return {"HF_HOME": str(home)}


@pytest.fixture
def hub(tmp_path):
    """The stand-in, and the environment in which a process finds it and an empty cache."""
    with serving() as hub:
        hub.environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
        yield hub


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


def test_from_the_hub(hub, files, truth, rows):
    commit = hub.add(REPO, files)
    last = len(rows) - 1
    opened = seen(f"hub/{REPO}", 0, 4, **hub.environment)
    assert {key: opened[key] for key in truth} == truth
    assert opened["spec"] == f"hub/{REPO}:validation,revision={commit}"
    assert (opened["revision"], opened["name"]) == (commit, "taesiri-imagenet-hard-validation")
    assert opened["images"] == [sha256(rows)[0], sha256(rows)[4]]
    assert opened["reachable"]
    whole = [r.path for r in hub.requests if r.method == "GET" and r.stop is None and r.path != "README.md"]
    assert whole == VALIDATION[:1]  # the second file is not needed yet
    by_range = [request.sent for request in hub.requests if request.stop is not None]
    assert len(by_range) <= 2 + 6  # two footers, and the small columns of six row groups
    assert max(by_range) < 80_000
    assert sum(by_range) < 0.3 * sum(map(len, files.values()))  # these row groups are small; a usual one has 100 rows
    assert opened["breaks"] == [3, 6, 8, 11, 14]

    asked = len(hub.asked)
    again = seen(opened["spec"], 0, last, **hub.environment)  # as a worker does
    assert again | {"images": []} == opened | {"images": []}
    assert again["images"] == [sha256(rows)[0], sha256(rows)[last]]
    assert [line for line in hub.asked[asked:] if "datasets/" in line and VALIDATION[1] not in line] == []

    offline = {**hub.environment, "HF_ENDPOINT": NO_NETWORK}
    for environment in (offline, offline | {"HF_HUB_OFFLINE": "1"}):
        for spec in (opened["spec"], f"hub/{REPO}"):
            assert seen(spec, last, **environment) == opened | {"images": [sha256(rows)[last]]}


def test_the_same_fingerprint_from_the_hub_its_cache_and_a_copy(hub, files, truth, tmp_path):
    hub.add(REPO, files)
    ways = {
        "hub": seen(f"hub/{REPO}", **hub.environment),
        "cache": seen(f"hub/{REPO}", HF_ENDPOINT=NO_NETWORK, **put_cache(tmp_path / "cache", files)),
        "copy": seen(f"hub/{REPO}@{put(tmp_path / 'copy', files)}"),
    }
    for way in ways.values():
        assert {key: way[key] for key in truth} == truth
    assert len({way["fingerprint"] for way in ways.values()}) == 1


@pytest.mark.parametrize("offline", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": NO_NETWORK}])
def test_from_the_cache_that_another_program_filled(files, truth, rows, tmp_path, offline):
    environment = put_cache(tmp_path, files) | offline
    found = seen(f"hub/{REPO}", *range(len(rows)), **environment)
    assert {key: found[key] for key in truth} == truth
    assert found["images"] == sha256(rows)
    assert found["revision"] == COMMIT


def test_a_cache_with_a_part_of_the_files(files, tmp_path):
    environment = put_cache(tmp_path, {path: files[path] for path in ("README.md", VALIDATION[0])})
    found = seen(f"hub/{REPO}", HF_HUB_OFFLINE="1", **environment)
    assert found["error"].startswith(f"only a part of {REPO} is here: data/validation (1 of 2 files)")
    assert found["exit_code"] == 2


def test_a_later_commit_is_another_data_set_and_the_old_one_stays(hub, files, rows):
    first = hub.add(REPO, files)
    before = seen(f"hub/{REPO}", **hub.environment)
    second = hub.add(
        REPO,
        {path: data for path, data in files.items() if path == "README.md"}
        | {"data/validation-00000-of-00001.parquet": files[VALIDATION[0]]},
    )
    after = seen(f"hub/{REPO}", **hub.environment)
    assert (before["revision"], after["revision"]) == (first, second)
    assert before["fingerprint"] != after["fingerprint"]
    assert seen(before["spec"], **hub.environment) == before
    assert seen(f"hub/{REPO},revision={first}", **hub.environment) == before


def test_a_branch_and_a_configuration(hub, files):
    hub.add(REPO, {"README.md": b"# Words"})
    commit = hub.add(REPO, {"fog/3-00000-of-00001.parquet": files[VALIDATION[0]]}, "v2")
    found = seen(f"hub/{REPO}:3,config=fog,revision=v2", **hub.environment)
    assert found["spec"] == f"hub/{REPO}:3,config=fog,revision={commit}"
    assert found["name"] == "taesiri-imagenet-hard-fog-3"


def test_what_the_hub_converted(hub, files, truth):
    hub.add(REPO, {"README.md": b"# Words", "photos.zip": b"x"})
    parts = {f"default/validation/{k:04d}.parquet": files[path] for k, path in enumerate(VALIDATION)}
    commit = hub.add(REPO, parts, "refs/convert/parquet")
    found = seen(f"hub/{REPO}", 0, **hub.environment)
    assert (found["revision"], found["labels"]) == (commit, truth["labels"])
    assert seen(found["spec"], 0, HF_HOME=hub.environment["HF_HOME"], HF_HUB_OFFLINE="1") == found


ONE_LINE = {
    "gated": (
        f"hub/{REPO}",
        ["taesiri/imagenet-hard is gated: accept its terms at {endpoint}/datasets/taesiri/imagenet-hard, log in with"],
    ),
    "missing": ("hub/no/such", ["no data set 'no/such' that you may see", "`hf auth login`", "--root"]),
    "no revision": (f"hub/{REPO},revision=v9", ["has no such revision: give revision="]),
    "no split": (
        f"hub/{REPO}:test",
        ["has no split 'test': give hub/taesiri/imagenet-hard:SPLIT with one of validation"],
    ),
    "no Parquet": ("hub/only/words", ["no Parquet files in only/words, and the Hub made none of it"]),
    "damaged": ("hub/da/maged", ["'da/maged/a.parquet' cannot be read as a Parquet file: "]),
    "no network": (f"hub/{REPO}", ["cannot get taesiri/imagenet-hard from the Hub (", "check the network", "--root"]),
    "offline": (f"hub/{REPO}", ["cannot get taesiri/imagenet-hard from the Hub (", "HF_HUB_OFFLINE"]),
}


@pytest.mark.parametrize("what", ONE_LINE)
def test_what_is_wrong_costs_one_line(hub, files, what):
    hub.add(REPO, files)
    hub.add("only/words", {"README.md": b"x"})
    hub.add("da/maged", {"a.parquet": files[VALIDATION[0]][:-50]})
    if what == "gated":
        hub.gated.add(REPO)
    environment = hub.environment | {
        "no network": {"HF_ENDPOINT": NO_NETWORK},
        "offline": {"HF_HUB_OFFLINE": "1"},
    }.get(what, {})
    spec, parts = ONE_LINE[what]
    found = seen(spec, **environment)
    assert found.keys() == {"error", "exit_code"}, found
    assert found["exit_code"] == 2
    assert "\n" not in found["error"]
    for part in parts:
        assert part.format(endpoint=hub.endpoint) in found["error"]


def test_gated_files_are_named_even_where_the_card_is_open(hub, files):
    hub.add(REPO, {path: data for path, data in files.items() if path != "README.md"})
    hub.gated.add(REPO)
    assert f"{REPO} is gated" in seen(f"hub/{REPO}", **hub.environment)["error"]


def test_a_download_that_breaks_goes_on_where_it_stopped(hub):
    noise = [random.Random(k).randbytes(12_000_000) for k in range(2)]
    out = io.BytesIO()
    pq.write_table(pa.table({"image": pa.array(noise), "label": [1, 2]}), out, row_group_size=1, compression="none")
    hub.add("big/photos", {"data/test.parquet": out.getvalue()})
    hub.breaking["data/test.parquet"] = 15_000_000
    found = seen("hub/big/photos", 0, 1, **hub.environment)
    assert found["images"] == [hashlib.sha256(data).hexdigest() for data in noise]
    first, second = [r for r in hub.requests if r.method == "GET" and r.stop is None]
    assert (first.start, first.sent) == (None, 15_000_000)
    assert 0 < second.start <= 15_000_000
    assert second.sent == len(out.getvalue()) - second.start


def test_a_network_that_is_lost_stops_the_run_which_resumes(hub, files, rows):
    hub.add(REPO, files)
    hub.down.add(VALIDATION[1])
    last = len(rows) - 1
    lost = seen(f"hub/{REPO}", 0, last, **hub.environment)
    assert lost["images"] == sha256(rows)[:1]
    assert lost["errno"] == errno.EIO
    assert lost["errno"] not in OF_ONE_FILE
    assert lost["why"].startswith(f"cannot get {REPO} from the Hub (")
    hub.down.clear()
    assert seen(lost["spec"], 0, last, **hub.environment)["images"] == [sha256(rows)[0], sha256(rows)[last]]


def test_a_node_of_a_cluster_copies_no_file(hub, files, truth, rows):
    """It reads ranges of the row groups whose images it wants, and keeps none of them."""
    hub.add(REPO, files)
    wanted = [1, 2, len(rows) - 1]
    opened = seen(f"hub/{REPO}", *wanted, stream=True, **hub.environment)
    assert {key: opened[key] for key in truth} == truth
    assert opened["images"] == [sha256(rows)[k] for k in wanted]
    assert [r.path for r in hub.requests if r.method == "GET" and r.stop is None and r.path != "README.md"] == []
    # What is here already is used.
    seen(opened["spec"], *range(len(rows)), **hub.environment)
    asked = len(hub.requests)
    assert seen(opened["spec"], *wanted, stream=True, **hub.environment)["images"] == opened["images"]
    assert len(hub.requests) == asked


def test_a_node_that_is_refused_blames_no_image(hub, files, rows):
    hub.add(REPO, files)
    seen(f"hub/{REPO}", **hub.environment)  # footers and small columns are known by now
    hub.gated.add(REPO)
    lost = seen(f"hub/{REPO}", 0, stream=True, **hub.environment)
    assert lost["images"] == []
    assert lost["errno"] == errno.EIO
    assert lost["errno"] not in OF_ONE_FILE
    assert lost["why"].startswith(f"cannot get {REPO} from the Hub (")
    hub.gated.clear()
    found = seen(lost["spec"], len(rows) - 1, stream=True, **hub.environment)
    assert found["images"] == [sha256(rows)[-1]]


def test_paths_instead_of_images_need_a_local_copy(hub, tmp_path):
    out = io.BytesIO()
    pq.write_table(pa.table({"image": ["a.jpg"], "label": [1]}), out)
    files = {"test.parquet": out.getvalue()}
    hub.add("o/paths", files)
    assert "column 'image' holds paths; give a local copy" in seen("hub/o/paths", **hub.environment)["error"]
    dataset = open_dataset("hub/o/paths", root=put(tmp_path / "copy", files | {"a.jpg": b"photo"}))
    assert dataset.read(0) == b"photo"
