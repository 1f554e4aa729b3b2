"""Folders of empty files, files of guesses about them, and plain recounts."""

import csv
import math

import numpy as np
from scipy.special import softmax

from snellen.labels import IMAGENET_1K

WNIDS = IMAGENET_1K.keys
FOLDERS = (1, 207, 980, 999)


def make_folder(root):
    """Twelve empty files, three in the folder of each of four classes: path and class of each, in order."""
    truth = {f"{WNIDS[k]}/img_{k}_{j}.JPEG": k for k in FOLDERS for j in range(3)}
    for name in truth:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return truth


def write_csv(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def hits(scores, source=0):
    return scores.scores[source].top1.hits, scores.scores[source].top1.n


def some_right(truth):
    """A guess about each file, of which 7 are right."""
    return {name: k if place < 7 else (k + 1) % 1000 for place, (name, k) in enumerate(truth.items())}


def five(k, place):
    """Five classes with `k` at a place, or nowhere where the place is 5."""
    others = [(k + 10 * j) % 1000 for j in range(1, 6)]
    return [*others[:place], k, *others[place:]][:5]


def recount(truth, logits, taking_part=None):
    """Top-1, top-5 and calibration error, an image at a time."""
    right1 = right5 = 0
    bins = [[] for _ in range(15)]
    for k, row in zip(truth.values(), logits.astype(np.float64), strict=True):
        ids = range(1000) if taking_part is None else taking_part
        ranked = sorted(ids, key=lambda i: -row[i])
        right1 += ranked[0] == k
        right5 += k in ranked[:5]
        sure = softmax(row[list(ids)]).max()
        bins[min(14, math.ceil(sure * 15) - 1)].append((sure, ranked[0] == k))
    error = sum(abs(sum(s for s, _ in b) - sum(r for _, r in b)) for b in bins) / len(truth)
    return right1, right5, error
