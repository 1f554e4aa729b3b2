"""Preparing a model: load it once, describe it in a card, convert it for other backends.

Run as a child process (`serve`), so that torch is paid for once a model and not by
every command. The request is JSON on standard input, the answer JSON on standard output.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import sys
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snellen.atomic import explain_os_error
from snellen.classifiers.agreement import check_agreement
from snellen.classifiers.base import ModelCard, check_head, same_probe
from snellen.classifiers.forms import Form
from snellen.classifiers.spec import parse_spec
from snellen.errors import ModelError, SnellenError
from snellen.places import cache_root
from snellen.zoom.grid import WINDOW

if TYPE_CHECKING:
    import torch

    from snellen.classifiers.loaded import Loaded
    from snellen.classifiers.network import ViewNetwork

# Logits of each of two noise views that a card keeps.
PROBED = 8
# Bytes that are left where a disk is full: less than any model needs.
NO_ROOM = 2**20
# Seconds after which the folder of a preparation that has not ended is taken for a dead one's: none takes a day.
LEFT_OVER = 86_400.0


def describe(loaded: "Loaded", source: str, own: bool = False) -> ModelCard:
    """The card of a loaded network; it is shown 224-pixel views if it accepts them, unless `own` asks for its own."""
    import torch

    from snellen.classifiers.network import ViewNetwork, probe

    size, weights = loaded.own.size, loaded.weights  # before anything is computed, which may change buffers
    view_size, outputs = probe(loaded.module, (size,) if own or size == 224 else (224, size))
    check_head(outputs, loaded.space)
    shown = ViewNetwork(loaded.module, loaded.mean, loaded.std, outputs).eval()
    views = np.random.default_rng(0).integers(0, 256, (2, view_size, view_size, 3), np.uint8)
    with torch.inference_mode():
        logits = shown(torch.from_numpy(views))[0]
    if not torch.isfinite(logits).all():
        raise ModelError(f"{source} gives logits that are not numbers on random noise; check its weights")
    return ModelCard(
        source=source,
        weights=weights,
        view_size=view_size,
        own=loaded.own,
        mean=loaded.mean,
        std=loaded.std,
        space=loaded.space.name,
        keys=loaded.space.keys,
        parameters=sum(p.numel() for p in loaded.module.parameters()),
        embed_dim=shown.embed_dim,
        probe=tuple(logits[:, :PROBED].flatten().tolist()),
        notes=loaded.notes,
        inputs=loaded.inputs,
    )


def to_openvino(network: "torch.nn.Module", card: ModelCard, target: Path) -> None:
    """Convert to `target` (.xml and .bin), and check the result against eager PyTorch on noise.

    Raises ModelError where the network cannot be traced, or the converted one differs by more than the tolerance.
    """
    import openvino
    import torch

    from snellen.classifiers.backend_openvino import OpenVinoClassifier

    shown, views, expected = _reference(network, card)
    size = card.view_size
    with _refusal("OpenVINO cannot convert this network"):
        converted = openvino.convert_model(shown, example_input=torch.from_numpy(views[:2]))
        converted.reshape([-1, size, size, 3])
    openvino.save_model(converted, target, compress_to_fp16=False)
    check_agreement("OpenVINO", OpenVinoClassifier(target, "fp32", batch=len(views)).logits(views), expected)


def to_onnx(network: "torch.nn.Module", card: ModelCard, target: Path) -> None:
    """Export to `target` (.onnx, the weights beside it), and check the result against eager PyTorch on noise.

    Raises ModelError where the network cannot be exported, or the exported one differs by more than the tolerance.
    """
    import torch

    from snellen.classifiers.backend_onnxruntime import BATCH, OUTPUTS, VIEWS, OnnxClassifier

    shown, views, expected = _reference(network, card)
    outputs = OUTPUTS if shown.embed_dim else OUTPUTS[:1]
    with _refusal("ONNX cannot express this network"):
        program = torch.onnx.export(
            shown,
            (torch.from_numpy(views),),
            dynamo=True,
            verbose=False,
            input_names=[VIEWS],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim(BATCH)},),
        )
        assert program is not None
        program.save(str(target), external_data=True)
    with _refusal("ONNX Runtime cannot run this network"):
        logits = OnnxClassifier(target, batch=len(views)).logits(views)
    check_agreement("ONNX Runtime", logits, expected)


def _reference(network: "torch.nn.Module", card: ModelCard) -> "tuple[ViewNetwork, NDArray[np.uint8], Any]":
    """The network as it is converted, three views of noise, and its logits of these in eager PyTorch."""
    import torch

    from snellen.classifiers.network import ViewNetwork

    shown = ViewNetwork(network, card.mean, card.std, len(card.keys)).eval()
    views = np.random.default_rng(0).integers(0, 256, (3, card.view_size, card.view_size, 3), np.uint8)
    with torch.inference_mode():
        return shown, views, shown.logits(torch.from_numpy(views)).numpy()


@contextlib.contextmanager
def _refusal(what: str) -> Iterator[None]:
    """Turn what a converter raises, which is of many kinds, into a ModelError; what it warns of is its own affair."""
    import torch

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(f"{what} ({reason}); use --backend torch") from error


def build_entry(card: ModelCard, entry: Path) -> None:
    """Write the cache entry of a model; one that is there is kept if the model still acts so."""
    with contextlib.suppress(FileNotFoundError):
        if same_probe(ModelCard.from_json(json.loads((entry / "card.json").read_text())).probe, card.probe):
            return
        shutil.rmtree(entry)  # the code changed where no hash could see it
    with _whole(entry) as folder:
        (folder / "card.json").write_text(json.dumps(card.to_json()))


def add_form(network: "torch.nn.Module", card: ModelCard, entry: Path, form: Form) -> None:
    """Write a converted form of a model into its entry, unless it is there."""
    if (entry / form.name).is_dir():
        return
    if form.calibration:
        from snellen.classifiers.quantise import to_int8

        exact = Form(form.backend)
        add_form(network, card, entry, exact)
        with _whole(entry / form.name) as folder:
            to_int8(entry / exact.name / exact.file, card, form.calibration, folder / form.file)
        return
    with _whole(entry / form.name) as folder:
        {"openvino": to_openvino, "onnxruntime": to_onnx}[form.backend](network, card, folder / form.file)


@contextlib.contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A folder to write into that becomes `target`, whole or not at all; another process may be first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    temporary.mkdir()
    _remove_left_over(temporary.stat().st_mtime)
    try:
        yield temporary
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    except RuntimeError as error:  # libraries that write models do not say why they cannot
        if shutil.disk_usage(temporary).free < NO_ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_left_over(now: float) -> None:
    """Remove what killed preparations left in the cache. now: by the clock that dates its files."""
    entries = [path for kind in ("models", "modules") for path in (cache_root() / kind).glob("*")]
    for left in [*entries, *(path for entry in entries for path in entry.glob(".*"))]:
        with contextlib.suppress(OSError):  # another process was first
            if re.fullmatch(r"\..+\.[0-9a-f]{8}", left.name) and now - left.stat().st_mtime > LEFT_OVER:
                shutil.rmtree(left)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from snellen.classifiers.entries import entry_of, remember_file
    from snellen.classifiers.sources import load

    if "list" in request:
        from snellen.classifiers.listing import library_models

        return {"models": library_models()}

    spec = parse_spec(request["spec"])
    loaded = load(spec)
    if loaded.weights_file and spec.path is None:
        remember_file(spec, loaded.weights_file)
    own = request["own"] and loaded.own.size != WINDOW
    entry = entry_of(spec, loaded.weights, own)
    card = describe(loaded, spec.source, own)
    build_entry(card, entry)
    if request["form"]:
        add_form(loaded.module, card, entry, Form(**request["form"]))
    return {"entry": str(entry)}


def serve() -> None:
    """Answer one request; an error of Snellen's goes back as `error`, anything else as a traceback and exit 1."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error, not into the answer
    try:
        answer = _answer(json.loads(sys.stdin.read()))
    except SnellenError as error:
        answer = {"error": str(error)}
    except OSError as error:
        told = explain_os_error(error, cache_root(), "SNELLEN_CACHE")
        answer = {"error": str(told), "exit_code": told.exit_code}
    print(json.dumps(answer), file=answers, flush=True)
