"""A validation loop as timm's script has it: eager float32, timm's own loader and transform, two loader workers.

Prints JSON: images, seconds (loading the network left out), how many top-1 answers are right.
"""

import argparse
import json
import time
from pathlib import Path

import timm
import torch
from timm.data import ImageDataset, create_loader, resolve_data_config

from snellen.classifiers.sources import load
from snellen.classifiers.spec import parse_spec
from snellen.labels import IMAGENET_1K


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()
    spec = parse_spec(options.model)
    loaded = load(spec)
    config = resolve_data_config({}, model=timm.create_model(spec.name, pretrained=False))
    classes = {wnid: IMAGENET_1K.find(wnid) for wnid in {path.name for path in options.data.iterdir()}}
    loader = create_loader(
        ImageDataset(str(options.data), class_map=classes),
        input_size=config["input_size"],
        batch_size=options.batch_size,
        use_prefetcher=False,
        interpolation=config["interpolation"],
        mean=loaded.mean,
        std=loaded.std,
        num_workers=2,
        crop_pct=config["crop_pct"],
        crop_mode=config["crop_mode"],
        device=torch.device("cpu"),
    )
    images = right = 0
    start = time.perf_counter()
    with torch.inference_mode():
        for batch, target in loader:
            right += (loaded.module(batch).argmax(1) == target).sum().item()
            images += len(batch)
    print(json.dumps({"images": images, "seconds": time.perf_counter() - start, "right": right}))


if __name__ == "__main__":
    main()
