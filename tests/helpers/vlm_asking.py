"""Images to ask a generative model about, who asks, and what the stand-in of a server answers."""

import hashlib
import io

import numpy as np
from PIL import Image
from vlm_stub import Reply

from snellen.classifiers.spec import parse_spec
from snellen.classifiers.vlm.prepare import prepare_vlm

KEY = "sk-never-to-be-written-down"


def image_file(seed=0, size=(20, 16), form="PNG", mode="RGB", **options):
    """Noise as a file of an image; options are those of Pillow's `save`."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, form, **options)
    return file.getvalue()


def sha(data):
    """How the stand-in calls an image."""
    return hashlib.sha256(data).hexdigest()


def answerer(stub, options="", **arguments):
    """What asks a model of the stand-in; arguments are those of `prepare_vlm`."""
    return prepare_vlm(parse_spec(f"vlm/org/model-7b@{stub.url}{options}"), **arguments).answerer()


IMAGES = [image_file(seed) for seed in range(60)]


def scripted(image, attempt):
    """What the model thinks of an image: right, another class, nonsense or several, by the image's own bytes."""
    n = int(image[:4], 16)
    words = ("tabby", "A tench.", "no idea", "tabby or tench", "It's a hen.")
    return Reply(words[n % 5], delay=0.03 if n % 7 == 0 else 0.0)


# The classes of those words.
EXPECTED = (281, 0, -1, -1, 8)
