"""The zoom study the plain way, as scripts do it today: one pass over the folder for each of the 324 framings.

Each pass decodes, resizes, crops, normalises and classifies every image again (float32, eager, batches of 16, two
loader workers). The start of each pass's loader is inside the timed part, as it is in the published recipe. `--every
12` makes every 12th pass only, enough to measure speed. Prints JSON; with `--out` (all passes) also writes the best
class of every image and zoom.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.functional as tf
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode

from snellen.classifiers.sources import load
from snellen.classifiers.spec import parse_spec
from snellen.zoom import SCALES


class OnePass(Dataset):
    """The images at one framing."""

    def __init__(self, files, scale, row, col, mean, std):
        self.files, self.scale, self.row, self.col, self.mean, self.std = files, scale, row, col, mean, std

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        with Image.open(self.files[index]) as file:
            image = tf.resize(file.convert("RGB"), self.scale, InterpolationMode.BICUBIC)
        width, height = image.size
        left = self.col * (width // 3) + (width // 3) // 2 - 112
        top = self.row * (height // 3) + (height // 3) // 2 - 112
        return tf.normalize(tf.to_tensor(tf.crop(image, top, left, 224, 224)), self.mean, self.std)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    suffixes = {".jpg", ".jpeg", ".png"}
    files = sorted(p for p in options.data.glob("*/*") if p.suffix.lower() in suffixes)[: options.limit]
    loaded = load(parse_spec(options.model))
    passes = [(k, row, col) for row in range(3) for col in range(3) for k in range(len(SCALES))][:: options.every]
    best = np.zeros((len(files), len(SCALES) * 9), np.int16)
    top2 = np.zeros((len(files), len(SCALES) * 9, 2), np.float32)
    start = time.perf_counter()
    with torch.inference_mode():
        for k, row, col in passes:
            views = OnePass(files, SCALES[k], row, col, loaded.mean, loaded.std)
            at, zoom = 0, 9 * k + 3 * row + col
            for batch in DataLoader(views, batch_size=16, num_workers=2):
                values, classes = loaded.module(batch).softmax(1).topk(2)
                best[at : at + len(batch), zoom], top2[at : at + len(batch), zoom] = classes[:, 0], values
                at += len(batch)
    seconds = time.perf_counter() - start
    print(json.dumps({"images": len(files), "views": len(passes) * len(files), "seconds": seconds}))
    if options.out and options.every == 1:
        ids = [p.relative_to(options.data).as_posix() for p in files]
        np.savez_compressed(options.out, files=ids, best=best, top2=top2)


if __name__ == "__main__":
    main()
