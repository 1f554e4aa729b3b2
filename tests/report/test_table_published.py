"""Published numbers beside those of runs, and the origins of ImageNet-Hard's images."""

import pytest
from photo_runs import paint, photo_run
from table_reading import lines_of, tables_of
from two_runs import rename, runs_of

import snellen
from snellen.report.origins import image_origins
from snellen.report.table import as_csv, shown


def test_published_numbers_stand_beside_ours(make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, 2, 12, classes=9)
    for truth, model in zip(truths, ("torchvision/alexnet:IMAGENET1K_V1", "timm/unheard_of"), strict=True):
        rename(truth.path, model, data="imagenet")
    runs = [snellen.load_run(truth.path) for truth in truths]
    tables = tables_of(runs, errata=True)
    expected = {
        ("table1", "1-crop"): 0.5616,
        ("table1", "upper bound"): 0.9003,
        ("groups", "zoom-in"): 0.8917,
        ("locations", "centre", "centre"): 0.7738,
        ("covers", "greedy cover"): 255,
    }
    lines = [line for line in lines_of(tables["table1"]) if line["published"] and line["measure"] != "random"]
    assert {line["spec"] for line in lines} == {"torchvision/alexnet:IMAGENET1K_V1"}
    published = {("table1", line["measure"]): float(line["published"]) for line in lines}
    for line in lines_of(tables["groups"]):
        if line["published"] and line["measure"] == "upper bound":
            published["groups", line["group"]] = float(line["published"])
    for line in lines_of(tables["locations"]):
        if line["published"]:
            published["locations", line["row"], line["col"]] = float(line["published"])
    for line in lines_of(tables["covers"]):
        if line["published"]:
            published["covers", line["measure"]] = float(line["published"])
    assert {key: pytest.approx(published[key]) for key in expected} == expected
    for line in lines_of(tables["table1"]) + lines_of(tables["covers"]):
        if line["published"]:
            assert float(line["difference"]) == pytest.approx(float(line["value"]) - float(line["published"]))
    alone = [line for line in lines_of(tables["groups"]) if line["measure"] == "alone, published way"]
    assert {line["published"] for line in alone} == {""}, "the published ones are of CLIP's cover"
    assert {line["published"] for line in lines_of(tables["groups"]) if line["measure"] == "alone"} == {""}
    # The study's models come after others: AlexNet's cover decides for both.
    assert any("(alexnet)" in note for note in tables["groups"].notes)
    form = shown(tables["table1"])
    assert [head[0] for head in form.heads] == ["imagenet", "published", "difference"]
    assert any("arXiv 2304.05538" in note for note in form.notes)
    ours = runs[0].accuracy().value
    assert form.rows[0][1][2].main == f"{100 * (ours - 0.5616):+.2f}".replace("-", "−")
    assert "published way" not in as_csv(tables_of(runs)["groups"])
    rename(truths[1].path, "open_clip/ViT-L-14,openai,normalize=imagenet", data="imagenet")
    groups = tables_of([snellen.load_run(truth.path) for truth in truths], errata=True)["groups"]
    alone = [line for line in lines_of(groups) if line["measure"] == "alone, published way"]
    assert {line["published"] != "" for line in alone} == {True}
    assert any("(ViT-L-14)" in note for note in groups.notes)
    assert any("--errata" in note for note in groups.notes)


def test_origins(tmp_path):
    photos = paint(tmp_path / "photos", [f"{k}.jpg" for k in range(6)])
    run = photo_run(tmp_path / "run", photos)
    assert image_origins([run]) == {}
    assert "origins" not in tables_of([run])
    places = ["imagenet_sketch", "objectnet", "imagenet_sketch", "somewhere", "objectnet", "imagenet_sketch"]
    samples = run.samples.drop_columns("origin").append_column("origin", [places])
    run.__dict__["samples"] = samples  # in the place of what it has read
    run.record["data"] |= {"spec": "imagenet-hard", "name": "imagenet-hard"}
    (origins,) = image_origins([run]).values()
    assert [(one.name, one.images) for one in origins[:3]] == [
        ("imagenet_sketch", 3),
        ("objectnet", 2),
        ("somewhere", 1),
    ]
    assert [one.published.value if one.published else None for one in origins[:3]] == [3470, 1268, None]
    assert sum(one.published.value for one in origins if one.published) == 10980
    lines = lines_of(tables_of([run])["origins"])
    shares = [float(line["value"]) for line in lines if line["measure"] == "share, %"]
    assert sum(shares) == pytest.approx(1)
    run.__dict__["samples"] = samples.slice(0, 0)
    assert image_origins([run]) == {}, "nothing is done yet"
