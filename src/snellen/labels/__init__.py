"""Class spaces, the names of classes, label sets, and the rule that decides whether a prediction is right."""

from snellen.labels.classmap import ClassMap
from snellen.labels.score import correct_by_labels
from snellen.labels.space import IMAGENET_1K, ClassSpace

__all__ = ["IMAGENET_1K", "ClassMap", "ClassSpace", "correct_by_labels"]
