"""The columns of a run's Parquet files, and which of these files a shard has."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

TOP = 5
FORMAT = 1
# What run.json says of a generative model's backend, and where its fingerprint has whether all probabilities are kept.
CHAT = "chat"
PROBABILITIES = "all probabilities"

SAMPLES = pa.schema(
    [
        pa.field("image", pa.int32(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("sha256", pa.string()),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("error", pa.string()),
    ]
)

_ANSWERS = [pa.field(f"id{k}", pa.int32(), nullable=False) for k in range(TOP)]
_ANSWERS += [pa.field(f"p{k}", pa.float32()) for k in range(TOP)]

PREDICTIONS = pa.schema(
    [
        pa.field("image", pa.int32(), nullable=False),
        pa.field("zoom", pa.int16(), nullable=False),
        *_ANSWERS,
        pa.field("raw_id0", pa.int32(), nullable=False),
        pa.field("raw_p0", pa.float32()),
    ]
)

MERGED = pa.schema(
    [
        pa.field("image", pa.int32(), nullable=False),
        pa.field("group", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("merge", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        *_ANSWERS,
    ]
)

# Codes of all log-probabilities, which `store/logprobs.py` makes and reads: each 7000 √(−ln p).
LOGPROBS = pa.schema(
    [
        pa.field("image", pa.int32(), nullable=False),
        pa.field("zoom", pa.int16(), nullable=False),
        pa.field("sqrt_minus_log_7000ths", pa.list_(pa.uint16()), nullable=False),
    ]
)

# What a generative model said: its words, and the key of the class they were matched to, null where they mean none.
ANSWERS = pa.schema(
    [
        pa.field("image", pa.int32(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("matched", pa.string()),
    ]
)

# The answer of a test-time method to an image, and what it cost: forward passes, milliseconds in all, and of these
# those that went into decoding, cutting and augmenting views.
METHODS = pa.schema(
    [
        pa.field("image", pa.int32(), nullable=False),
        pa.field("method", pa.dictionary(pa.int16(), pa.string()), nullable=False),
        *_ANSWERS,
        pa.field("forwards", pa.int32(), nullable=False),
        pa.field("ms", pa.float32(), nullable=False),
        pa.field("views_ms", pa.float32(), nullable=False),
    ]
)

KINDS = {
    "samples": SAMPLES,
    "predictions": PREDICTIONS,
    "merged": MERGED,
    "logprobs": LOGPROBS,
    "answers": ANSWERS,
    "methods": METHODS,
}


def kinds_of(record: Mapping[str, Any]) -> frozenset[str]:
    """The tables that every shard of a run has, by its run.json; a commit record without one of them is damaged."""
    if "methods" in record:
        return frozenset({"samples", "methods"})
    zooms = len(record.get("grid", {}).get("rules", ()))
    kept = record.get("fingerprint_parts", {}).get(PROBABILITIES, False)
    words = ("answers",) if record.get("model", {}).get("backend") == CHAT else ()
    return frozenset({"samples", *made_kinds(zooms, kept), *words})


def made_kinds(zooms: int, keep_probs: bool = False) -> tuple[str, ...]:
    """The tables that a shard holds beside `samples`: merged answers only where there is more than one zoom."""
    return ("predictions", *(("merged",) if zooms > 1 else ()), *(("logprobs",) if keep_probs else ()))
