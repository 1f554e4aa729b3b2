"""Zero-shot classifiers of open_clip: the library's own logits, on both backends, and a head that is made once."""

import json
import logging
import re
import subprocess
from dataclasses import replace

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import snellen
from snellen.classifiers import open_clip as ours
from snellen.classifiers.backend_openvino import OpenVinoClassifier
from snellen.classifiers.backend_torch import TorchClassifier
from snellen.classifiers.base import IMAGENET_MEAN, IMAGENET_STD
from snellen.classifiers.convert import describe, to_openvino
from snellen.classifiers.entries import entry_path
from snellen.classifiers.network import ViewNetwork
from snellen.classifiers.prepare import prepare
from snellen.classifiers.sources import load
from snellen.classifiers.spec import parse_spec
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K
from snellen.zoom.render import render

pytestmark = pytest.mark.usefixtures("one_thread")

VISION = {"image_size": 64, "layers": 2, "width": 32, "head_width": 8, "patch_size": 16}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
ARCHITECTURES = {
    "vit": {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT},
    "quickgelu": {"embed_dim": 24, "quick_gelu": True, "vision_cfg": VISION, "text_cfg": TEXT},
    "resnet": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16, "patch_size": None},
        "text_cfg": TEXT,
    },
    # As SigLIP's: looks both ways, pools the last token, has a bias.
    "both-ways": {
        "embed_dim": 24,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {**VISION, "pool_type": "avg"},
        "text_cfg": {**TEXT, "context_length": 32, "no_causal_mask": True, "pool_type": "last", "proj_bias": True},
    },
    "coca": {
        "embed_dim": 24,
        "vision_cfg": {**VISION, "attentional_pool": True, "attn_pooler_heads": 4, "output_tokens": True},
        "text_cfg": {**TEXT, "context_length": 76, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {
            **TEXT,
            "context_length": 76,
            "dim_head": 8,
            "heads": 4,
            "n_queries": 256,
            "attn_pooler_heads": 4,
        },
        "custom_text": True,
    },
    "timm-tower": {
        "embed_dim": 24,
        "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160},
        "text_cfg": TEXT,
    },
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`made(name)`: the description and the checkpoint of a small network with random weights, and open_clip's own."""
    folder = tmp_path_factory.mktemp("open_clip")
    known = {}

    def make(name):
        if name not in known:
            config = folder / f"tiny-{name}.json"
            config.write_text(json.dumps(ARCHITECTURES[name]))
            open_clip.add_model_config(config)
            torch.manual_seed(0)
            logging.disable(logging.WARNING)
            model, _, transform = open_clip.create_model_and_transforms(config.stem, pretrained_text=False)
            logging.disable(logging.NOTSET)
            with torch.no_grad():
                for part, value in model.named_parameters():
                    if value.ndim > 1 and "embedding" not in part:
                        value.mul_(3)  # random features are otherwise nearly the same for all pictures
            weights = folder / f"{name}.safetensors"
            save_file({key: value.contiguous() for key, value in model.state_dict().items()}, weights)
            known[name] = (config, weights, model.eval(), transform)
        return known[name]

    return make


@pytest.fixture(scope="module")
def spec(made):
    """The spec of the small vision transformer, with ImageNet's classes and one template."""
    config, weights, *_ = made("vit")
    return f"open_clip/tiny@{weights},config={config},templates=single"


def pictures(folder):
    return [Image.open(path).convert("RGB") for path in sorted(folder.glob("*.jpg"))[:4]]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_are_those_of_open_clips_own_pipeline(made, name, examples_dir, tmp_path):
    config, weights, model, transform = made(name)
    classes = tmp_path / "classes.txt"
    classes.write_text("\n".join(IMAGENET_1K.keys[:60]))
    loaded = load(parse_spec(f"open_clip/mine@{weights},config={config},classes={classes},templates=simple7"))
    images = pictures(examples_dir)
    with torch.inference_mode():
        head = open_clip.build_zero_shot_classifier(
            model,
            open_clip.get_tokenizer(config.stem),
            open_clip.IMAGENET_CLASSNAMES[:60],
            open_clip.SIMPLE_IMAGENET_TEMPLATES,
        )
        features = model.encode_image(torch.stack([transform(image) for image in images]), normalize=True)
        expected = model.logit_scale.exp() * features @ head
        shown = ViewNetwork(loaded.module.eval(), loaded.mean, loaded.std, 60)
        logits, embedding = shown(torch.from_numpy(np.stack([render(i, [loaded.own.rule()])[0] for i in images])))
    assert (logits - expected).abs().max() < 1e-5 * expected.abs().max()
    assert torch.allclose(embedding, features, atol=1e-6)
    assert expected.std(0).mean() > 0.01, "the pictures do not look alike to it"


def test_imagenets_names_and_templates_make_the_same_head(made):
    """1,000 names, through the shortened context; what the library itself says of the names is said."""
    config, weights, model, _ = made("vit")
    loaded = load(parse_spec(f"open_clip/tiny@{weights},config={config},templates=single"))
    expected = open_clip.build_zero_shot_classifier(
        model,
        open_clip.get_tokenizer(config.stem),
        open_clip.IMAGENET_CLASSNAMES,
        ["a photo of a {}."],
        num_classes_per_batch=200,
    )
    assert torch.allclose(loaded.module.head.weight.T, expected, atol=1e-6)
    assert loaded.inputs[0][1].startswith("openai ")
    assert loaded.inputs[1][1].startswith("single ")
    assert "'sunglasses' (836 n04355933, 837 n04356056)" in " ".join(loaded.notes), "twice in OpenAI's own list"
    assert loaded.space is IMAGENET_1K


def test_both_backends_agree_and_a_worker_makes_no_head(spec, monkeypatch):
    compiled = prepare(spec)
    assert compiled.card.view_size == 64, "its position embeddings fit no other size"
    assert (compiled.card.embed_dim, len(compiled.card.keys)) == (24, 1000)
    assert [name for name, _ in compiled.card.inputs] == ["classnames", "templates", "config"]
    monkeypatch.setattr(open_clip, "get_tokenizer", lambda *_, **__: pytest.fail("the head was made again"))
    views = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    one = compiled.with_batch(5).classifier()
    other = replace(compiled, backend="torch").classifier()  # as a worker loads it
    assert np.abs(one.logits(views) - other.logits(views)).max() < 1e-3
    np.testing.assert_allclose(np.linalg.norm(other.embed(views), axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(one.embed(views), other.embed(views), atol=1e-4)


def test_the_same_call_again_needs_no_child(spec, monkeypatch):
    first = prepare(spec)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("the model was loaded again"))
    assert prepare(spec) == first


def test_files_of_names_count_by_content(spec, tmp_path):
    names = tmp_path / "names.txt"

    def entry(file, *lines):
        file.write_text("\n".join(lines))
        parsed = parse_spec(f"{spec},classnames={file}")
        loaded = load(parsed)
        return entry_path(parsed, loaded.weights, False), loaded.inputs, loaded.module(torch.ones(1, 3, 64, 64))

    first = entry(names, *(f"kind {k}" for k in range(1000)))
    second = entry(names, *(f"sort {k}" for k in range(1000)))
    third = entry(tmp_path / "moved.txt", *(f"kind {k}" for k in range(1000)))
    assert first[:2] == third[:2]
    assert torch.allclose(first[2], third[2], atol=1e-5)
    assert first[0] != second[0]
    assert first[1][0] != second[1][0]
    assert first[1][1:] == second[1][1:]
    assert not torch.allclose(first[2], second[2])


@pytest.mark.parametrize(("name", "size"), [("resnet", 64), ("coca", 64), ("timm-tower", 224)])
def test_they_convert(made, name, size, tmp_path):
    """Position embeddings that fit no other size keep a network at its own; test_vit stretches its."""
    config, weights, *_ = made(name)
    (tmp_path / "classes.txt").write_text("bird\ncat\nfish")
    options = f"classes={tmp_path / 'classes.txt'},config={config},templates=single"
    loaded = load(parse_spec(f"open_clip/tiny@{weights},{options}"))
    card = describe(loaded, name)
    assert card.view_size == size
    to_openvino(loaded.module, card, tmp_path / "model.xml")
    views = np.random.default_rng(1).integers(0, 256, (5, card.view_size, card.view_size, 3), np.uint8)
    logits = OpenVinoClassifier(tmp_path / "model.xml", "fp32", 5).logits(views)
    eager = TorchClassifier(loaded.module, card, "cpu", "fp32").logits(views)
    np.testing.assert_allclose(logits, eager, atol=1e-3 * (1 + np.abs(eager).max()))


def test_normalize_imagenet_shows_it_what_the_published_clip_runs_showed(spec):
    own, theirs = load(parse_spec(spec)), load(parse_spec(f"{spec},normalize=imagenet"))
    assert own.mean == pytest.approx(open_clip.OPENAI_DATASET_MEAN)
    assert (theirs.mean, theirs.std) == (IMAGENET_MEAN, IMAGENET_STD)
    with pytest.raises(ModelError, match="normalize=clip: expected own"):
        load(parse_spec(f"{spec},normalize=clip"))


def test_a_study_of_it_runs(spec, tmp_path):
    run = snellen.study(spec, "examples", out=tmp_path, limit=1)
    assert run.answers().shape == (1, 324)
    assert len(np.unique(run.answers())) > 1


def test_published_weights_bring_their_activation_and_normalisation(made, monkeypatch, tmp_path):
    """A set of weights of open_clip's table, trained with QuickGELU, in an architecture whose description says GELU."""
    config, weights, *_ = made("quickgelu")
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps({k: v for k, v in ARCHITECTURES["quickgelu"].items() if k != "quick_gelu"}))
    open_clip.add_model_config(plain)
    entry = {"file": str(weights), "mean": (0.5,) * 3, "std": (0.25,) * 3, "resize_mode": "squash", "quick_gelu": True}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "plain", {"ours": entry | {"interpolation": "bilinear"}})
    classes = tmp_path / "classes.txt"
    classes.write_text("bird\ncat")
    loaded = load(parse_spec(f"open_clip/plain,ours,classes={classes},templates=single"))
    same = load(parse_spec(f"open_clip/tiny@{weights},classes={classes},config={config},templates=single"))
    pixels = torch.rand(2, 3, 64, 64)
    assert torch.allclose(loaded.module(pixels), same.module(pixels), atol=1e-5)
    assert (loaded.mean, loaded.std) == ((0.5,) * 3, (0.25,) * 3)
    assert (loaded.own.mode, loaded.own.filter, loaded.weights_file) == ("squash", "bilinear", weights)
    assert any("QuickGELU" in note for note in loaded.notes)
    assert not any("QuickGELU" in note for note in same.notes)


def test_older_checkpoints_fit(made, tmp_path):
    """OpenAI's extra entries, half precision, a scale of another shape, a wrapped state dict of several processes."""
    config, weights, model, _ = made("vit")
    state = {key: value.half() for key, value in model.state_dict().items()}
    state["logit_scale"] = state["logit_scale"].reshape(1)
    state |= {"input_resolution": torch.tensor(64), "context_length": torch.tensor(77)}
    older, classes = tmp_path / "older.pt", tmp_path / "classes.txt"
    classes.write_text("bird\ncat\nfish")
    torch.save({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}}, older)
    text = f"open_clip/tiny@{{}},classes={classes},config={config},templates=single"
    pixels = torch.rand(2, 3, 64, 64)
    one, other = (load(parse_spec(text.format(file))).module(pixels) for file in (weights, older))
    assert (one - other).abs().max() < 0.02 * one.abs().max()


def test_another_image_size_stretches_the_position_embedding(spec):
    loaded = load(parse_spec(f"{spec},force_image_size=96"))
    assert loaded.own.size == 96
    assert loaded.module(torch.rand(1, 3, 96, 96)).shape == (1, 1000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("open_clip/ViT-B-23,openai", r"no model 'ViT-B-23' in open_clip: did you mean .*ViT-B-32"),
        ("open_clip/ViT-B-32,opena", r"no model 'opena' in open_clip's weights of ViT-B-32: did you mean openai"),
        ("open_clip/ViT-B-32", r"names no weights; write open_clip/ViT-B-32,TAG with one of openai, "),
        ("open_clip/ViT-M-32-alt", r"names no weights; give one with @FILE|with one of "),
        ("open_clip/ViT-B-32,openai,colour=1", r"take no option 'colour'; expected classnames, "),
        ("open_clip/tiny,config=none.json", r"config=none.json: No such file or directory"),
    ],
)
def test_a_wrong_name_costs_one_line(text, said):
    with pytest.raises(ModelError) as error:
        load(parse_spec(text))
    assert re.search(said, str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not a JSON description"),
        ("[]", "not a JSON description"),
        ('{"embed_dim": 3}', "it lacks vision_cfg, text_cfg"),
        (json.dumps(ARCHITECTURES["vit"] | {"vision_cfg": {"hue": 1}}), "open_clip cannot make tiny: "),
        (json.dumps(ARCHITECTURES["vit"] | {"embed_dim": 20}), "does not fit the network: 2 of another shape"),
        (json.dumps({"model_cfg": ARCHITECTURES["vit"], "preprocess_cfg": {"resize_mode": "longest"}}), "longest"),
        (
            json.dumps(ARCHITECTURES["vit"] | {"vision_cfg": {**VISION, "image_size": [64, 48]}}),
            "is evaluated at 64 x 48 pixels",
        ),
    ],
)
def test_a_description_that_does_not_fit_costs_one_line(made, content, said, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(content)
    with pytest.raises(ModelError) as error:
        load(parse_spec(f"open_clip/tiny@{made('vit')[1]},config={config},templates=single"))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_download_that_fails_costs_one_line(monkeypatch):
    def fail(*_, **__):
        raise OSError("no route\nto the host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ModelError, match=r"cannot download the weights of open_clip/ViT-B-32,openai \(no route\); "):
        load(parse_spec("open_clip/ViT-B-32,openai"))


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_what_a_repository_holds_is_found(name, monkeypatch, tmp_path):
    """Safetensors are asked for first; the Hub's repository and file come from open_clip's table."""
    (tmp_path / name).write_bytes(b"weights")
    asked = []

    def snapshot(repository, revision, allow_patterns):
        asked.append((repository, *allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    entry = open_clip.get_pretrained_cfg("ViT-B-32", "openai")
    assert ours._download(parse_spec("open_clip/ViT-B-32,openai"), entry) == tmp_path / name
    assert asked[0] == ("timm/vit_base_patch32_clip_224.openai", "open_clip_model.safetensors")
    assert asked[-1][1] == name
    with pytest.raises(ModelError, match="org/name holds no weights file that is known"):
        ours._download(parse_spec("open_clip/ViT-B-32,openai"), {"hf_hub": "org/name/other.pt"})


def test_every_published_set_of_weights_can_be_shown_its_own_views():
    for arch, tag in open_clip.list_pretrained():
        config = open_clip.get_model_config(arch)
        if config is None:
            continue  # in the table, but open_clip itself cannot make it
        size = config["vision_cfg"].get("image_size", 224)
        own, mean, std = ours.own_transform(open_clip.get_pretrained_cfg(arch, tag) | {"size": size}, arch)
        assert own.size == own.resize == size
        assert len(mean) == len(std) == 3
