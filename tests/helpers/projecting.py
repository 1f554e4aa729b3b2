"""A cascade of a model whose answers depend on every pixel, in this process, and its exhaustive study."""

from dataclasses import dataclass, field

import numpy as np
import torch
from cascades import foreign_rows
from small_mining import GRID, ZOOMS

import snellen
from snellen.classifiers import Prepared
from snellen.classifiers.base import ModelCard, OwnTransform
from snellen.datasets import open_dataset
from snellen.engine.running import completed
from snellen.mining.cascade import cascade
from snellen.store.mined import mined_rows
from snellen.study import show

KINDS = 4
KEYS = tuple(f"kind-{k}" for k in range(KINDS))


class Projecting(Prepared):
    """A prepared model, run in this process, whose logits depend on every pixel of a view alone."""

    def classifier(self):
        return self

    def logits(self, views):
        self.options["asked"].append(len(views))
        if not hasattr(Projecting, "weights"):
            Projecting.weights = np.random.default_rng(3).standard_normal((KINDS, 56 * 56 * 3)).astype(np.float32)
        pixels = views[:, ::4, ::4].reshape(len(views), -1).astype(np.float32) / 255 - 0.5
        logits = np.stack([(self.weights * one).sum(axis=1) for one in pixels])  # the same sums in any batch
        logits += np.array([0, -40, -15, 0], np.float32)
        logits[views[:, 112, 112, 0] == self.options.get("overflows", -1)] = np.inf
        return logits

    def logits_on_device(self, views):
        return torch.from_numpy(self.logits(views.numpy()))


def model(batch=4, **options):
    card = ModelCard("proj", "0" * 64, 224, OwnTransform(224, 256, "bicubic"), (0.5,), (0.5,), "kinds", KEYS, 1, 0)
    options = {"asked": [], **options}
    return Projecting("module/projecting", card, "torch", "cpu", "fp32", batch, 30.0, options, network=object())


@dataclass
class Given:
    """An order that never changes; it notes what it hears, and may do something when it is asked."""

    order: list[int] = field(default_factory=lambda: np.random.default_rng(1).permutation(ZOOMS).tolist())
    heard: list[tuple] = field(default_factory=list)
    then: object = None

    def zooms(self):
        if self.then:
            self.then, then = None, self.then
            then()
        return np.array(self.order, np.int32)

    def add(self, correct, shown):
        assert not (correct & ~shown).any()
        self.heard.append((correct, shown))


def running(**given):
    return completed("mine", {"workers": 1, **given})


def exhaustive(folder, out, **options):
    return show(open_dataset(folder), model(), GRID, out, running(**options))


def mine(folder, out, order=None, prepared=None, **given):
    options = {key: given.pop(key) for key in ("limit",) if key in given}
    path = cascade(open_dataset(folder), prepared or model(), GRID, out, running(**options), order or Given(), **given)
    return snellen.load_run(path)


def same_rows(rows_of, study):
    """How many rows there are; AssertionError unless each is a row of the study, to the bit, and there once."""
    assert not foreign_rows(rows_of, study)
    return len(mined_rows(rows_of))


def tables(run):
    return {kind: run.table(kind) for kind in ("samples", "predictions", "merged")}


def write_labels(path, sets):
    lines = [f'"{name}","{"|".join(KEYS[k] for k in labels)}"' for name, labels in sets.items()]
    path.write_text("\n".join(['"image_id","labels"', *lines]) + "\n")
    return path
