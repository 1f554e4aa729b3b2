"""Copies planted among photographs: how many of each kind are found, and how many pairs are false.

python benchmarks/duplicates.py DATA --checkpoint FILE [--limit 300] [--all-pairs]

Each kind is planted by itself: the photographs are one data set, a copy of each is the other. A pair is false where two
images of one cluster do not come from the same photograph; what is found among the photographs themselves is listed, to
be looked at. `near` are copies that get as far as being compared: with a hash within `BITS`, or among the `NEIGHBOURS`
nearest by embeddings. CPU time is for each image of both data sets. With `--all-pairs` every two photographs are
compared, not only those that look alike.
"""

import io
import itertools
import random
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import common
from snellen.classifiers import prepare
from snellen.datasets import open_dataset
from snellen.engine.progress import Progress
from snellen.mining.duplicates import check as duplicates_check
from snellen.mining.duplicates.describe import describe
from snellen.mining.duplicates.duplicates import Source, find_duplicates
from snellen.mining.duplicates.hash import ORIENTATIONS, UPRIGHT, distances, turned
from snellen.mining.duplicates.near import BITS, NEIGHBOURS, Candidates, Looks, view_similarity
from snellen.mining.duplicates.points import find_frame, find_points, grey

EMBEDDED = "embedded/efficientnet_lite0"


def cut(image, share, rng):
    """A part of an image, `share` of its width and of its height, anywhere in it."""
    width, height = round(share * image.width), round(share * image.height)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def halved(image):
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BICUBIC)


# What is done to an image, and the quality of the JPEG that it is written as.
KINDS = {
    "quality 40": (lambda image, rng: image, 40),
    "half size": (lambda image, rng: halved(image), 90),
    "10 % of each side cut off": (lambda image, rng: cut(image, 0.9, rng), 90),
    "30 % of each side cut off": (lambda image, rng: cut(image, 0.7, rng), 90),
    "50 % of each side cut off": (lambda image, rng: cut(image, 0.5, rng), 90),
    "flipped": (lambda image, rng: ImageOps.mirror(image), 90),
    "flipped, 30 % of each side cut off": (lambda image, rng: ImageOps.mirror(cut(image, 0.7, rng)), 90),
    "rotated by 90°": (lambda image, rng: image.transpose(Image.Transpose.ROTATE_90), 90),
}


def plant(data, kind, folder):
    """A copy of each image of `data` in a folder, under the same name."""
    change, quality = KINDS[kind]
    rng = random.Random(kind)
    for k, item in enumerate(data.items):
        path = folder / f"{item.id}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(io.BytesIO(data.read(k))) as image:
            change(image.convert("RGB"), rng).save(path, quality=quality)
    return folder


def pairs_of(table, plain):
    """Every two images of a cluster, as (is a copy, name of the photograph)."""
    members = defaultdict(list)
    for row in table.to_pylist():
        copied = row["origin"] != plain
        members[row["cluster"]].append((copied, row["image_id"].removesuffix(".jpg") if copied else row["image_id"]))
    return [pair for cluster in members.values() for pair in itertools.combinations(cluster, 2)]


def looks_of(data, model):
    """Hashes and embeddings of each image of a data set."""
    blocks = list(describe(Source(data).pictures, model, Progress(1)))
    return [np.concatenate([getattr(block, name) for block in blocks]) for name in ("hashes", "views")]


def near_by_hash(own, copies):
    """The share of copies whose hash is near enough to that of their image, in percent."""
    bits = np.array([distances(a[None, UPRIGHT], b[None])[0, 0] for a, b in zip(own, copies, strict=True)])
    return f"{100 * (bits <= BITS).mean():.1f}"


def near_by_views(own, copies):
    """The share of copies that are among the nearest to their image or it to them, by embeddings, in percent."""
    if not own.size:
        return "–"
    both = np.concatenate([own, copies])
    alike = view_similarity(both, both)
    np.fill_diagonal(alike, -1)
    image, n = np.arange(len(both)), len(own)
    twin = alike[image, (image + n) % (2 * n)]
    rank = (alike > twin[:, None]).sum(axis=1)
    return f"{100 * (np.minimum(rank[:n], rank[n:]) < NEIGHBOURS).mean():.1f}"


def measure(data, model, kinds, folder):
    rows, among, n = [], set(), len(data.items)
    own = looks_of(data, model)
    for kind in kinds:
        copies = open_dataset(str(folder / kind))
        hashes, views = looks_of(copies, model)
        started = time.process_time()
        table = find_duplicates([Source(data), Source(copies)], model=model)
        spent = 1000 * (time.process_time() - started) / (2 * n)
        pairs = pairs_of(table, data.name)
        found = {one for (_, one), (_, other) in pairs if one == other}
        apart = {tuple(sorted((one, other))) for (_, one), (_, other) in pairs if one != other}
        among |= {tuple(sorted((one, other))) for (x, one), (y, other) in pairs if one != other and not (x or y)}
        scores = [row["score"] for row in table.to_pylist() if row["score"] is not None]
        least = f"{min(scores):.2f}" if scores else "–"
        near = near_by_hash(own[0], hashes), near_by_views(own[1], views)
        rows.append((kind, *near, f"{100 * len(found) / n:.1f}", len(apart), least, f"{spent:.0f}"))
    return rows, among


def nearest_of_all(data, count=5):
    """Of every two images with enough points that agree, the largest agreement of their details."""
    greys = [grey(Image.open(io.BytesIO(data.read(k)))) for k in range(len(data.items))]
    points = [find_points(image) for image in greys]
    arrays = [np.asarray(image) for image in greys]
    matched, found = 0, []
    for a in range(len(greys)):
        oriented = [points[a].turned(orientation) for orientation in ORIENTATIONS]
        for b in range(a):
            for orientation, one in zip(ORIENTATIONS, oriented, strict=True):
                frame = find_frame(one, points[b])
                if frame and frame.matches >= duplicates_check.MATCHES:
                    score, shares = duplicates_check.agreement(turned(arrays[a], orientation), arrays[b], frame)
                    matched += 1
                    if max(shares) >= duplicates_check.SHARED:
                        found.append((f"{score:.2f}", frame.matches, data.items[a].id, data.items[b].id))
    return matched, sorted(found, reverse=True)[:count]


def scale(images, width=1280, views=6):
    """Seconds and the process's peak memory for the candidates of so many images of random hashes and embeddings."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, (images, 8), np.uint64)
    embedded = np.empty((images, views, width), np.float16)
    for row in embedded:
        row[:] = rng.standard_normal((views, width), np.float32) / width**0.5
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    looks = Looks(np.arange(images), hashes, embedded)
    candidates = Candidates(looks)
    candidates.add(looks, same=True)
    found = len(candidates.pairs())
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = (
        f"{images:,}",
        f"{embedded.nbytes / 2**20:.0f}",
        f"{held:.0f}",
        f"{peak:.0f}",
        f"{seconds:.0f}",
        f"{found:,}",
    )
    common.show("candidates", ("images", "embeddings MB", "MB before", "peak MB", "seconds", "pairs"), [row])


def main():
    parser = common.arguments(__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=300, help="photographs, spread evenly over DATA")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--models", nargs="*", default=["none", "lite0", "mobilenet"], help="none, lite0, mobilenet")
    parser.add_argument("--all-pairs", action="store_true", help="compare every two photographs")
    parser.add_argument(
        "--scale", type=int, metavar="N", help="measure only the candidates of N images of random numbers"
    )
    options = parser.parse_args()
    if options.scale:
        scale(options.scale)
        return
    specs = {"none": None, "lite0": EMBEDDED, "mobilenet": common.mobilenet(options.checkpoint)}
    with tempfile.TemporaryDirectory(prefix="snellen-bench-") as made:
        folder = Path(made)
        data = open_dataset(common.spread(options.data, options.limit, folder / "photographs"))
        for kind in options.kinds:
            plant(data, kind, folder / kind)
        header = ("planted", "near by hash %", "near by views %", "found %", "false pairs", "least score", "CPU ms")
        for name in options.models:
            model = specs[name] and prepare(specs[name], measure=False)
            rows, among = measure(data, model, options.kinds, folder)
            common.show(f"{name}, {len(data.items)} photographs", header, rows)
            print("among the photographs:", "; ".join(" = ".join(pair) for pair in sorted(among)) or "none")
        if options.all_pairs:
            matched, found = nearest_of_all(data)
            print(f"\n{matched} frames of {duplicates_check.MATCHES} points or more among all pairs; the most alike:")
            common.show("all pairs", ("score", "points", "one", "other"), found)


if __name__ == "__main__":
    main()
