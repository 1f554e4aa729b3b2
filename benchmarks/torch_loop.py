"""The zoom study as a good PyTorch loop: each image decoded once, resized 36 times and cut into its 324 views.

Eager float32 in channels-last, batches of 36, all cores: two loader workers cut views while the network computes. Views
travel as uint8 and are normalised in the batch. Prints JSON (its start-up left out); with `--out` also writes the best
class of every image and zoom.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from snellen.classifiers.sources import load
from snellen.classifiers.spec import parse_spec
from snellen.zoom import SCALES

SIZE = 224
BATCH = 36


class Views(Dataset):
    """All views of one image: uint8 `[324, 224, 224, 3]`, by scale, row and column."""

    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        with Image.open(self.files[index]) as file:
            image = file.convert("RGB")
        views = torch.empty((len(SCALES), 3, 3, SIZE, SIZE, 3), dtype=torch.uint8)
        pixels = views.numpy()
        short, long = min(image.size), max(image.size)
        for k, scale in enumerate(SCALES):
            longer = int(scale * long / short)
            width, height = (scale, longer) if image.width <= image.height else (longer, scale)
            resized = image.resize((width, height), Image.Resampling.BICUBIC)
            for row in range(3):
                top = row * (height // 3) + (height // 3) // 2 - SIZE // 2
                for col in range(3):
                    left = col * (width // 3) + (width // 3) // 2 - SIZE // 2
                    pixels[k, row, col] = resized.crop((left, top, left + SIZE, top + SIZE))
        return views.flatten(0, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    suffixes = {".jpg", ".jpeg", ".png"}
    files = sorted(p for p in options.data.glob("*/*") if p.suffix.lower() in suffixes)[: options.limit]
    loaded = load(parse_spec(options.model))
    network = loaded.module.eval().to(memory_format=torch.channels_last)
    mean = 255 * torch.tensor(loaded.mean).view(3, 1, 1)
    scale = 1 / (255 * torch.tensor(loaded.std).view(3, 1, 1))
    best = np.zeros((len(files), len(SCALES) * 9), np.int16)
    start = time.perf_counter()
    with torch.inference_mode():
        for k, views in enumerate(DataLoader(Views(files), batch_size=None, num_workers=2)):
            for at in range(0, len(views), BATCH):
                batch = views[at : at + BATCH].permute(0, 3, 1, 2).float()  # channels-last, as it lies in memory
                best[k, at : at + BATCH] = network(batch.sub_(mean).mul_(scale)).argmax(1)
    seconds = time.perf_counter() - start
    print(json.dumps({"images": len(files), "views": best.size, "seconds": seconds}))
    if options.out:
        np.savez_compressed(options.out, files=[p.relative_to(options.data).as_posix() for p in files], best=best)


if __name__ == "__main__":
    main()
