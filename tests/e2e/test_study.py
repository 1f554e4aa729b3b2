"""The study as a user runs it: its numbers against the plain recipe, its directory, its errors."""

import csv
import json
import os
import pickle
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision.transforms.functional as tf
from commands import one_line, run_cli
from looking import record, tree
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.transforms import InterpolationMode

import snellen
from snellen.classifiers import prepare
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K
from snellen.zoom import SCALES


def plain_answers(module, files, mean, std):
    """Best class and probability at every framing, one view at a time as the published recipe makes it."""
    best, p = np.zeros((len(files), 324), int), np.zeros((len(files), 324))
    with torch.inference_mode():
        for i, file in enumerate(files):
            image = Image.open(file).convert("RGB")
            for k, scale in enumerate(SCALES):
                resized = tf.resize(image, scale, InterpolationMode.BICUBIC)
                width, height = resized.size
                views = []
                for row in range(3):
                    for col in range(3):
                        top = row * (height // 3) + (height // 3) // 2 - 112
                        left = col * (width // 3) + (width // 3) // 2 - 112
                        views.append(tf.normalize(tf.to_tensor(tf.crop(resized, top, left, 224, 224)), mean, std))
                values, classes = module(torch.stack(views)).softmax(1).max(1)
                best[i, 9 * k : 9 * k + 9], p[i, 9 * k : 9 * k + 9] = classes, values
    return best, p


@pytest.fixture(scope="module")
def plainly(examples_dir):
    """What the recipe answers with the shipped network on the first shipped photograph: classes, probabilities."""
    from snellen.classifiers.sources import load
    from snellen.classifiers.spec import parse_spec

    first = min(path for path in examples_dir.iterdir() if path.suffix in (".jpg", ".jpeg", ".png"))
    module = load(parse_spec("embedded/efficientnet_lite0")).module
    return first.name, *plain_answers(module, [first], [0.5] * 3, [0.5] * 3)


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_embedded_model_answers_as_the_plain_recipe(backend, plainly, tmp_path):
    """A real photograph, the real model: every top-1, save where the two best are within 1e-4 of each other."""
    name, best, p = plainly
    run = snellen.study("embedded/efficientnet_lite0", "examples", out=tmp_path, limit=1, backend=backend)
    assert run.image_ids == [name]
    assert np.abs(run.answers("p0") - p).max() < 1e-4
    differs = run.answers() != best
    assert (run.answers("p0") - run.answers("p1"))[differs].max(initial=0) < 1e-4
    assert differs.sum() <= 1


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The study of four shipped photographs by the shipped network, from the command line: OUT and what it printed."""
    out = tmp_path_factory.mktemp("real")
    done = run_cli("study", "examples", "-o", out, "--limit", 4, "--json")
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)[0]


def test_summary_counts_what_the_rows_say(real):
    out, summary = real
    table = snellen.load_run(out).frame().to_pandas()
    folder = Path(snellen.__file__).parent / "datasets" / "examples"
    with (folder / "labels.csv").open(newline="") as file:
        labels = {row["image_id"]: row["labels"].split() for row in csv.DictReader(file)}
    label = [labels[name] for name in sorted(labels)]
    keys = IMAGENET_1K.keys
    table["right"] = [keys[best] in label[i] for i, best in zip(table["image"], table["id0"], strict=True)]
    by_zoom = table.pivot_table(index="image", columns="zoom", values="right").to_numpy().astype(bool)
    assert summary["one_crop"]["hits"] == by_zoom[:, 9 * 12 + 4].sum() > 0
    assert summary["upper_bound"]["hits"] == by_zoom.any(1).sum() > 0
    assert summary["best_single_zoom"]["hits"] == by_zoom.sum(0).max()
    scale = np.repeat(SCALES, 9)
    for name, wanted in (("zoom-in", scale > 224), ("zoom-out", scale < 224), ("zoom-224", scale == 224)):
        assert summary["groups"][name]["upper_bound"]["hits"] == by_zoom[:, wanted].any(1).sum() > 0
    for row in range(3):
        for col in range(3):
            assert summary["locations"][row][col]["hits"] == by_zoom[:, 3 * row + col :: 9].any(1).sum()
    assert summary["images"] == 4
    merged = snellen.load_run(out).table("merged").to_pylist()
    assert summary["merged"].keys() == {"zoom-in", "zoom-224", "zoom-out", "all"}
    for group, merges in summary["merged"].items():
        for merge, value in merges.items():
            rows = [row for row in merged if (row["group"], row["merge"]) == (group, merge)]
            assert (value["hits"], value["n"]) == (sum(keys[row["id0"]] in label[row["image"]] for row in rows), 4)
    assert summary["random_baseline"] == {"top_36": 0.036, "upper_bound": 0.324}


def time_of_children():
    """Seconds of processor time of all commands so far: a busy machine does not add to it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_same_command_again_recomputes_nothing_and_is_quick(pictures, tiny, tmp_path):
    first = run_cli("study", pictures, "-m", tiny, "-o", tmp_path, "--limit", 6, "-q")
    before = tree(tmp_path)
    start = time_of_children()
    again = run_cli("study", pictures, "-m", tiny, "-o", tmp_path, "--limit", 6, "-q")
    assert time_of_children() - start < 2
    assert again.stdout == first.stdout
    assert tree(tmp_path) == before


def test_larger_limit_extends_to_the_same_rows(pictures, tiny, tmp_path):
    whole = snellen.study(tiny, pictures, out=tmp_path / "whole", limit=12)
    for limit in (2, 7, 12):
        run = snellen.study(tiny, pictures, out=tmp_path / "steps", limit=limit, workers=1)
        assert len(run.image_ids) == limit
    for kind in ("samples", "predictions", "merged"):
        assert run.table(kind) == whole.table(kind)


# For a model that no other test uses: nothing is measured, and one process loads it.
QUICK = ("--batch-size", 4, "--workers", 1, "-q")


@pytest.mark.parametrize("change", ["weights", "added image", "other size of an image", "backend"])
def test_changed_inputs_are_refused_and_touch_nothing(change, own_pictures, tiny_weights, tmp_path):
    weights = Path(shutil.copy(tiny_weights, tmp_path / "w.safetensors"))
    out, arguments = tmp_path / "out", []
    spec = f"timm/lcnet_035@{weights},mean=0.5,std=0.5"
    command = ("study", own_pictures, "-m", spec, "-o", out, "--limit", 2, *QUICK)
    assert run_cli(*command).returncode == 0
    before = tree(out)
    if change == "weights":
        state = load_file(weights)
        next(iter(state.values())).add_(1)
        save_file(state, weights)
        says = "weights: "
    elif change == "added image":
        shutil.copy(next(own_pictures.glob("*/*.png")), own_pictures / "n01440764" / "zz.png")
        says = "images: "
    elif change == "other size of an image":
        with next(own_pictures.glob("*/*.png")).open("ab") as file:
            file.write(b"\0")
        says = "images: "
    else:
        arguments, says = ["--backend", "torch"], "backend: openvino there, torch here"
    line = one_line(run_cli(*command, *arguments))
    assert says in line
    assert tree(out) == before


def test_precisions_stand_side_by_side(tmp_path):
    try:
        prepare("embedded/efficientnet_lite0", precision="bf16").classifier()
    except ModelError as error:
        pytest.skip(str(error))
    for precision in ("fp32", "bf16"):
        done = run_cli("study", "examples", "-o", tmp_path, "--limit", 1, "--precision", precision, "-q")
        assert done.returncode == 0, done.stderr
    fp32, bf16 = (snellen.load_run(next(tmp_path.glob(f"*/*/paper-{p}"))) for p in ("fp32", "bf16"))
    apart = np.abs(fp32.answers("p0") - bf16.answers("p0"))
    assert 0 < apart.mean() < 0.03
    assert (fp32.answers() == bf16.answers()).mean() > 0.8


def test_unwritable_out(pictures, tiny, tmp_path):
    (tmp_path / "file").write_text("in the way")
    line = one_line(run_cli("study", pictures, "-m", tiny, "-o", tmp_path / "file", "-q"))
    assert "cannot write below" in line
    assert (tmp_path / "file").read_text() == "in the way"


class NotWeights:
    """Unpickled, it would run a command."""

    def __reduce__(self):
        return os.system, ("touch pwned",)


def test_calls_that_are_wrong_cost_one_line(pictures, own_pictures, tmp_path):
    empty, stranger, evil = tmp_path / "empty", own_pictures / "n0144076", tmp_path / "evil.pth"
    empty.mkdir()
    stranger.mkdir()
    shutil.copy(next(own_pictures.glob("*/*.png")), stranger)
    evil.write_bytes(pickle.dumps(NotWeights()))
    cases = [
        ((pictures, "-m", "timm/resnet5O"), "did you mean"),
        ((pictures, "-m", "nonsense"), "expected embedded/NAME"),
        ((pictures, "-m", "keras/x"), "unknown kind of model 'keras'"),
        ((pictures, "-m", "embedded/efficientnet_lite9"), "efficientnet_lite"),
        ((pictures, "-m", "torchvision/resnet50:IMAGENET1K_V9"), "IMAGENET1K_V1"),
        ((pictures, "-m", f"timm/lcnet_035@{evil}"), "refused"),
        ((pictures, "-m", "timm/lcnet_035@nowhere.safetensors"), "no checkpoint at 'nowhere.safetensors'"),
        ((pictures, "-m", f"{tmp_path}/none.py:net"), "no Python file"),
        ((pictures, "--limit", "0"), "--limit"),
        ((pictures, "--no-such-flag"), "--no-such-flag"),
        ((pictures, "--precision", "fp8"), "expected fp32, bf16, fp16"),
        ((pictures, "--backend", "tensorrt"), "unknown backend"),
        ((pictures, "--workers", "none"), "--workers none"),
        ((empty,), "no images under"),
        ((tmp_path / "nothing here",), "no data set"),
        ((own_pictures,), "unknown class 'n0144076' in imagenet-1k (1000 classes): the nearest is 'n01440764'"),
    ]
    for arguments, says in cases:
        line = one_line(run_cli("study", *arguments, "-o", tmp_path / "out", "-q", cwd=tmp_path))
        assert says in line, line
    assert not (tmp_path / "pwned").exists()
    assert not (tmp_path / "out").exists()


def test_weights_and_options_that_do_not_fit_are_told(tiny_weights, tmp_path):
    """What the process that loads a model says, of which the command prints the one line (the test above)."""
    from snellen.classifiers.sources import load
    from snellen.classifiers.spec import parse_spec

    text, misfit = tmp_path / "weights.pth", tmp_path / "misfit.safetensors"
    text.write_text("no weights")
    state = load_file(tiny_weights)
    state["extra.weight"] = state.pop("conv_stem.weight")
    save_file(state, misfit)
    cases = [
        (f"{misfit}", "1 missing (conv_stem.weight); 1 unexpected (extra.weight)"),
        (f"{text}", "weights.pth"),
        (f"{tiny_weights},no_such_option=1", "no_such_option"),
        (f"{tiny_weights},mean=a", "expected one number"),
        (f"{tiny_weights},classes=missing.txt", "classes=missing.txt"),
    ]
    for given, says in cases:
        with pytest.raises(ModelError, match=re.escape(says)) as raised:
            load(parse_spec(f"timm/lcnet_035@{given}"))
        assert "\n" not in str(raised.value)


USER_MODEL = """
import torch

def small(width=4):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, width, 8, 8), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                              torch.nn.Linear(width, 3))
    net.mean, net.std, net.classes = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), ("cat", "dog", "newt")
    return net
"""


def test_users_own_model_by_file_and_as_an_object_agree(tmp_path):
    """One network three ways: FILE.py:FUNCTION on both backends, and a module from a script with no guard."""
    for name in ("cat", "dog", "newt"):
        (tmp_path / "data" / name).mkdir(parents=True)
        pixels = np.random.default_rng(len(name)).integers(0, 256, (40, 30, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / name / f"{name}.png")
    (tmp_path / "own.py").write_text(USER_MODEL)
    spec = f"{tmp_path / 'own.py'}:small,width=6"
    for backend in ("openvino", "torch"):
        done = run_cli("study", tmp_path / "data", "-m", spec, "-o", tmp_path / backend, "--backend", backend, *QUICK)
        assert done.returncode == 0, done.stderr
    script = tmp_path / "script.py"
    script.write_text(
        "import snellen, own\n"
        "net = own.small(6)\n"
        "run = snellen.study(net, 'data', out='object', mean=net.mean, std=net.std, classes=net.classes, name='mine',\n"
        "                    batch_size=4)\n"
        "print(run.accuracy().n, run.correct().shape)\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.stdout == "3 (3, 324)\n", done.stderr
    runs = [snellen.load_run(tmp_path / name) for name in ("openvino", "torch", "object")]
    assert runs[0].class_space.keys == ("cat", "dog", "newt")
    for run in runs[1:]:
        assert np.abs(run.answers("p0") - runs[0].answers("p0")).max() < 1e-5
        assert (run.correct() == runs[0].correct()).all()


def test_embedding_comes_from_the_same_graph(tiny):
    """What `embed` returns, put through the head in PyTorch, gives the logits; both backends agree."""
    views = np.random.default_rng(0).integers(0, 256, (5, 224, 224, 3), np.uint8)
    openvino, eager = (prepare(tiny, backend=b, batch_size=5).classifier() for b in ("openvino", "torch"))
    head = openvino.module().get_classifier()
    with torch.inference_mode():
        through = head(torch.from_numpy(openvino.embed(views))).numpy()
    embedding, logits = openvino.embed(views), openvino.logits(views)
    for one, other in ((through, logits), (eager.embed(views), embedding), (openvino.logits(views[:2]), logits[:2])):
        assert np.abs(one - other).max() < 1e-5 * np.abs(other).max()


MOBILENET = "timm/mobilenetv2_100@{},pad_type=same,mean=0.5,std=0.5"
ACCURACY = {f"embedded/efficientnet_lite{k}": hits for k, hits in enumerate((263, 265, 265))} | {MOBILENET: 263}


@pytest.mark.parametrize("model", ACCURACY)
@pytest.mark.slow
def test_known_accuracy_of_the_embedded_models(model, sample_images):
    """Resize 256 bicubic and centre crop 224 on 300 images: a check that weights land where they belong."""
    from snellen.datasets import open_dataset
    from snellen.zoom import ViewRule
    from snellen.zoom.render import decode, render

    checkpoint = sample_images.parent / "models" / "mobilenetv2_100.safetensors"
    if model == MOBILENET and not checkpoint.exists():
        pytest.skip(f"no checkpoint at {checkpoint}")
    dataset, prepared = open_dataset(sample_images), prepare(model.format(checkpoint), batch_size=4)
    classifier, rule = prepared.classifier(), ViewRule(256, 1, 1, anchor="spread")
    labels = dataset.label_sets([item.id for item in dataset.items], IMAGENET_1K)
    hits = 0
    for i, label in enumerate(labels):
        hits += classifier.logits(render(decode(dataset.read(i)), [rule]))[0].argmax() in label
    assert hits == ACCURACY[model]


def test_report_is_self_contained_and_says_the_same_numbers(real):
    out, summary = real
    done = run_cli("report", out)
    assert done.returncode == 0, done.stderr
    page = (out / "report" / "index.html").read_text()
    with (out / "report" / "table1.csv").open(newline="") as file:
        measures = {row["measure"]: row for row in csv.DictReader(file)}
    for name, share in (("1-crop", "one_crop"), ("upper bound", "upper_bound")):
        value = summary[share]
        assert float(measures[name]["value"]) == value["value"]
        assert f"{100 * value['value']:.2f}" in page
        assert f"[{100 * value['low']:.1f}, {100 * value['high']:.1f}]" in page
    assert record(out)["fingerprint"] in page


def test_report_shows_no_image_that_the_run_did_not_see(own_pictures, tiny, tmp_path):
    """A picture that was replaced by another of the same name, and hostile names, stay out of the page."""
    hostile = own_pictures / "n01440764" / "!<script>alert(1)<.png"
    Image.new("RGB", (30, 30), (9, 200, 9)).save(hostile)
    run_cli("study", own_pictures, "-m", tiny, "-o", tmp_path / "out", "--limit", 3, "-q")
    run = snellen.load_run(tmp_path / "out")
    assert any("<script>" in image for image in run.image_ids)
    replaced = next(image for image in run.image_ids if "<" not in image)
    Image.new("RGB", (30, 30), (255, 0, 0)).save(own_pictures / replaced)
    assert run_cli("report", tmp_path / "out").returncode == 0
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "another image is in its place now" in page
    assert "<script>" not in page


def test_changed_code_of_a_users_model_is_noticed(tmp_path):
    """The same parameters and structure, another constant: refused in the old directory, new answers in a new one."""
    (tmp_path / "data" / "cat").mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)).save(tmp_path / "data/cat/1.png")
    source = (
        "import torch\nclass Net(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        torch.manual_seed(0)\n"
        "        self.head = torch.nn.Linear(3, 2)\n        self.classes = ('cat', 'dog')\n"
        "    def forward(self, x):\n        return SIGN * self.head(x.mean((2, 3)))\ndef net():\n    return Net()\n"
    )
    answers = []
    for sign in (1, -1):
        (tmp_path / "own.py").write_text(f"SIGN = {sign}\n{source}")
        spec = f"{tmp_path / 'own.py'}:net"
        if sign < 0:
            line = one_line(run_cli("study", tmp_path / "data", "-m", spec, "-o", tmp_path / "1", *QUICK))
            assert "weights: " in line
        done = run_cli("study", tmp_path / "data", "-m", spec, "-o", tmp_path / str(sign), *QUICK)
        assert done.returncode == 0, done.stderr
        answers.append(snellen.load_run(tmp_path / str(sign)).answers("p0"))
    helper = tmp_path / "own.py"
    helper.write_text(f"from sign import SIGN\n{source}")
    for sign, code in ((3, 0), (5, 2)):  # a constant in a module beside it: no hash sees it, the probe does
        (tmp_path / "sign.py").write_text(f"SIGN = {sign}\n")
        done = run_cli("study", tmp_path / "data", "-m", f"{helper}:net", "-o", tmp_path / "beside", *QUICK)
        assert done.returncode == code, done.stderr
    assert "the network's code" in done.stderr
    assert np.abs(answers[0] - answers[1]).max() < 1e-4  # two classes: the other one is as likely


def test_a_local_checkpoint_is_never_taken_for_the_published_weights(pictures, tmp_path):
    """After `timm/NAME@FILE`, plain `timm/NAME` still wants timm's own weights, which cannot be had offline."""
    weights = tmp_path / "own.safetensors"
    save_file({k: v.contiguous() for k, v in timm.create_model("lcnet_050").state_dict().items()}, weights)
    own = f"timm/lcnet_050@{weights},mean=0.5,std=0.5"
    assert run_cli("study", pictures, "-m", own, "-o", tmp_path, "--limit", 1, *QUICK).returncode == 0
    plain = "timm/lcnet_050,mean=0.5,std=0.5"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    line = one_line(run_cli("study", pictures, "-m", plain, "-o", tmp_path, "--limit", 1, "-q", env=environment))
    assert "cannot download the weights" in line


def test_ls_lists_what_can_be_loaded_without_importing_torch():
    probe = "import sys; from snellen.cli import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", probe, "ls", "models", "*/*efficientnet_lite0*"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = [f"timm/{name}" for name in timm.list_models("*efficientnet_lite0*", pretrained=True)]
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["embedded/efficientnet_lite0", *names]
    assert all(row[1:4] == ["224", "px", "imagenet-1k"] for row in rows)
    assert rows[0][-1] == "cached"
    everything = run_cli("ls", "models", "--json")
    models = {row["model"]: row for row in json.loads(everything.stdout)}
    assert models["torchvision/efficientnet_b7:IMAGENET1K_V1"]["view"] == "600 px"
    assert models["timm/tf_efficientnet_l2.ns_jft_in1k"]["view"] == "800 px"
    assert models["open_clip/ViT-L-14-336,openai"]["classes"] == "zero-shot"
    assert "nothing called 'planets'" in one_line(run_cli("ls", "planets"))
