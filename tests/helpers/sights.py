"""An image at some views, with answers that no model gave."""

import numpy as np
from PIL import Image

from snellen.report.seen import Seen
from snellen.zoom import Zoom
from snellen.zoom.render import render

NAMES = ("koala", "a class whose name is much longer than any view is wide, however small its letters", "élan", "kiwi")


def picture(width=300, height=200, seed=0):
    """Smooth colours, each place its own."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def sights(rules, labels=(0,), name="some/picture.jpg", image=None):
    """What the rules cut from a picture, and random answers of four classes."""
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.ones(len(NAMES)), len(rules)).astype(np.float32)
    image = image or picture()
    of_labels = probs[:, list(labels)] if labels else np.full((len(rules), 1), np.nan, np.float32)
    return Seen(
        name=name,
        model="made/up",
        whole=image,
        rules=tuple(rules),
        views=render(image, rules),
        ids=probs.argmax(axis=1).astype(np.int32),
        confidence=probs.max(axis=1),
        labels=tuple(labels),
        label_ids=np.array(labels or [-1], np.int32)[of_labels.argmax(axis=1)],
        label_confidence=of_labels.max(axis=1),
        names=NAMES,
    )


def zoom_rules(text, size=224):
    """The view rules of zooms written as `256/1/1 512/0/2`."""
    return [Zoom(*map(int, word.split("/"))).rule(size) for word in text.split()]
