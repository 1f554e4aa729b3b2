"""Every backend against eager PyTorch in float32, on views of the shipped photographs by the shipped network."""

import json
import shutil

import numpy as np
import pytest
import torch
from commands import one_line, run_cli
from PIL import Image
from torch import nn

from snellen.classifiers import backends, prepare
from snellen.classifiers.agreement import TOLERANCE, apart, check_agreement
from snellen.classifiers.backend_torch import CompiledClassifier, TorchClassifier
from snellen.classifiers.backends import check_running
from snellen.classifiers.convert import add_form, describe
from snellen.classifiers.forms import Form, note_of
from snellen.classifiers.loaded import loaded_module
from snellen.classifiers.sources import load
from snellen.classifiers.spec import parse_spec
from snellen.classifiers.views import real_views
from snellen.datasets import open_dataset
from snellen.errors import ModelError
from snellen.zoom import PAPER_GRID
from snellen.zoom.render import render

LITE0 = "embedded/efficientnet_lite0"
CONVERTED = [("openvino", "fp32"), ("openvino", "bf16"), ("onnxruntime", "fp32")]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def views():
    """Two and a bit of every shipped photograph: 40 views at as many zooms."""
    return real_views(open_dataset("examples"), 224, 40)[0]


@pytest.fixture(scope="module")
def expected(views):
    """What the network itself says, loaded by its library and fed by hand."""
    loaded = load(parse_spec(LITE0))
    pixels = torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        return loaded.module((pixels - 0.5) / 0.5).numpy()


def answered(classifier, views, batch):
    return np.concatenate([classifier.logits(views[k : k + batch]) for k in range(0, len(views), batch)])


def can(prepared):
    """The classifier, or a skip on a CPU without that precision."""
    try:
        return prepared.classifier()
    except ModelError as error:
        if "this CPU has no" in str(error):
            pytest.skip(str(error))
        raise


@pytest.mark.parametrize(("backend", "precision"), [*CONVERTED, ("torch", "fp32"), ("torch", "bf16")])
def test_logits_are_the_networks_own(backend, precision, views, expected):
    """The last batch is not full: 40 views in batches of 9."""
    prepared = prepare(LITE0, backend=backend, precision=precision, batch_size=9, measure=False)
    logits = answered(can(prepared), views, 9)
    assert logits.dtype == np.float32
    assert apart(logits, expected) <= TOLERANCE[precision]
    sure = np.diff(np.sort(expected, axis=1)[:, -2:], axis=1)[:, 0] > 2 * np.abs(logits - expected).max()
    assert sure.any()
    assert (logits.argmax(axis=1) == expected.argmax(axis=1))[sure].all()


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "torch"])
def test_the_embedding_is_what_the_last_layer_is_fed(backend, views):
    head = load(parse_spec(LITE0)).module.get_classifier()
    classifier = prepare(LITE0, backend=backend, batch_size=4, measure=False).classifier()
    with torch.inference_mode():
        again = head(torch.from_numpy(classifier.embed(views[:3]))).numpy()
    np.testing.assert_allclose(again, classifier.logits(views[:3]), atol=1e-3)


@pytest.fixture(scope="module")
def compiled(tiny):
    """The tiny network compiled for batches of 5, and itself."""
    module = load(parse_spec(tiny)).module
    card = prepare(tiny, backend="torch").card
    return {
        precision: CompiledClassifier(module, card, "cpu", precision, 5) for precision in ("fp32", "bf16")
    }, TorchClassifier(load(parse_spec(tiny)).module, card, "cpu", "fp32")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_torch_answers_as_eager_torch(precision, compiled, views):
    of_precision, eager = compiled
    logits = answered(of_precision[precision], views[:13], 5)
    wanted = eager.logits(views[:13])
    assert apart(logits, wanted) <= TOLERANCE[precision]
    assert (logits.argmax(axis=1) == wanted.argmax(axis=1)).mean() >= (1 if precision == "fp32" else 0.6)
    np.testing.assert_allclose(of_precision["fp32"].embed(views[:2]), eager.embed(views[:2]), atol=1e-3)


def test_answers_on_the_device_are_the_callers_own(compiled, views):
    for classifier in (compiled[0]["fp32"], compiled[1]):
        first = classifier.logits_on_device(torch.from_numpy(views[:2]))
        kept = first.clone()
        classifier.logits_on_device(torch.from_numpy(views[2:7]))
        assert torch.equal(first, kept)
        assert first.dtype == torch.float32
        assert first.shape == (2, 1000)


@pytest.mark.slow
def test_the_shipped_network_compiled(views, expected):
    classifier = prepare(LITE0, backend="torch-compile", batch_size=9).classifier()
    assert apart(answered(classifier, views, 9), expected) <= TOLERANCE["fp32"]


def test_a_network_that_pytorch_cannot_compile_is_one_line():
    class Stubborn(nn.Module):
        def forward(self, pixels):
            if len(pixels) == 5:
                raise RuntimeError("not five\nand more")
            return pixels.mean((2, 3))

    loaded = loaded_module(Stubborn(), 0.5, 0.5, ["a", "b", "c"])
    with pytest.raises(ModelError, match=r"PyTorch cannot compile this network \(not five\); use --backend torch$"):
        CompiledClassifier(loaded.module, describe(loaded, "stubborn"), "cpu", "fp32", 5)


def test_a_compiled_network_that_the_device_has_no_memory_for_is_one_line():
    class Large(nn.Module):
        def forward(self, pixels):
            if len(pixels) == 5:
                raise torch.OutOfMemoryError("tried to allocate 80 GB\nand more")
            return pixels.mean((2, 3))

    loaded = loaded_module(Large(), 0.5, 0.5, ["a", "b", "c"])
    with pytest.raises(ModelError, match=r"^cpu has too little memory for batches of 5 views; choose"):
        CompiledClassifier(loaded.module, describe(loaded, "large"), "cpu", "fp32", 5)


def test_a_network_that_computes_something_else_when_compiled_is_refused():
    class Turncoat(nn.Module):
        def forward(self, pixels):
            return pixels.mean((2, 3)) + (1 if torch.compiler.is_compiling() else 0)

    loaded = loaded_module(Turncoat(), 0.5, 0.5, ["a", "b", "c"])
    with pytest.raises(ModelError, match="compiled PyTorch's logits differ from PyTorch's by"):
        CompiledClassifier(loaded.module, describe(loaded, "turncoat"), "cpu", "fp32", 2)


def test_logits_that_are_not_numbers_never_agree():
    with pytest.raises(ModelError, match="differ from PyTorch's by nan"):
        check_agreement("It", np.full((1, 3), np.nan, np.float32), np.zeros((1, 3), np.float32))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fp33",), "unknown precision 'fp33'; expected fp32, bf16, fp16, int8"),
        (("fp32", "tensorrt"), "unknown backend 'tensorrt'; expected auto, openvino, onnxruntime, torch, torch-comp"),
        (("fp32", "auto", "tpu"), "unknown device 'tpu'; expected auto, cpu, cuda or cuda:N"),
        (("bf16", "onnxruntime"), "runs fp32, not bf16; that is for openvino, torch, torch-compile"),
        (("fp16", "onnxruntime"), "runs fp32, not fp16"),
        (("int8", "torch"), "runs fp32, bf16, fp16, not int8; that is for openvino"),
        (("int8", "auto", "cuda"), "int8 runs on the CPU only"),
        (("fp32", "openvino", "cuda"), "the openvino backend runs on the CPU; use --backend torch or torch-compile"),
        (("fp32", "onnxruntime", "cuda:1"), "the onnxruntime backend runs on the CPU"),
    ],
)
def test_what_cannot_run_is_said(arguments, said):
    with pytest.raises(ModelError, match=said) as caught:
        check_running(*arguments)
    assert "\n" not in str(caught.value)


def test_what_is_not_installed_is_said(monkeypatch):
    gone = {"onnxruntime", "nncf", "triton"}
    monkeypatch.setattr(backends, "find_spec", lambda name: None if name in gone else object())
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    for arguments, said in (
        (("fp32", "onnxruntime"), r"pip install 'snellen\[onnx\]'"),
        (("int8",), r"pip install 'snellen\[int8\]'"),
        (("fp32", "torch-compile", "cpu"), r"needs a C\+\+ compiler on a CPU: install g\+\+, or name one in CXX"),
        (("fp32", "torch-compile", "cuda"), "needs Triton and a C compiler"),
    ):
        with pytest.raises(ModelError, match=said):
            check_running(*arguments)
    assert check_running("fp32", "auto", "cuda") == ("torch", "cuda"), "a GPU without a compiler runs eagerly"
    monkeypatch.setattr(backends, "has_gpu", lambda: True)
    gone.clear()
    monkeypatch.setenv("CC", shutil.which("true", path="/bin:/usr/bin"))
    assert check_running("bf16") == ("torch-compile", "cuda")
    assert check_running("int8") == ("openvino", "cpu")
    assert check_running("fp32", "openvino") == ("openvino", "cpu")


@pytest.mark.parametrize("option", [("--precision", "fp33"), ("--backend", "tensorrt"), ("--device", "tpu")])
def test_a_wrong_option_is_found_before_the_data_are_listed(option, tmp_path):
    for command in ("study", "eval", "tta"):
        line = one_line(run_cli(command, tmp_path / "nowhere", *option, *(("--method", "center") * (command == "tta"))))
        assert option[1] in line


def test_a_form_is_whole_or_absent(tmp_path):
    """A network that refuses to be traced leaves nothing behind, and the entry is as good as before."""

    class Odd(nn.Module):
        def forward(self, pixels):
            if torch.jit.is_tracing() or torch.compiler.is_exporting():
                raise RuntimeError("no")
            return pixels.mean((2, 3))

    loaded = loaded_module(Odd(), 0.5, 0.5, ["a", "b", "c"])
    card = describe(loaded, "odd")
    for form, said in ((Form("openvino"), "OpenVINO cannot convert"), (Form("onnxruntime"), "ONNX cannot express")):
        with pytest.raises(ModelError, match=f"{said} this network .*; use --backend torch"):
            add_form(loaded.module, card, tmp_path, form)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "torch"])
def test_a_module_of_the_users(backend, views):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 6, 16, 16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))
    prepared = prepare(module, backend=backend, mean=0.5, std=0.25, classes=["cat", "dog"], batch_size=7)
    with torch.inference_mode():
        wanted = module((torch.from_numpy(views[:5]).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25).numpy()
    np.testing.assert_allclose(prepared.classifier().logits(views[:5]), wanted, atol=1e-4)


def test_eval_and_study_share_what_is_prepared(tiny, snellen_cache):
    """The tiny network's own views are of 224 pixels, as the study's are."""
    before = set((snellen_cache / "models").glob("*")) if (snellen_cache / "models").exists() else set()
    entries = {prepare(tiny, backend="torch", own=own).entry for own in (True, False)}
    assert len(entries) == 1
    assert set((snellen_cache / "models").glob("*")) - before <= entries


def test_real_views_are_the_studys(examples_dir):
    views, owners = real_views(open_dataset("examples"), 224, 40)
    names = sorted(path.name for path in examples_dir.glob("*.jpg"))
    assert len(views) == len(owners) == 40
    assert len(set(owners.tolist())) == len(names) == 16
    for view, owner in zip(views[:6], owners[:6], strict=True):
        with Image.open(examples_dir / names[owner]) as image:
            every = render(image.convert("RGB"), PAPER_GRID.rules)
        assert (every == view).all(axis=(1, 2, 3)).any()


def test_calibration_and_comparison_share_no_view():
    first, _ = real_views(open_dataset("examples"), 224, 300)
    second, _ = real_views(open_dataset("examples"), 224, 300, first=300)
    seen = {view.tobytes() for view in first}
    assert len(seen) == 300
    assert not seen & {view.tobytes() for view in second}


@pytest.fixture(scope="module")
def int8():
    """The shipped network quantised on the shipped photographs."""
    return prepare(LITE0, precision="int8", batch_size=16, measure=False)


@pytest.mark.slow
def test_the_note_of_int8_counts_what_it_answers(int8):
    """Agreement and accuracy, recounted from the pixels with eager PyTorch in float32."""
    dataset = open_dataset("examples")
    others, _ = real_views(dataset, 224, 300, first=300)
    eager = prepare(LITE0, backend="torch").classifier()
    exact = answered(eager, others, 36).argmax(axis=1)
    quantised = answered(int8.classifier(), others, 16).argmax(axis=1)
    equal = int((exact == quantised).sum())
    assert 180 <= equal < 300, "not the same network, but one like it"
    (note,) = [note for note in int8.card.notes if note.startswith("int8")]
    assert f"the same answer as float32 on {equal} of 300 other views (" in note
    labels = dataset.label_sets([item.id for item in dataset.items], int8.card.class_space)
    pictures = [Image.open(dataset.root / item.id).convert("RGB") for item in dataset.items]
    crops = np.concatenate([render(picture, [PAPER_GRID.rules[112]]) for picture in pictures])
    for classifier, said in ((int8.classifier(), "1-crop: "), (eager, "in float32 ")):
        best = answered(classifier, crops, 16).argmax(axis=1)
        right = sum(one in label for one, label in zip(best, labels, strict=True))
        assert f"{said}{right} of 16 (" in note
    assert note_of(int8.model.parent) == (note,)


@pytest.mark.slow
def test_what_int8_is_calibrated_on_decides_it(int8, examples_dir, tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("koala.jpg", "abbey.jpg"):
        shutil.copy(examples_dir / name, tmp_path / "mine")
    other = prepare(f"{LITE0},calibration={tmp_path / 'mine'}", precision="int8", measure=False)
    assert other.entry == int8.entry
    assert other.model != int8.model
    assert other.options["calibration"] != int8.options["calibration"]
    assert "300 views of 2 photographs of" in " ".join(other.card.notes)
    assert other.model.with_suffix(".bin").read_bytes() != int8.model.with_suffix(".bin").read_bytes()


def test_a_wrong_calibration_is_one_line(tmp_path):
    with pytest.raises(ModelError, match="calibration=photos is for --precision int8, not for bf16"):
        prepare(f"{LITE0},calibration=photos", precision="bf16")
    with pytest.raises(ModelError, match=r"calibration=.*nowhere: no data set") as caught:
        prepare(f"{LITE0},calibration={tmp_path / 'nowhere'}", precision="int8")
    assert "\n" not in str(caught.value)


def test_a_prepared_model_travels_as_json():
    prepared = prepare(LITE0, backend="onnxruntime", batch_size=3, measure=False)
    again = type(prepared).from_json(json.loads(json.dumps(prepared.to_json())))
    assert again == prepared
    assert again.model.name == "model.onnx"


def test_a_gpu_runs_specs_compiled_and_objects_as_they_are(tiny, monkeypatch):
    monkeypatch.setattr(backends, "lacking", lambda *_: None)
    monkeypatch.setattr(backends, "has_gpu", lambda: True)
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    mine = prepare(module, mean=0.5, std=0.25, classes=["cat", "dog"])
    assert (mine.backend, mine.device, mine.batch_size) == ("torch", "cuda", 324)
    published = prepare(tiny)
    assert (published.backend, published.device, published.batch_size) == ("torch-compile", "cuda", 324)
    assert published.as_recorded("torch").backend == "torch"
