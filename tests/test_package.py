"""What `import snellen` gives, and what it leaves alone."""

import subprocess
import sys

import pytest

import snellen


def fresh(code: str) -> str:
    """What a new process that runs `code` prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_public_name_is_there_and_only_one_needs_torch():
    code = "import snellen, sys; [getattr(snellen, n) for n in snellen.__all__ if n != 'ZoomTTA']"
    assert fresh(code + "; print('torch' in sys.modules); snellen.ZoomTTA; print('torch' in sys.modules)") == (
        "False\nTrue"
    )


@pytest.mark.parametrize("first", ["snellen", "snellen.study", "snellen.evaluate", "snellen.cli.study"])
def test_a_name_is_the_function_whichever_module_was_imported_first(first):
    code = f"import {first}, snellen.score; from snellen import show, study; import snellen; "
    names = "show, study, snellen.study, snellen.score, snellen.evaluate"
    expected = ["show", "study", "study", "score", "evaluate"]
    assert fresh(f"{code} print(*(f.__name__ for f in ({names})))").split() == expected


def test_a_worker_imports_neither_analyses_nor_reports_nor_a_network_library():
    code = "import sys, snellen.engine.worker; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = set(fresh(code).split())
    assert not loaded & {"torch", "timm", "ray", "numba", "onnxruntime", "rich", "typer", "scipy", "matplotlib"}
    code = "import sys, snellen.engine.worker; print(*(n for n in sys.modules if n.startswith('snellen.')))"
    assert not {name.split(".")[1] for name in fresh(code).split()} & {"analysis", "report", "cli", "tta", "study"}


def test_an_interpreter_can_complete_every_public_name():
    assert fresh("import snellen; print(set(snellen.__all__) <= set(dir(snellen)))") == "True"


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="module 'snellen' has no attribute 'nothing'"):
        _ = snellen.nothing
