"""Images enlarged for the high-resolution twin: sizes, pixels, networks from files, ids and labels, kills, memory."""

import hashlib
import io
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from enlarging import noise, repeated
from hard_pictures import hard_pictures, publish_options
from PIL import Image

from snellen.datasets import open_dataset
from snellen.errors import DataError, ModelError, UsageError
from snellen.labels import IMAGENET_1K
from snellen.mining.publish import publish as publishing
from snellen.mining.publish import upscale
from snellen.mining.publish.publish import publish
from snellen.mining.publish.upscale import Network, bands, encode, enlarge, target_size
from snellen.store.schema import PREDICTIONS, SAMPLES
from snellen.store.writer import commit
from snellen.zoom.grid import Grid, ViewRule


@pytest.mark.parametrize(
    ("size", "wide", "expected"),
    [
        ((500, 375), 3840, (3840, 2880)),
        ((375, 500), 3840, (3840, 5120)),
        ((500, 333), 3840, (3840, 2557)),
        ((3840, 2160), 3840, (3840, 2160)),
        ((5000, 10), 3840, (5000, 10)),
        ((100, 1000), 3840, (768, 7680)),
        ((1, 100_000), 3840, (1, 100_000)),
        ((10_000, 1), 3840, (10_000, 1)),
    ],
)
def test_the_size(size, wide, expected):
    assert target_size(*size, wide) == expected


@pytest.mark.parametrize("size", [(50, 40), (37, 61), (150, 20)])
def test_without_a_network_it_is_pillows_lanczos(size):
    image = Image.fromarray(noise(*size))
    wanted = target_size(*size, 140)
    assert np.array_equal(enlarge(image, 140, None), image.resize(wanted, Image.Resampling.LANCZOS))


@pytest.mark.parametrize("size", [(50, 40), (37, 61), (20, 90), (139, 7)])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_what_is_too_large_is_reduced_as_pillow_reduces_the_whole(size, scale, monkeypatch):
    monkeypatch.setattr(upscale, "STRIP", 17)
    monkeypatch.setattr(bands, "__defaults__", (16, 3, 2))
    image, wide = Image.fromarray(noise(*size)), 140
    wanted = target_size(*size, wide)
    whole = np.asarray(image).repeat(scale, axis=0).repeat(scale, axis=1)
    while 1.5 * whole.shape[1] <= wanted[0]:
        whole = whole.repeat(scale, axis=0).repeat(scale, axis=1)
    lanczos = Image.Resampling.LANCZOS
    expected = Image.fromarray(whole).resize((wanted[0], len(whole)), lanczos).resize(wanted, lanczos)
    assert np.array_equal(enlarge(image, wide, repeated(scale)), expected)


def test_the_last_pixels_are_no_work_for_the_network(monkeypatch):
    """959 pixels by 4 are 3,836: Lanczos makes the last four columns."""
    shown = []

    def counted(pixels):
        shown.append(pixels.shape)
        return pixels.repeat(4, axis=0).repeat(4, axis=1)

    assert enlarge(Image.fromarray(noise(959, 8)), 3840, Network("nearest", "0" * 64, 4, 1, counted)).size[0] == 3840
    assert len(shown) == 7, "tiles of 144 columns, once"


def test_as_wide_as_it_is_to_be():
    image = Image.fromarray(noise(60, 30))
    assert enlarge(image, 60, repeated(2)) is image
    assert np.array_equal(enlarge(image, 120, repeated(2)), np.asarray(image).repeat(2, 0).repeat(2, 1))


def test_a_network_that_makes_another_size_is_refused():
    half = Network("half", "0" * 64, 2, 1, lambda pixels: pixels)
    with pytest.raises(DataError, match=r"half makes .* it does not enlarge 2 times"):
        enlarge(Image.fromarray(noise(10, 10)), 20, half)


def test_what_is_written_is_a_jpeg_with_all_of_its_colours():
    image = Image.fromarray(noise(40, 30))
    with Image.open(io.BytesIO(encode(image))) as written:
        assert (written.format, written.size) == ("JPEG", (40, 30))
        assert {component[1:3] for component in written.layer} == {(1, 1)}
        assert np.abs(np.asarray(written).astype(int) - np.asarray(image)).mean() < 4


def test_the_network_is_spandrels_own(compact):
    spandrel, torch = pytest.importorskip("spandrel"), pytest.importorskip("torch")
    from snellen.mining.publish.upscale_network import load_network

    path, pixels = compact(1, 2), noise(12, 9)
    network = load_network(path, "cpu")
    assert (network.scale, network.name) == (2, "RealESRGAN Compact (compact.safetensors)")
    with torch.inference_mode():
        model = spandrel.ModelLoader().load_from_file(path)
        made = model(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)[0].permute(1, 2, 0).numpy()
    assert np.abs(network.enlarge(pixels) - 255 * made).max() <= 0.51


def test_files_that_are_no_network(compact, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from snellen.mining.publish.upscale_network import load_network

    with pytest.raises(ModelError, match="no file"):
        load_network(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("not weights")
    with pytest.raises(ModelError, match="is not a safetensors file"):
        load_network(tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="of no architecture that spandrel knows"):
        load_network(tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="makes 1 channels of 1; give one for RGB"):
        load_network(compact(1, 4, channels=1))
    with pytest.raises(ModelError, match="does not enlarge images"):
        load_network(compact(1, 1))
    with pytest.raises(ModelError, match="--device nonsense cannot be used"):
        load_network(compact(1), "nonsense")


class Evil:
    def __reduce__(self):
        return (exec, ("import pathlib; pathlib.Path('pwned').touch()",))


def test_a_pickle_is_refused_and_not_run(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    pytest.importorskip("spandrel")
    from snellen.mining.publish.upscale_network import load_network

    monkeypatch.chdir(tmp_path)
    torch.save({"params": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="is refused"):
        load_network(tmp_path / "evil.pth")
    assert not (tmp_path / "pwned").exists()


def test_weights_as_real_esrgan_keeps_them(compact, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    from snellen.mining.publish.upscale_network import load_network

    torch.save({"params_ema": load_file(compact(2))}, tmp_path / "x4.pth")
    pixels = noise(8, 8)
    assert np.array_equal(load_network(tmp_path / "x4.pth").enlarge(pixels), load_network(compact(2)).enlarge(pixels))


def test_values_that_are_no_numbers(compact, tmp_path):
    pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    from snellen.mining.publish.upscale_network import load_network

    weights = load_file(compact(2))
    weights["body.0.bias"][0] = float("nan")
    save_file(weights, tmp_path / "nan.safetensors")
    with pytest.raises(ModelError, match="values that are no numbers"):
        load_network(tmp_path / "nan.safetensors").enlarge(noise(8, 8))


def test_the_twin_has_the_ids_and_labels_of_the_original(pictures, tmp_path):
    hard_pictures(tmp_path / "hard", pictures)
    publish(tmp_path / "hard", tmp_path / "out", publish_options(pictures))
    found = publish(tmp_path / "hard", tmp_path / "twin", publish_options(pictures, wide=100), repeated(2))
    first, twin = (open_dataset(f"parquet/{tmp_path / name}") for name in ("out", "twin"))
    ids = [item.id for item in first.items]
    assert [item.id for item in twin.items] == ids
    assert twin.label_sets(ids, IMAGENET_1K) == first.label_sets(ids, IMAGENET_1K)
    for k in range(len(ids)):
        with Image.open(io.BytesIO(first.read(k))) as before, Image.open(io.BytesIO(twin.read(k))) as after:
            assert after.size == target_size(*before.size, 100)
            assert np.array_equal(
                after, Image.open(io.BytesIO(encode(enlarge(before.convert("RGB"), 100, repeated(2)))))
            )
    assert found.record["upscaled"] == {"width": 100, "by": "nearest"}
    assert "enlarged to a width of 100 pixels by nearest" in (tmp_path / "twin" / "README.md").read_text()
    with pytest.raises(UsageError, match="holds another version"):
        publish(tmp_path / "hard", tmp_path / "twin", publish_options(pictures, wide=100))


def test_the_twin_is_scored_by_runs_on_the_twin(pictures, tmp_path):
    hard_pictures(tmp_path / "hard", pictures)
    publish(tmp_path / "hard", tmp_path / "out", publish_options(pictures))
    publish(tmp_path / "hard", tmp_path / "twin", publish_options(pictures, wide=100))
    runs = {}
    for name in ("out", "twin"):
        runs[name] = _run_of(open_dataset(f"parquet/{tmp_path / name}"), tmp_path / "runs" / name)
    options = publish_options(pictures, wide=100, runs=[runs["twin"]])
    found = publish(tmp_path / "hard", tmp_path / "twin", options)
    assert (found.written, found.record["accuracy"][0]["n"]) == ("card", 24)
    assert found.record["accuracy"][0]["hits"] == 10, "class 0 and class 1"
    with pytest.raises(UsageError, match="was shown none of these images"):
        publish(tmp_path / "hard", tmp_path / "twin", publish_options(pictures, wide=100, runs=[runs["out"]]))
    with pytest.raises(UsageError, match="no run has seen the enlarged images"):
        publish(tmp_path / "hard", tmp_path / "new", options)


def _run_of(dataset, path):
    """A run of one view of each image, whose answers are 0 and 1 in turn of five images each, then 999."""
    samples, rows = [], []
    for k, item in enumerate(dataset.items):
        sha256 = hashlib.sha256(dataset.read(k)).hexdigest()
        samples.append({"image": k, "image_id": item.id, "origin": dataset.origin(k), "sha256": sha256})
        best = k // 5 if k < 10 else 999
        rows.append({"image": k, "zoom": 0, "id0": best, "raw_id0": best, "p0": 1.0, "raw_p0": 1.0})
        rows[-1] |= {f"id{j}": -1 for j in range(1, 5)}
    (path / "parts").mkdir(parents=True)
    (path / "commits").mkdir()
    tables = {"samples": pa.Table.from_pylist(samples, SAMPLES), "predictions": pa.Table.from_pylist(rows, PREDICTIONS)}
    count, whole = len(dataset.items), hashlib.sha256(path.name.encode()).hexdigest()
    work = {"start": 0, "stop": count, "images": count, "started": 0.0, "seconds": 1.0, "fingerprint": whole}
    commit(path, 0, tables, work)
    record = {
        "format": 1,
        "fingerprint": whole,
        "fingerprint_parts": {},
        "batch_size": 4,
        "sessions": [],
        "data": {"spec": dataset.spec, "name": dataset.name, "images": count},
        "model": {"spec": "made/up", "precision": "fp32", "card": {"space": IMAGENET_1K.name, "keys": []}},
        "grid": Grid("own", (ViewRule(224, row=1, col=1),)).to_json(),
        "shards": [0, count],
    }
    (path / "run.json").write_text(json.dumps(record))
    return path


def test_an_image_is_enlarged_once_however_often_the_command_is_killed(pictures, tmp_path, monkeypatch):
    hard_pictures(tmp_path / "hard", pictures)
    options, made = publish_options(pictures, wide=80), []
    real = enlarge

    def counted(image, wide, network):
        if len(made) in (5, 11):
            made.append(None)
            raise KeyboardInterrupt
        made.append(image.tobytes())
        return real(image, wide, network)

    monkeypatch.setattr(publishing, "enlarge", counted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            publish(tmp_path / "hard", tmp_path / "out", options)
        assert not (tmp_path / "out").exists()
    assert publish(tmp_path / "hard", tmp_path / "out", options).written == "all"
    done = [one for one in made if one is not None]
    assert len(done) == len(set(done)) == 24
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hard", "out"]
    # What was enlarged to another width, or in other tiles, is of no use.
    for name, wide, recipe in (("other", 90, publishing.RECIPE), ("tiles", 80, (*publishing.RECIPE[:-1], 94))):
        made[:] = []
        with pytest.raises(KeyboardInterrupt):
            publish(tmp_path / "hard", tmp_path / name, options)
        made[:] = [None] * 12
        with monkeypatch.context() as patch:
            patch.setattr(publishing, "RECIPE", recipe)
            publish(tmp_path / "hard", tmp_path / name, publish_options(pictures, wide=wide))
        assert len([one for one in made if one is not None]) == 24


PEAK = """
import re, sys
from pathlib import Path
import numpy as np
from PIL import Image
from snellen.mining.publish.upscale import enlarge
from snellen.mining.publish.upscale_network import load_network

image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (512, 1024, 3), np.uint8))
assert enlarge(image, 3840, load_network(Path(sys.argv[1]), "cpu")).size == (3840, 1920)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
def test_enlarging_to_3840_pixels_takes_no_2_gb(tmp_path):
    compact_module = pytest.importorskip("spandrel.architectures.Compact")
    from safetensors.torch import save_file

    network = compact_module.Compact(num_in_ch=3, num_out_ch=3, num_feat=64, num_conv=4, upscale=4)
    save_file(network.state_dict(), tmp_path / "x.safetensors")
    done = subprocess.run([sys.executable, "-c", PEAK, tmp_path / "x.safetensors"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 2 * 10**9
