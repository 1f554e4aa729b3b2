"""Preparing a model: load it once, describe it in a card, convert it for OpenVINO, find its best batch size.

Run as a child process (`serve`), so that torch is paid for once a model and not by
every command. The request is JSON on standard input, the answer JSON on standard output.
"""

import contextlib
import json
import os
import shutil
import statistics
import sys
import time
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.atomic import explain_os_error
from snellen.classifiers.base import ModelCard, check_head, same_probe
from snellen.classifiers.spec import parse_spec
from snellen.classifiers.weights import cache_root
from snellen.errors import ModelError, SnellenError

if TYPE_CHECKING:
    import torch

    from snellen.classifiers.loaded import Loaded

# Small batches keep the activations in a core's cache; 36 is a scale's nine views, four scales at once.
BATCHES = (2, 4, 9, 36)
AGREEMENT = 1e-3
# Logits of each of two noise views that a card keeps.
PROBED = 8


def describe(loaded: "Loaded", source: str, own: bool = False) -> ModelCard:
    """The card of a loaded network; it is shown 224-pixel views if it accepts them, unless `own` asks for its own."""
    import numpy as np
    import torch

    from snellen.classifiers.network import ViewNetwork, probe

    size = loaded.own.size
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
        weights=loaded.weights,
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

    Raises ModelError where the network cannot be traced, or the converted one differs by more than `AGREEMENT`.
    """
    import numpy as np
    import openvino
    import torch

    from snellen.classifiers.backend_openvino import OpenVinoClassifier
    from snellen.classifiers.network import ViewNetwork

    shown = ViewNetwork(network, card.mean, card.std, len(card.keys)).eval()
    size = card.view_size
    views = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        try:
            converted = openvino.convert_model(shown, example_input=torch.from_numpy(views[:2]))
            converted.reshape([-1, size, size, 3])
        except Exception as error:  # the tracer and the converter raise many kinds
            reason = (str(error).splitlines() or [""])[0]
            raise ModelError(f"OpenVINO cannot convert this network ({reason}); use --backend torch") from error
        expected = shown(torch.from_numpy(views))[0].numpy()
    openvino.save_model(converted, target, compress_to_fp16=False)
    got = OpenVinoClassifier(target, "fp32", batch=len(views)).logits(views)
    apart = float(np.abs(got - expected).max() / (1 + np.abs(expected).max()))
    if not apart <= AGREEMENT:
        raise ModelError(f"OpenVINO's logits differ from PyTorch's by {apart:.1e} of their size; use --backend torch")


def tune(model: Path, precision: str, seconds: float = 0.3, rounds: int = 3) -> dict[str, float]:
    """The batch size with the highest rate on one core, and that rate in views a second; candidates take turns."""
    import numpy as np

    from snellen.classifiers.backend_openvino import OpenVinoClassifier

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    classifiers = {batch: OpenVinoClassifier(model, precision, batch) for batch in BATCHES}
    size = _view_size(model)
    views = np.random.default_rng(0).integers(0, 256, (max(BATCHES), size, size, 3), np.uint8)
    rates: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    for _ in range(rounds):
        for batch, classifier in classifiers.items():
            classifier.logits(views[:batch])
            done, start = 0, time.perf_counter()
            while (passed := time.perf_counter() - start) < seconds or not done:
                classifier.logits(views[:batch])
                done += batch
            rates[batch].append(done / passed)
    best = max(BATCHES, key=lambda batch: statistics.median(rates[batch]))
    return {"batch_size": best, "views_per_s": statistics.median(rates[best])}


def _view_size(model: Path) -> int:
    return int(json.loads((model.parent / "card.json").read_text())["view_size"])


def build_entry(loaded: "Loaded", card: ModelCard, entry: Path, convert: bool) -> None:
    """Write the cache entry of a model, whole or not at all; one that is there is kept if the model still acts so."""
    with contextlib.suppress(FileNotFoundError):
        if same_probe(ModelCard.from_json(json.loads((entry / "card.json").read_text())).probe, card.probe):
            return
        shutil.rmtree(entry)  # the code changed where no hash could see it
    entry.parent.mkdir(parents=True, exist_ok=True)
    temporary = entry.with_name(f".{entry.name}.{uuid.uuid4().hex[:8]}")
    temporary.mkdir()
    try:
        (temporary / "card.json").write_text(json.dumps(card.to_json()))
        if convert:
            to_openvino(loaded.module, card, temporary / "model.xml")
        try:
            temporary.rename(entry)
        except OSError:
            if not (entry / "card.json").exists():  # not another process that was first
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    if "tune" in request:
        return tune(Path(request["tune"]), request["precision"])
    from snellen.classifiers.prepare import entry_path, remember_file
    from snellen.classifiers.sources import load

    if "list" in request:
        from snellen.classifiers.listing import library_models

        return {"models": library_models()}

    spec = parse_spec(request["spec"])
    loaded = load(spec)
    if loaded.weights_file and spec.path is None:
        remember_file(spec, loaded.weights_file)
    entry = entry_path(spec, loaded.weights, request["own"], request["convert"])
    build_entry(loaded, describe(loaded, spec.source, request["own"]), entry, request["convert"])
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
        answer = {"error": str(explain_os_error(error, cache_root()))}
    print(json.dumps(answer), file=answers, flush=True)
