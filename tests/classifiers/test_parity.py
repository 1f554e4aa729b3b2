"""The tensor that a library's own evaluation transform makes of a photograph is the one a network is shown here."""

import json

import open_clip
import pytest
import timm
import torch
import torchvision.models
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from timm.data import create_transform, resolve_data_config
from torch import nn

from snellen.classifiers import open_clip as our_open_clip
from snellen.classifiers import timm as our_timm
from snellen.classifiers import torchvision as our_torchvision
from snellen.classifiers.base import OwnTransform
from snellen.classifiers.network import ViewNetwork
from snellen.classifiers.processor import processing_of, read_processor
from snellen.zoom.render import render

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def photographs(examples_dir):
    """Every shipped photograph, and cuts of one of them in shapes that round in every way."""
    images = [Image.open(path).convert("RGB") for path in sorted(examples_dir.glob("*.jpg"))]
    first = images[0]
    return images + [first.crop((0, 0, w, h)) for w, h in ((301, 40), (37, 403), (225, 224), (97, 98), (512, 333))]


def given(image, own, mean, std):
    """What the network is given: our view, normalised as every network's views are."""
    views = torch.from_numpy(render(image, [own.rule()]))
    return ViewNetwork(nn.Identity(), tuple(mean), tuple(std), 1)(views)[0][0]


# Centre crop, squash, crop shares from 0.875 to 1, sizes up to 800, bilinear and bicubic.
TIMM = [
    "resnet50.tv_in1k",
    "resnet50.a1_in1k",
    "mobilenetv2_100.ra_in1k",
    "tf_efficientnet_b7.ns_jft_in1k",
    "tf_efficientnet_l2.ns_jft_in1k",
    "vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "beitv2_base_patch16_224.in1k_ft_in22k_in1k",
    "eva02_large_patch14_448.mim_m38m_ft_in22k_in1k",
    "convnext_small.fb_in22k_ft_in1k_384",
    "swinv2_tiny_window8_256.ms_in1k",
    "inception_v3.tv_in1k",
    "mixer_b16_224.goog_in21k_ft_in1k",
]


@pytest.mark.parametrize("name", TIMM)
def test_timm(name, photographs):
    config = resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    own = our_timm.own_transform(config, name)
    transform = create_transform(**config, is_training=False)
    for image in photographs:
        assert torch.equal(given(image, own, config["mean"], config["std"]), transform(image))


def test_timm_covers_what_it_says():
    found = [resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(name).to_dict()) for name in TIMM]
    assert {config["crop_mode"] for config in found} == {"center", "squash"}
    assert {config["interpolation"] for config in found} == {"bilinear", "bicubic"}
    assert len({config["crop_pct"] for config in found}) >= 5
    assert max(config["input_size"][1] for config in found) == 800


@pytest.mark.parametrize("name", ["lanczos", "nearest"])
def test_timm_other_filters(name, photographs):
    config = {"input_size": (3, 224, 224), "crop_pct": 0.9, "crop_mode": "center", "interpolation": name}
    config |= {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    own = our_timm.own_transform(config, "made up")
    for image in photographs:
        expected = create_transform(**config, is_training=False)(image)
        assert torch.equal(given(image, own, config["mean"], config["std"]), expected)


@pytest.mark.parametrize(
    "weights",
    [
        torchvision.models.AlexNet_Weights.IMAGENET1K_V1,
        torchvision.models.ResNet50_Weights.IMAGENET1K_V2,
        torchvision.models.EfficientNet_B0_Weights.IMAGENET1K_V1,
        torchvision.models.EfficientNet_B7_Weights.IMAGENET1K_V1,
        torchvision.models.ViT_B_32_Weights.IMAGENET1K_V1,
        torchvision.models.ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1,
        torchvision.models.Inception_V3_Weights.IMAGENET1K_V1,
        torchvision.models.Swin_V2_T_Weights.IMAGENET1K_V1,
    ],
    ids=str,
)
def test_torchvision(weights, photographs):
    transform = weights.transforms()
    own = our_torchvision.own_transform(transform)
    for image in photographs:
        assert torch.equal(given(image, own, transform.mean, transform.std), transform(image))


def test_efficientnet_b7_is_shown_600_pixels():
    own = our_torchvision.own_transform(torchvision.models.EfficientNet_B7_Weights.IMAGENET1K_V1.transforms())
    assert own == OwnTransform(600, 600, "bicubic")


@pytest.mark.parametrize(
    ("arch", "tag"),
    [
        ("ViT-L-14-336", "openai"),
        ("ViT-L-14", "laion2b_s32b_b82k"),
        ("RN50x4", "openai"),
        ("ViT-SO400M-14-SigLIP-384", "webli"),
        ("ViT-H-14-CLIPA-336", "datacomp1b"),
        ("MobileCLIP-S1", "datacompdr"),
    ],
)
def test_open_clip(arch, tag, photographs):
    config = open_clip.get_pretrained_cfg(arch, tag) | {
        "size": open_clip.get_model_config(arch)["vision_cfg"]["image_size"]
    }
    own, mean, std = our_open_clip.own_transform(config, arch)
    fields = ("size", "mean", "std", "interpolation", "resize_mode")
    transform = image_transform_v2(PreprocessCfg(**{key: config[key] for key in fields}), is_train=False)
    for image in photographs:
        assert torch.equal(given(image, own, mean, std), transform(image))


PROCESSORS = [
    {"image_processor_type": "CLIPImageProcessor"},
    {"feature_extractor_type": "CLIPFeatureExtractor", "size": 336, "crop_size": 336},
    {"image_processor_type": "ViTImageProcessor"},
    {"image_processor_type": "ViTImageProcessor", "size": {"height": 384, "width": 384}, "resample": 3},
    {"image_processor_type": "SiglipImageProcessor", "size": {"height": 256, "width": 256}},
    {"image_processor_type": "DeiTImageProcessor"},
    {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}},
    {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}, "crop_pct": 0.875},
    {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}},
    {"image_processor_type": "PoolFormerImageProcessor", "crop_pct": 0.95},
    {"image_processor_type": "LevitImageProcessor"},
    {"image_processor_type": "MobileNetV1ImageProcessor"},
    {"image_processor_type": "MobileViTImageProcessor", "size": {"shortest_edge": 288}},
    {"image_processor_type": "BeitImageProcessor", "do_center_crop": False},
    {"image_processor_type": "EfficientNetImageProcessor"},
    {
        "image_processor_type": "EfficientNetImageProcessor",
        "rescale_factor": 1 / 127.5,
        "rescale_offset": True,
        "do_normalize": False,
        "include_top": False,
        "do_center_crop": True,
    },
]


@pytest.mark.parametrize("settings", PROCESSORS, ids=lambda s: "-".join(map(str, s.values()))[:60])
def test_transformers(settings, photographs, tmp_path):
    """The same pixels, and the same numbers but for rounding: transformers multiplies by 1 / 255 where we divide."""
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    processor = read_processor(tmp_path)
    found = processing_of(processor, "made up")
    for image in photographs:
        theirs = processor(images=image, return_tensors="pt")["pixel_values"][0]
        ours = given(image, found.own, found.mean, found.std)
        if found.bgr:
            ours = ours.flip(0)
        assert (ours - theirs).abs().max() <= 1e-6 * (1 + theirs.abs().max())
        mean, std = (torch.tensor(value).view(3, 1, 1) for value in (found.mean, found.std))
        views = [((value.flip(0) if found.bgr else value) * std + mean) * 255 for value in (ours, theirs)]
        assert torch.equal(*(view.round().to(torch.uint8) for view in views))
