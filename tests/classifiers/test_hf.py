"""Models of transformers: the library's own logits, class spaces, and folders that are refused."""

import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import AutoImageProcessor

from snellen.classifiers import hf
from snellen.classifiers.backend_openvino import OpenVinoClassifier
from snellen.classifiers.base import IMAGENET_MEAN
from snellen.classifiers.convert import describe, to_openvino
from snellen.classifiers.hf import class_space
from snellen.classifiers.network import ViewNetwork
from snellen.classifiers.prepare import prepare
from snellen.classifiers.processor import own_transform, processing_of, read_processor
from snellen.classifiers.prompts import read_prompts
from snellen.classifiers.sources import load
from snellen.classifiers.spec import parse_spec
from snellen.classifiers.weights import stored_sha256
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K
from snellen.zoom.render import render

pytestmark = pytest.mark.usefixtures("one_thread")

LABELS = [", ".join(words) for words in IMAGENET_1K.synonyms]
VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
TOWER = {**VIT, "image_size": 64, "patch_size": 16}


def named(*labels):
    return {"id2label": dict(enumerate(labels)), "label2id": {label: k for k, label in enumerate(labels)}}


def few(count):
    return named(*(f"kind {k}" for k in range(count)))


# Each: the model's class, its configuration, its image processor.
CLASSIFIERS = {
    "vit": (
        transformers.ViTForImageClassification,
        transformers.ViTConfig(**TOWER, **few(7)),
        transformers.ViTImageProcessor(size={"height": 64, "width": 64}),
    ),
    "convnext": (
        transformers.ConvNextForImageClassification,
        transformers.ConvNextConfig(depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], **few(7)),
        transformers.ConvNextImageProcessor(size={"shortest_edge": 96}, crop_pct=0.9),
    ),
    "mobilevit": (
        transformers.MobileViTForImageClassification,
        transformers.MobileViTConfig(
            hidden_sizes=[16, 24, 32], neck_hidden_sizes=[8, 8, 8, 16, 16, 16, 32], image_size=64, **few(7)
        ),
        transformers.MobileViTImageProcessor(size={"shortest_edge": 73}, crop_size={"height": 64, "width": 64}),
    ),
    "efficientnet": (
        transformers.EfficientNetForImageClassification,
        transformers.EfficientNetConfig(width_coefficient=0.2, depth_coefficient=0.1, hidden_dim=256, **few(7)),
        transformers.EfficientNetImageProcessor(
            size={"height": 70, "width": 70}, rescale_factor=1 / 127.5, rescale_offset=True
        ),
    ),
    "deit": (
        transformers.DeiTForImageClassificationWithTeacher,
        transformers.DeiTConfig(**TOWER, **few(7)),
        transformers.DeiTImageProcessor(size={"height": 77, "width": 77}, crop_size={"height": 64, "width": 64}),
    ),
}  # fmt: skip


def save(folder, kind, config, processor):
    """A model with random weights that tell pictures apart, as the Hub would keep it."""
    torch.manual_seed(0)
    model = kind(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim > 1 and "position" not in name and "token" not in name:
                value.mul_(1.5 / (value.std() * value[0].numel() ** 0.5))
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.ones_(part.weight)
                part.momentum = None
                part.train()
        if any(isinstance(part, nn.BatchNorm2d) for part in model.modules()):
            model(pixel_values=torch.rand(4, 3, 64, 64) * torch.tensor([1.0, 2.0, 4.0, 8.0]).view(4, 1, 1, 1) - 2)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return model


def shown(loaded, images):
    """Logits, and the embedding if any, of images through Snellen's renderer and normalisation."""
    network = ViewNetwork(loaded.module.eval(), loaded.mean, loaded.std, len(loaded.space))
    with torch.inference_mode():
        return network(torch.from_numpy(np.stack([render(image, [loaded.own.rule()])[0] for image in images])))


@pytest.fixture(scope="module")
def images(examples_dir):
    return [Image.open(path).convert("RGB") for path in sorted(examples_dir.glob("*.jpg"))[:4]]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_logits_are_those_of_transformers_itself(name, images, tmp_path):
    model = save(tmp_path, *CLASSIFIERS[name])
    loaded = load(parse_spec(f"hf/me/{name}@{tmp_path}"))
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    with torch.inference_mode():
        expected = model(pixel_values=processor(images=images, return_tensors="pt")["pixel_values"]).logits
    logits, *embedding = shown(loaded, images)
    assert (logits - expected).abs().max() < 1e-5 * (1 + expected.abs().max())
    assert expected.std(0).max() > 1e-3, "the pictures do not look alike to it"
    assert loaded.space.keys == tuple(f"kind {k}" for k in range(7))
    assert embedding


@pytest.mark.parametrize("labels", [["background", *LABELS], [f"LABEL_{k}" for k in range(1001)]])
def test_a_background_class_is_left_out(labels, images, tmp_path):
    config = transformers.MobileNetV1Config(depth_multiplier=0.25, image_size=64, **named(*labels))
    processor = transformers.MobileNetV1ImageProcessor(
        size={"shortest_edge": 73}, crop_size={"height": 64, "width": 64}
    )
    model = save(tmp_path, transformers.MobileNetV1ForImageClassification, config, processor)
    loaded = load(parse_spec(f"hf/me/mobilenet@{tmp_path}"))
    theirs = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")(images=images, return_tensors="pt")
    with torch.inference_mode():
        expected = model(pixel_values=theirs["pixel_values"]).logits
    logits, _embedding = shown(loaded, images)
    assert loaded.space is IMAGENET_1K
    assert (logits - expected[:, 1:]).abs().max() < 1e-5 * (1 + expected.abs().max())
    assert expected.std(0).max() > 1e-3, "the pictures do not look alike to it"
    assert any("background" in note for note in loaded.notes)


def tokenizer(*texts, **arguments):
    """One token a word, as transformers keeps a tokenizer; the end has the highest number."""
    words = sorted({word for text in texts for word in text.lower().replace(".", " .").split()})
    vocabulary = {word: k for k, word in enumerate(["<pad>", "<start>", "<unk>", *words, "<end>"])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(token, vocabulary[token]) for token in ("<start>", "<end>")]
    made.post_processor = processors.TemplateProcessing(single="<start> $A <end>", special_tokens=ends)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", eos_token="<end>", **arguments
    )


@pytest.fixture(scope="module")
def two_towers(tmp_path_factory):
    """`two_towers(kind)`: the folder, the model and the tokenizer of a small CLIP or SigLIP with random weights."""
    known = {}
    prompts = read_prompts({"templates": "single"}, IMAGENET_1K)
    texts = [text for name in prompts.names for text in prompts.texts(name)]

    def make(kind):
        if kind in known:
            return known[kind]
        folder = tmp_path_factory.mktemp(kind)
        if kind == "clip":
            tokens = tokenizer(*texts, model_max_length=24)
            text = {**VIT, "vocab_size": len(tokens), "max_position_embeddings": 24, "eos_token_id": len(tokens) - 1}
            config = transformers.CLIPConfig(text_config=text, vision_config=TOWER, projection_dim=24)
            processor = transformers.CLIPImageProcessor(size={"shortest_edge": 64}, crop_size=64)
            model = save(folder, transformers.CLIPModel, config, processor)
        else:
            tokens = tokenizer(*texts, model_input_names=["input_ids"])
            text = {**VIT, "vocab_size": len(tokens), "max_position_embeddings": 64}
            config = transformers.SiglipConfig(text_config=text, vision_config=TOWER)
            processor = transformers.SiglipImageProcessor(size={"height": 64, "width": 64})
            model = save(folder, transformers.SiglipModel, config, processor)
        tokens.save_pretrained(folder)
        known[kind] = (folder, model, tokens)
        return known[kind]

    return make


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_zero_shot_logits_are_those_of_transformers_itself(two_towers, kind, images, tmp_path):
    folder, model, tokens = two_towers(kind)
    classes = tmp_path / "classes.txt"
    classes.write_text("\n".join(IMAGENET_1K.keys[:30]))
    loaded = load(parse_spec(f"hf/me/{kind}@{folder},classes={classes},templates=single"))
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    prompts = read_prompts({"templates": "single"}, loaded.space)
    padding = {"padding": True} if kind == "clip" else {"padding": "max_length", "max_length": 64}
    given = tokens([text for name in prompts.names for text in prompts.texts(name)], return_tensors="pt", **padding)
    pixels = processor(images=images, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        expected = model(**given, pixel_values=pixels).logits_per_image
    if kind == "siglip":
        expected = expected - model.logit_bias
        assert any("logit bias" in note for note in loaded.notes)
    logits, embedding = shown(loaded, images)
    assert (logits - expected).abs().max() < 1e-5 * (1 + expected.abs().max())
    assert torch.allclose(embedding.norm(dim=1), torch.ones(len(images)))
    assert [name for name, _ in loaded.inputs] == ["classnames", "templates"]
    assert load(parse_spec(f"hf/me/{kind}@{folder},classes={classes},normalize=imagenet")).mean == IMAGENET_MEAN


def test_both_backends_agree_and_a_worker_makes_no_head(two_towers, monkeypatch):
    spec = f"hf/me/clip@{two_towers('clip')[0]},templates=single"
    compiled = prepare(spec)
    assert compiled.card.view_size == 64, "its position embeddings fit no other size"
    views = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda *_, **__: pytest.fail("made again"))
    one = compiled.with_batch(5).classifier().logits(views)
    other = replace(compiled, backend="torch").classifier().logits(views)  # as a worker loads it
    assert np.abs(one - other).max() < 1e-3 * (1 + np.abs(other).max())
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("the model was loaded again"))
    assert prepare(spec) == compiled


@pytest.mark.parametrize("name", ["efficientnet", "siglip"])
def test_they_convert(name, two_towers, images, tmp_path):
    if name == "siglip":
        folder = two_towers(name)[0]
    else:
        folder = tmp_path / "model"
        save(folder, *CLASSIFIERS[name])
    loaded = load(parse_spec(f"hf/me/{name}@{folder}" + (",templates=single" if name == "siglip" else "")))
    card = describe(loaded, name, own=True)
    to_openvino(loaded.module, card, tmp_path / "model.xml")
    views = np.stack([render(image, [loaded.own.rule()])[0] for image in images])
    logits = OpenVinoClassifier(tmp_path / "model.xml", "fp32", len(views)).logits(views)
    np.testing.assert_allclose(logits, shown(loaded, images)[0].numpy(), atol=1e-3 * (1 + np.abs(logits).max()))


def test_every_file_of_the_folder_counts(tmp_path):
    save(tmp_path, *CLASSIFIERS["vit"])
    seen = {stored_sha256(tmp_path)}
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text((tmp_path / name).read_text() + " ")
        seen.add(stored_sha256(tmp_path))
    (tmp_path / "vocabulary.txt").write_text("one")
    seen.add(stored_sha256(tmp_path))
    (tmp_path / "README.md").write_text("nothing that counts")
    seen.add(stored_sha256(tmp_path))
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("labels", "space", "background", "said"),
    [
        (LABELS, "imagenet-1k", 0, ""),
        ([words[-1].upper().replace(" ", "_") for words in IMAGENET_1K.synonyms], "imagenet-1k", 0, ""),
        (list(IMAGENET_1K.keys), "imagenet-1k", 0, ""),
        (["background", *LABELS], "imagenet-1k", 1, ""),
        ([f"LABEL_{k}" for k in range(1000)], "imagenet-1k", 0, "no names"),
        ([*LABELS[:-9], *"abcdefghi"], "imagenet-1k", 0, "9 of its class names are spelled unlike ImageNet's"),
        (LABELS[::-1], "custom", 0, ""),
        (LABELS[:999], "custom", 0, ""),
        (["cat", "dog"], "custom", 0, ""),
    ],
)
def test_class_spaces(labels, space, background, said):
    if space == "custom" and len(labels) > 2:
        labels = [f"{label} {k}" for k, label in enumerate(labels)]  # of_names wants them unique
    found, dropped, notes = class_space(labels)
    assert (found.name, dropped) == (space, background)
    assert said in " ".join(notes)
    assert bool(notes) == bool(said)


def test_a_folder_without_a_head_is_refused(tmp_path):
    kind, config, processor = CLASSIFIERS["vit"]
    save(tmp_path, transformers.ViTModel, config, processor)
    with pytest.raises(ModelError, match=r"lacks weights of ViTForImageClassification \(classifier.bias, ") as error:
        load(parse_spec(f"hf/me/vit@{tmp_path}"))
    assert "\n" not in str(error.value)
    assert kind is not transformers.ViTModel


@pytest.mark.parametrize("place", ["config.json", "preprocessor_config.json"])
def test_code_in_a_folder_is_never_run(place, tmp_path):
    save(tmp_path, *CLASSIFIERS["vit"])
    proof = tmp_path / "proof"
    (tmp_path / "code.py").write_text(f"open({str(proof)!r}, 'w')\n")
    settings = json.loads((tmp_path / place).read_text())
    kinds = {"config.json": ["AutoConfig", "AutoModelForImageClassification"]}.get(place, ["AutoImageProcessor"])
    settings |= {
        "auto_map": dict.fromkeys(kinds, "code.Any"),
        "model_type": "unknown",
        "image_processor_type": "Any",
    }
    (tmp_path / place).write_text(json.dumps(settings))
    with pytest.raises(ModelError) as error:
        load(parse_spec(f"hf/me/vit@{tmp_path}"))
    assert "\n" not in str(error.value)
    assert not proof.exists()


def test_a_pickle_of_more_than_weights_is_refused(tmp_path):
    save(tmp_path, *CLASSIFIERS["vit"])
    (tmp_path / "model.safetensors").unlink()
    torch.save({"vit": print}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot read hf/me/vit") as error:
        load(parse_spec(f"hf/me/vit@{tmp_path}"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hf/me/vit@{folder},revision=main", "a revision goes with the Hub"),
        ("hf/me/vit@{folder}/config.json", "config.json' is a file; @ takes a folder"),
        ("hf/me/vit@{folder},templates=single", "has a classifier of its own; templates= goes with two-tower models"),
        ("hf/me/vit@{folder},colour=1", "take no option 'colour'"),
    ],
)
def test_a_wrong_call_costs_one_line(text, said, tmp_path):
    save(tmp_path, *CLASSIFIERS["vit"])
    with pytest.raises(ModelError) as error:
        load(parse_spec(text.format(folder=tmp_path)))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_hub_is_asked_for_safetensors_first_and_remembered(tmp_path, monkeypatch):
    import huggingface_hub

    save(tmp_path / "abcdef0123456789", *CLASSIFIERS["vit"])
    asked = []

    def snapshot(name, revision, allow_patterns):
        asked.append((name, revision, allow_patterns))
        return str(tmp_path / "abcdef0123456789")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    loaded = load(parse_spec("hf/me/vit,revision=v2"))
    assert [(name, revision) for name, revision, _ in asked] == [("me/vit", "v2")]
    assert not any(pattern.endswith(".bin") for pattern in asked[0][2])
    assert loaded.weights_file == tmp_path / "abcdef0123456789"
    assert loaded.notes == ("revision abcdef012345",)
    monkeypatch.setattr(hf, "WEIGHTS", (["none.safetensors"], ["none.bin"]))
    with pytest.raises(ModelError, match="the Hub's me/vit holds no weights that transformers reads"):
        load(parse_spec("hf/me/vit"))


def test_no_network_costs_one_line(monkeypatch):
    import huggingface_hub

    def fail(*_, **__):
        raise OSError("no route\nto the host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ModelError, match=r"cannot download the weights of hf/me/vit \(no route\); "):
        load(parse_spec("hf/me/vit"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": {"shortest_edge": 64}, "do_center_crop": False}, "do_center_crop=False"),
        ({"size": {"height": 64, "width": 48}}, "size={'height': 64, 'width': 48}"),
        ({"size": {"shortest_edge": 64, "longest_edge": 90}}, "size={"),
        ({"do_resize": False}, "do_resize=False"),
        ({"crop_size": {"height": 64, "width": 48}}, "crop_size={'height': 64, 'width': 48}"),
        ({"resample": 5}, "resample=5"),
    ],
)
def test_a_processor_that_cannot_be_followed_is_named_by_its_field(settings, said):
    with pytest.raises(ModelError) as error:
        own_transform(transformers.CLIPImageProcessorPil(**settings), "hf/me/clip")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_processor_that_does_more_than_its_fields_say_is_refused(tmp_path):
    transformers.PerceiverImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="does something else than its size"):
        processing_of(read_processor(tmp_path), "hf/me/perceiver")
