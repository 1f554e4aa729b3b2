"""A Hub that refuses, breaks off or cannot be reached: one line, or a run that is stopped and goes on.

What talks to a Hub runs in a process of its own, for huggingface_hub reads its environment when it is imported.
"""

import errno
import hashlib
import io
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_copies import NO_NETWORK, REPO, VALIDATION, sha256
from seen import seen

from snellen.engine.samples import OF_ONE_FILE

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
