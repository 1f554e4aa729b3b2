"""MEMO as published, for one image: nothing is shared with Snellen but the random views."""

import copy

import numpy as np
import torch
from PIL import Image
from timm.layers import BatchNormAct2d
from torch import nn

from snellen.tta.augment import random_views


class PlainNorm(nn.Module):
    def __init__(self, layer, strength):
        super().__init__()
        self.layer, self.stored = layer, strength / (strength + 1)

    def forward(self, x):
        layer = self.layer
        with torch.no_grad():
            values = x.transpose(0, 1).flatten(1)
            mean = self.stored * layer.running_mean + (1 - self.stored) * values.mean(1)
            var = self.stored * layer.running_var + (1 - self.stored) * values.var(1, unbiased=True)
        x = (x - mean[:, None, None]) / (var[:, None, None] + layer.eps).sqrt()
        x = x * layer.weight[:, None, None] + layer.bias[:, None, None]
        return layer.act(layer.drop(x)) if isinstance(layer, BatchNormAct2d) else x


def plain_memo(network, image, options, key, size, mean, std, classes=None):
    """The published loop for one image: a copy of the network, its batch norms replaced, SGD of PyTorch.

    It computes in the precision of the network's parameters.
    """
    network = copy.deepcopy(network).requires_grad_(True)
    kind = np.float64 if next(network.parameters()).dtype == torch.float64 else np.float32
    if options.prior_strength is not None:
        for parent in list(network.modules()):
            for name, layer in list(parent.named_children()):
                if isinstance(layer, nn.BatchNorm2d):
                    setattr(parent, name, PlainNorm(layer, options.prior_strength))
    short = round(256 * size / 224)
    scaled = (short, int(short * image.height / image.width))
    if image.width > image.height:
        scaled = (int(short * image.width / image.height), short)
    left, top = (round((side - size) / 2) for side in scaled)
    view = np.asarray(image.resize(scaled, Image.BILINEAR))[top : top + size, left : left + size]
    inputs = [
        torch.from_numpy(((x / 255 - np.array(mean, kind)) / np.array(std, kind)).astype(kind).transpose(0, 3, 1, 2))
        for x in (random_views(image, options, key, size), view[None])
    ]
    optimizer = torch.optim.SGD(network.parameters(), lr=options.lr)
    logits = network(inputs[0])
    p = (logits if classes is None else logits[:, list(classes)]).softmax(1).mean(0)
    (-(p * p.log()).sum()).backward()
    optimizer.step()
    with torch.no_grad():
        return network(inputs[1])[0].numpy()
