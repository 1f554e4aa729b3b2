"""From a spec to a model that workers can run: cached, and without importing torch when the cache has it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.atomic import FULL, explain_os_error
from snellen.classifiers.backends import CONVERTED, check_running, lacking
from snellen.classifiers.base import ModelCard
from snellen.classifiers.entries import OF_A_FORM, find_entry, make_entry, module_entry_path, read_card
from snellen.classifiers.forms import Form, form_of, note_of
from snellen.classifiers.host import best_name, recall, remember, speed_name
from snellen.classifiers.prepared import Prepared
from snellen.classifiers.prompts import FILE_OPTIONS
from snellen.classifiers.spec import ModelSpec, parse_spec
from snellen.errors import ModelError
from snellen.places import cache_root

if TYPE_CHECKING:
    import torch

# Batch size and views a second of one worker where nothing was measured; they only size batches and shards.
UNTUNED = {"cpu": (36, 30.0), "cuda": (324, 3000.0)}


@dataclass(frozen=True)
class _Source:
    """A model that is asked for, not yet ready.

    options: those of its spec that a run's fingerprint holds.
    calibration: the data set that int8 is to be calibrated on, None for the usual one.
    find: its cache entry if that is known; make: its entry, with a form added to it.
    network: the object, where it is one.
    """

    text: str
    options: dict[str, Any]
    calibration: str | None
    find: Callable[[], Path | None]
    make: Callable[[Form | None], Path]
    network: "torch.nn.Module | None" = None


def prepare(
    model: "str | torch.nn.Module",
    *,
    precision: str = "fp32",
    backend: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    mean: Sequence[float] | float | None = None,
    std: Sequence[float] | float | None = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
    own: bool = False,
    measure: bool = True,
    check: Callable[[ModelCard], object] | None = None,
) -> Prepared:
    """Make `model` ready for the study's views: a spec, or a torch module with its mean, std and class names.

    own: ready for views of the model's own evaluation transform instead, at its own size.
    measure: find the best batch size for a backend that has none yet.
    check: called with the model's card before anything is converted or measured; what it raises ends the preparation.

    Raises ModelError for anything that cannot be found, loaded, converted or run.
    """
    again = partial(
        prepare,
        model,
        precision=precision,
        device=device,
        batch_size=batch_size,
        mean=mean,
        std=std,
        classes=classes,
        name=name,
        own=own,
        measure=measure,
    )
    chosen, place = check_running(precision, backend, device)
    try:
        if isinstance(model, str):
            if mean is not None or std is not None or classes is not None:
                raise ModelError(
                    "mean, std and classes go with a module; with a spec, write ,mean=…,std=…,classes=FILE"
                )
            spec = parse_spec(model)
            if spec.kind == "vlm":
                return _generative(spec, own)
            source = _source_of_spec(spec, own)
        else:
            source = _source_of_module(model, mean, std, classes, name, own)
            if backend == "auto" and chosen == "torch-compile":
                chosen = "torch"  # the user's own object is not compiled, nor its weights laid out anew, unasked
        if check:
            _check_card(source, check)
        prepared = _on_backend(source, precision, chosen, place, auto=backend == "auto")
        prepared = _with_speed(prepared, batch_size, measure)
        return replace(prepared, again=again) if backend == "auto" else prepared
    except OSError as error:
        if error.errno in FULL:
            raise explain_os_error(error, cache_root()) from error
        raise ModelError(
            f"the model cache {str(cache_root())!r} cannot be used: {error.strerror or error}; "
            "set SNELLEN_CACHE to a folder that can be written"
        ) from error


def _generative(spec: ModelSpec, own: bool) -> Prepared:
    from snellen.classifiers.vlm.prepare import prepare_vlm

    if not own:
        raise ModelError(
            f"{spec.text} answers in words and gives no logits: it has no zooms to study; use snellen eval"
        )
    return prepare_vlm(spec)


def _source_of_spec(spec: ModelSpec, own: bool) -> _Source:
    # The class space and the card's inputs say what is in files; a form says what it was calibrated on.
    elsewhere = (*FILE_OPTIONS.get(spec.kind, ("classes",)), *OF_A_FORM)
    options = {key: value for key, value in spec.options.items() if key not in elsewhere}
    calibration = spec.options.get("calibration")
    data = None if calibration is None else str(calibration)
    return _Source(spec.text, options, data, partial(find_entry, spec, own), partial(make_entry, spec, own))


def _source_of_module(
    module: "torch.nn.Module",
    mean: Sequence[float] | float | None,
    std: Sequence[float] | float | None,
    classes: Sequence[str] | None,
    name: str | None,
    own: bool,
) -> _Source:
    from snellen.classifiers.convert import add_form, build_entry, describe
    from snellen.classifiers.loaded import loaded_module

    text = f"module/{name or type(module).__name__}"
    loaded = loaded_module(module, mean, std, classes)
    card = describe(loaded, text, own)
    entry = module_entry_path(card)
    build_entry(card, entry)

    def make(form: Form | None) -> Path:
        if form:
            add_form(loaded.module, card, entry, form)
        return entry

    return _Source(text, {}, None, lambda: entry, make, loaded.module)


def _check_card(source: _Source, check: Callable[[ModelCard], object]) -> None:
    card = read_card(source.find() or source.make(None))
    if card is not None:  # else it was removed just now, which is told below
        check(card)


def _on_backend(source: _Source, precision: str, backend: str, device: str, auto: bool) -> Prepared:
    """The model on a backend, in the form that it runs; `auto` prefers the one that was found the best here."""
    entry = source.find() or source.make(form_of(backend, precision, source.calibration))
    best = _best(entry, precision, device) if auto else None
    backend = best["backend"] if best else backend
    form = form_of(backend, precision, source.calibration)
    if form and not (entry / form.name).is_dir():
        entry = source.make(form)
    card = read_card(entry)
    if card is None:
        raise ModelError(f"the cache entry {str(entry)!r} was removed; run the same command again")
    return Prepared(
        text=source.text,
        card=replace(card, notes=(*card.notes, *(note_of(entry / form.name) if form else ()), *_why(best))),
        backend=backend,
        device=device,
        precision=precision,
        batch_size=0,
        views_per_s=0.0,
        options=source.options | ({"calibration": form.inputs} if form and form.calibration else {}),
        entry=entry,
        model=entry / form.name / form.file if form else None,
        network=None if backend in CONVERTED else source.network,
    )


def _best(entry: Path, precision: str, device: str) -> dict[str, Any] | None:
    """What `snellen bench` found the best here, if that can still be run."""
    best = recall(entry, best_name(precision, device))
    return None if best is None or lacking(best["backend"], precision, device.split(":")[0]) else best


def _why(best: dict[str, Any] | None) -> tuple[str, ...]:
    """Why `auto` means this backend, where it was measured."""
    if best is None:
        return ()
    rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in best["views_per_s"].items())
    return (f"backend {best['backend']}: the fastest here by `snellen bench` on {best['date']} ({rates} views/s)",)


def _with_speed(prepared: Prepared, batch_size: int | None, measure: bool) -> Prepared:
    """The model with its best batch size, unless one is given, and its rate: as measured here, or a guess."""
    assert prepared.entry is not None
    name = speed_name(prepared.precision, prepared.device, prepared.runs)
    speed = recall(prepared.entry, name)
    if speed is None and prepared.model and measure:
        from snellen.classifiers.measure import tuned

        speed = tuned(prepared)
        remember(prepared.entry, name, speed)
    if speed is None:
        kind = prepared.device.split(":")[0]
        speed = dict(zip(("batch_size", "views_per_s"), UNTUNED[kind], strict=True))
        if kind == "cuda" and measure and batch_size is None and prepared.network is None:
            note = f"batches of {speed['batch_size']} views, unmeasured: `snellen bench {prepared.text}` finds the best"
            prepared = replace(prepared, card=replace(prepared.card, notes=(*prepared.card.notes, note)))
    return replace(prepared, batch_size=batch_size or int(speed["batch_size"]), views_per_s=speed["views_per_s"])
