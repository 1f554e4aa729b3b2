"""When a policy's answer to an image is settled, by its definition in docs/tta.md."""

import numpy as np


def stop_of(probs, threshold, shown=None):
    """After how many of an image's views `[views, classes]`; `shown`: how many are shown at most."""
    views = len(probs)
    shown = shown or views
    for k in range(2, shown):
        q, p = np.sort(np.mean(probs[:k], axis=0, dtype=np.float64))[-2:]
        if (p - q) / ((p + q) * (1 / k - 1 / views)) ** 0.5 >= threshold:
            return k
    return shown
