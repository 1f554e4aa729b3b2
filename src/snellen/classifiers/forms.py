"""The converted forms of a network in its cache entry: a folder each, whole or absent."""

import hashlib
import importlib.metadata
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from snellen.classifiers.backends import CONVERTED
from snellen.errors import DataError, ModelError

# Views that an int8 form is calibrated on: NNCF's own number. As many others are compared with float32 afterwards.
CALIBRATION_VIEWS = 300
# What an int8 form is calibrated on unless told otherwise.
CALIBRATION_DATA = "examples"
# What the one who made a form has to say of it, if anything.
NOTE = "note.txt"


@dataclass(frozen=True)
class Form:
    """A converted form: for which backend, and for int8 calibrated on which data set.

    calibration: the data set's spec, "" where nothing was quantised.
    inputs: what decides the quantised weights, as a run's fingerprint has it: images, views, version of NNCF.
    """

    backend: str
    calibration: str = ""
    inputs: str = ""

    @property
    def name(self) -> str:
        """Its folder in the cache entry. The entry's own key has the version of OpenVINO."""
        if self.backend == "onnxruntime":
            return f"onnxruntime-{importlib.metadata.version('onnxruntime')}"
        return f"int8-{hashlib.sha256(self.inputs.encode()).hexdigest()[:12]}" if self.calibration else self.backend

    @property
    def file(self) -> str:
        """The file in its folder that the backend reads."""
        return "model.onnx" if self.backend == "onnxruntime" else "model.xml"

    def to_json(self) -> dict[str, Any]:
        """A plain form; `Form(**it)` is the same again."""
        return asdict(self)


def form_of(backend: str, precision: str, calibration: str | None) -> Form | None:
    """The form that a backend runs at a precision, None for PyTorch's own.

    calibration: the data set to calibrate int8 on, the shipped photographs where None.
    Raises ModelError for one that cannot be opened, or that is given for another precision.
    """
    if calibration is not None and precision != "int8":
        raise ModelError(f"calibration={calibration} is for --precision int8, not for {precision}")
    if backend not in CONVERTED:
        return None
    if precision != "int8":
        return Form(backend)
    from snellen.datasets import open_dataset

    try:
        dataset = open_dataset(calibration or CALIBRATION_DATA)
    except DataError as error:
        raise ModelError(f"calibration={calibration}: {error}") from error
    inputs = [dataset.fingerprint, dataset.border, CALIBRATION_VIEWS, importlib.metadata.version("nncf")]
    return Form(backend, dataset.spec, json.dumps(inputs))


def note_of(folder: Path) -> tuple[str, ...]:
    """What a form's maker has to say of it: nothing, or one line."""
    note = folder / NOTE
    return (note.read_text(encoding="utf-8"),) if note.exists() else ()
