"""The Python of docs/tta.md runs as it stands."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs" / "tta.md"


def test_the_recipe_for_a_model_of_ones_own(examples_dir, tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (recipe,) = [block for block in blocks if "ZoomTTA" in block]
    assert len([line for line in recipe.splitlines() if line]) <= 10
    for name, source in zip("ab", sorted(examples_dir.glob("*.jpg")), strict=False):
        (tmp_path / f"{name}.jpg").write_bytes(source.read_bytes())
    monkeypatch.chdir(tmp_path)
    known = {}
    exec(compile(recipe, str(DOCS), "exec"), known)
    assert known["log_probs"].shape == (2, 2)
    assert known["log_probs"].exp().sum(1).tolist() == pytest.approx([1, 1], abs=1e-5)
    answer, *votes = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"(cat|dog) \(mean [\d.]+%\), \d of 9 views agree", answer)
    assert len(votes) == 9
    assert all(re.fullmatch(r"[= ] scale 224, row \d, col \d: (cat|dog) \([\d.]+%\)", vote) for vote in votes)
