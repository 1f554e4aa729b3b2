"""Post-training quantisation to int8 (OpenVINO, by NNCF), and what it costs in answers."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snellen.classifiers.backend_openvino import OpenVinoClassifier
from snellen.classifiers.base import ModelCard
from snellen.classifiers.forms import CALIBRATION_DATA, CALIBRATION_VIEWS, NOTE
from snellen.classifiers.views import real_views
from snellen.datasets import open_dataset
from snellen.errors import DataError, ModelError
from snellen.zoom.grid import ONE_CROP
from snellen.zoom.render import decode, render

BATCH = 16


def to_int8(model: Path, card: ModelCard, calibration: str, target: Path) -> None:
    """Quantise an OpenVINO network to `target` (.xml and .bin), and note beside it how its answers compare.

    calibration: a data set's spec; views of its images at zooms all over the grid set the ranges of activations.

    Raises ModelError where no image can be read, or NNCF cannot quantise the network.
    """
    os.environ.setdefault("NNCF_CI", "1")  # the only way to have it report nothing to anybody
    import nncf
    import openvino

    try:
        views, owners = real_views(open_dataset(calibration), card.view_size, CALIBRATION_VIEWS)
    except DataError as error:
        raise ModelError(f"calibration={calibration}: {error}") from error
    network = openvino.Core().read_model(model)
    attention = any(node.get_type_name() == "ScaledDotProductAttention" for node in network.get_ops())
    try:
        quantised = nncf.quantize(
            network,
            nncf.Dataset(list(views[:, None])),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if attention else None,
            subset_size=len(views),
        )
    except Exception as error:  # it raises many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"NNCF cannot quantise this network ({reason}); choose another precision") from error
    openvino.save_model(quantised, target, compress_to_fp16=False)
    images = len(set(owners.tolist()))
    made = f"int8: calibrated on {len(views)} views of {_counted(images)} of {calibration}"
    (target.parent / NOTE).write_text(f"{made}; {_compared(model, target, card)}", encoding="utf-8")


def _compared(model: Path, quantised: Path, card: ModelCard) -> str:
    """How the answers on the shipped photographs compare with those in float32."""
    dataset = open_dataset(CALIBRATION_DATA)
    exact, other = OpenVinoClassifier(model, "fp32", BATCH), OpenVinoClassifier(quantised, "int8", BATCH)
    # Other views than those of the calibration, where that was on the same photographs.
    views, _ = real_views(dataset, card.view_size, CALIBRATION_VIEWS, first=CALIBRATION_VIEWS)
    equal = _answers(exact, views) == _answers(other, views)
    photographs = f"the {len(dataset.items)} photographs shipped with Snellen"
    text = f"the same answer as float32 on {_share(equal, ' other views')} of {photographs}"
    try:
        labels = dataset.label_sets([item.id for item in dataset.items], card.class_space)
    except DataError:  # classes of the user's own: nobody has labelled the photographs with them
        return text
    crop = [ONE_CROP.rule(card.view_size)]
    shown = np.concatenate([render(decode(dataset.read(k)), crop) for k in range(len(dataset.items))])
    right = [
        _share(np.array([best in label for best, label in zip(_answers(one, shown), labels, strict=True)]))
        for one in (other, exact)
    ]
    return f"{text}; right at their 1-crop: {right[0]}, in float32 {right[1]}"


def _answers(classifier: OpenVinoClassifier, views: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The best class of each view, in batches."""
    parts = [classifier.logits(views[k : k + BATCH]).argmax(axis=1) for k in range(0, len(views), BATCH)]
    return np.concatenate(parts)


def _share(hits: NDArray[np.bool_], what: str = "") -> str:
    from snellen.analysis.stats import wilson

    count, n = int(hits.sum()), len(hits)
    low, high = wilson(count, n)
    return f"{count} of {n}{what} ({count / n:.2%} [{low:.2%}, {high:.2%}])"


def _counted(images: int) -> str:
    return f"{images} photograph{'s' if images != 1 else ''}"
