"""The options of running a model, which `study`, `evaluate`, `tta` and `show` share: described once, here."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypedDict

from snellen.classifiers import Prepared, prepare
from snellen.classifiers.backends import check_running
from snellen.classifiers.base import ModelCard
from snellen.engine.progress import Reporter, silent
from snellen.errors import UsageError

if TYPE_CHECKING:
    import torch

ENGINES = ("local", "ray")


class ModelOptions(TypedDict, total=False):
    """How a model is made ready, and who hears of it.

    precision: `fp32`, `bf16`, `fp16` or `int8`; part of the run's directory. `fp32` where left out.
    backend: what computes, `auto` where left out: the best for the device.
    device: `auto`, `cpu`, `cuda` (all GPUs) or `cuda:N`.
    batch_size: views a batch; chosen by measurement where None.
    mean, std: of a torch module, the normalisation of RGB in 0 … 1: one number or three; ImageNet's where None.
    classes: of a torch module, its class names in the order of its logits; those of ImageNet-1k where None.
    name: of a torch module, what its directory is called; the name of its class where None.
    report: hears what is being done and how far it is; silent where left out.
    """

    precision: str
    backend: str
    device: str
    batch_size: int | None
    mean: Sequence[float] | float | None
    std: Sequence[float] | float | None
    classes: Sequence[str] | None
    name: str | None
    report: Reporter


class Running(ModelOptions, total=False):
    """How a model is shown a data set: this and all of `ModelOptions`. None of this can change an answer.

    limit: only the first images; a later call with more extends the run. All where None.
    workers: how many processes or actors do the work; one for each core or GPU where None.
    engine: `local`, processes on this machine; or `ray`, actors on a Ray cluster. `local` where left out.
    ray_address: the cluster, as `ray.init` takes it (`auto`, `HOST:PORT`); where None, the one that
        RAY_ADDRESS names, or one that is started on this machine and ends with the work.
    """

    limit: int | None
    workers: int | None
    engine: str
    ray_address: str | None


MODEL_DEFAULTS: ModelOptions = {
    "precision": "fp32",
    "backend": "auto",
    "device": "auto",
    "batch_size": None,
    "mean": None,
    "std": None,
    "classes": None,
    "name": None,
    "report": silent,
}
DEFAULTS: Running = {**MODEL_DEFAULTS, "limit": None, "workers": None, "engine": "local", "ray_address": None}


def completed(function: str, given: Running) -> Running:
    """All running options: those given to `function`, and defaults for the others.

    Raises TypeError for a keyword that is none, UsageError for an engine that there is not, ModelError for a precision,
    backend or device that there is not, or that do not go together here.
    """
    _check(function, given, DEFAULTS)
    running: Running = {**DEFAULTS, **given}
    check_running(running["precision"], running["backend"], running["device"])
    engine, address = running["engine"], running["ray_address"]
    if engine not in ENGINES:
        raise UsageError(f"unknown engine {engine!r}; expected {' or '.join(ENGINES)}")
    if engine == "local" and address is not None:
        raise UsageError(f"--ray-address {address} is for --engine ray, not for the local engine")
    if engine == "ray" and find_spec("ray") is None:
        raise UsageError("--engine ray needs Ray, which is not installed: pip install 'snellen[ray]'")
    return running


def completed_model(function: str, given: ModelOptions) -> ModelOptions:
    """The same for a function that prepares a model, but shows it no data set."""
    _check(function, given, MODEL_DEFAULTS)
    options: ModelOptions = {**MODEL_DEFAULTS, **given}
    check_running(options["precision"], options["backend"], options["device"])
    return options


def prepare_model(
    model: "str | torch.nn.Module",
    options: ModelOptions,
    own: bool = False,
    check: Callable[[ModelCard], object] | None = None,
) -> Prepared:
    """What `prepare` makes of a model with these options, all of them given; the reporter hears of it."""
    name = options["name"] or type(model).__name__
    options["report"].status(f"preparing {model if isinstance(model, str) else name}")
    return prepare(
        model,
        precision=options["precision"],
        backend=options["backend"],
        device=options["device"],
        batch_size=options["batch_size"],
        mean=options["mean"],
        std=options["std"],
        classes=options["classes"],
        name=options["name"],
        own=own,
        check=check,
    )


def _check(function: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Python itself takes any keyword where the signature says `**options`."""
    for keyword in given:
        if keyword not in known:
            raise TypeError(f"{function}() got an unexpected keyword argument {keyword!r}")
