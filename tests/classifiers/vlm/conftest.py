"""What tests of generative models share."""

import pytest

from snellen.classifiers.vlm import chat


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    """A cache of its own, no key, and retries that do not wait."""
    monkeypatch.setenv("SNELLEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(chat, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(chat, "JITTER", 0.001)
