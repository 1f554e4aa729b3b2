"""Short names of runs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.analysis.short_names import short_names
from snellen.store import Run
from snellen.zoom import paper_grid


def run(model, precision="fp32", data="photos", grid="paper", out="out"):
    record = {
        "model": {"spec": model, "precision": precision},
        "data": {"spec": data, "name": data},
        "grid": paper_grid(224, (224,)).to_json() | {"name": grid},
    }
    return Run(Path("/work") / out / data / "model" / f"{grid}-{precision}", record)


CASES = [
    ([], []),
    ([run("timm/resnet50")], ["resnet50"]),
    ([run("timm/resnet50"), run("hf/google/vit")], ["resnet50", "vit"]),
    ([run("timm/x@/far/away/w.safetensors,mean=0.5"), run("/home/me/pets.py:tiny,width=8")], ["x", "tiny"]),
    ([run("timm/a"), run("timm/a", "bf16")], ["a (fp32)", "a (bf16)"]),
    ([run("timm/a"), run("torchvision/a:V1")], ["a (timm)", "a (torchvision)"]),
    ([run("torchvision/a:V1"), run("torchvision/a:V2")], ["a (V1)", "a (V2)"]),
    ([run("torchvision/a"), run("torchvision/a:V2")], ["a", "a (V2)"]),
    ([run("open_clip/ViT-B-32,openai"), run("open_clip/ViT-B-32,laion")], ["ViT-B-32 (openai)", "ViT-B-32 (laion)"]),
    ([run("timm/a@/w/one.pth"), run("timm/a@/w/two.pth")], ["a (one.pth)", "a (two.pth)"]),
    ([run("timm/a,classes=/my/names.txt"), run("timm/a")], ["a (classes=names.txt)", "a"]),
    ([run("timm/a"), run("timm/a", grid="own")], ["a (grid paper)", "a (grid own)"]),
    ([run("timm/a", out="old"), run("timm/a", out="new")], ["a (old)", "a (new)"]),
    ([run("timm/a"), run("timm/a")], ["a", "a (no. 2)"]),
    ([run("timm/a", data="x"), run("timm/a", data="y"), run("timm/b", data="x")], ["a", "a", "b"]),
    ([run("made-up")], ["made-up"]),
    ([run("vlm/org/name@http://localhost:8000/v1")], ["name"]),
    ([run("module/Net")], ["Net"]),
]


@pytest.mark.parametrize(("runs", "names"), CASES)
def test_names(runs, names):
    assert short_names(runs) == names


SPECS = st.builds(
    "{}/{}{}{}".format,
    st.sampled_from(["timm", "torchvision", "hf/org"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["", "@/x/w.pth", "@/y/w.pth"]),
    st.sampled_from(["", ",mean=0.5"]),
)


@given(st.lists(st.builds(run, SPECS, st.sampled_from(["fp32", "bf16"]), st.sampled_from(["p", "q"])), max_size=8))
def test_no_two_runs_of_a_data_set_share_a_name(runs):
    names = short_names(runs)
    found = [(one.data_name, name) for one, name in zip(runs, names, strict=True)]
    assert len(set(found)) == len(runs)
    assert all("/" not in name for name in names)
