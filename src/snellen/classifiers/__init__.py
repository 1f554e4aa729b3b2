"""Classifiers: `logits(uint8 views)` over named classes, from many libraries, on interchangeable backends."""

from snellen.classifiers.base import Classifier, ModelCard, OwnTransform
from snellen.classifiers.expand import expand_models
from snellen.classifiers.prepare import prepare
from snellen.classifiers.prepared import Prepared

__all__ = ["Classifier", "ModelCard", "OwnTransform", "Prepared", "expand_models", "prepare"]
