"""Files of predictions: every usual column, every way to say a class, every form of a top-5, every mistake."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from guesses import WNIDS, five, hits, make_folder, recount, some_right, write_csv
from scipy.special import softmax

import snellen
from snellen.errors import DataError
from snellen.labels import IMAGENET_1K


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def truth(folder):
    return make_folder(folder)


@pytest.mark.parametrize("image", ["file_name", "filename", "image", "image_id", "path", "id", "File Name", "Image-ID"])
@pytest.mark.parametrize(
    "predicted", ["predicted_class", "prediction", "pred", "class", "class_id", "label_pred", "top1", "id0"]
)
def test_the_usual_names_of_columns(folder, truth, tmp_path, image, predicted):
    guesses = some_right(truth)
    path = write_csv(tmp_path / "p.csv", [image, predicted, "seconds"], [(n, k, 0.1) for n, k in guesses.items()])
    assert hits(snellen.score(path, folder)) == (7, 12)


@pytest.mark.parametrize(
    "probability", ["predicted_probability", "probability", "confidence", "score", "prob", "p0", "Probability"]
)
def test_the_usual_names_of_probabilities(folder, truth, tmp_path, probability):
    rows = [(name, k, 0.25) for name, k in some_right(truth).items()]
    path = write_csv(tmp_path / "p.csv", ["filename", "index", probability], rows)
    (score,) = snellen.score(path, folder).scores
    assert score.calibration.n == 12
    assert score.calibration.ece == pytest.approx(7 / 12 - 0.25)


def test_other_names_are_given(folder, truth, tmp_path):
    rows = [(name, k, 5, 0.5, 0.9) for name, k in some_right(truth).items()]
    path = write_csv(tmp_path / "p.csv", ["photo", "answer", "pred", "prob", "sure"], rows)
    columns = {"image": "photo", "class": "answer", "probability": "sure"}
    (score,) = snellen.score(path, folder, columns=columns).scores
    assert (score.top1.hits, score.calibration.ece) == (7, pytest.approx(0.9 - 7 / 12))
    assert snellen.score(path, folder, columns=columns | {"probability": ""}).scores[0].calibration is None


CLASS_WORDS = {
    "index": lambda k: k,
    "a float, as pandas writes integers beside gaps": float,
    "wnid": lambda k: WNIDS[k],
    "name": lambda k: IMAGENET_1K.synonyms[k][-1],
    "index as text": lambda k: f" {k} ",
}


@pytest.mark.parametrize(
    ("kind", "how"),
    [(kind, how) for kind in ("csv", "parquet", "npy") for how in CLASS_WORDS if (kind, how[:7]) != ("npy", "a float")],
)
def test_every_way_to_say_a_class_in_every_file(folder, truth, tmp_path, kind, how):
    words = [CLASS_WORDS[how](k) for k in some_right(truth).values()]
    path = tmp_path / f"p.{kind}"
    if kind == "csv":
        write_csv(path, ["image", "class"], zip(truth, words, strict=True))
    elif kind == "parquet":
        pq.write_table(pa.table({"image": list(truth), "class": words}), path)
    else:
        np.save(path, np.array(words))
    assert hits(snellen.score(path, folder)) == (7, 12)


@pytest.mark.parametrize("kind", ["csv", "lists", "npy"])
def test_minus_one_is_no_answer_as_text_too(folder, truth, tmp_path, kind):
    words = [" -1" if place in (0, 3) else WNIDS[k] for place, k in enumerate(some_right(truth).values())]
    if kind == "csv":
        path = write_csv(tmp_path / "p.csv", ["image", "class"], zip(truth, words, strict=True))
    elif kind == "lists":
        path = tmp_path / "p.parquet"
        pq.write_table(pa.table({"image": list(truth), "class": [[word, "-1"] for word in words]}), path)
    else:
        path = tmp_path / "p.npy"
        np.save(path, np.array(words))
    scores = snellen.score(path, folder)
    assert hits(scores) == (5, 12)
    assert "2 rows name no class, which counts as wrong" in scores.notes


TOP_FIVE = {
    "id0 … id4": (list, [f"id{j}" for j in range(5)]),
    "top1 … top5": (list, [f"top{j}" for j in range(1, 6)]),
    "pred_1 … pred_5": (list, [f"pred_{j}" for j in range(1, 6)]),
    "timm's index_0 … index_4": (list, [f"index_{j}" for j in range(5)]),
    "in another order": (lambda row: row[::-1], [f"class{j}" for j in (4, 3, 2, 1, 0)]),
}


@pytest.mark.parametrize(("order", "names"), TOP_FIVE.values(), ids=TOP_FIVE)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_top_five_in_columns(folder, truth, tmp_path, order, names, kind):
    rows = [[name, *order(five(k, place % 6))] for place, (name, k) in enumerate(truth.items())]
    path = tmp_path / f"p.{kind}"
    if kind == "csv":
        write_csv(path, ["filename", *names], rows)
    else:
        columns = zip(*rows, strict=True)
        pq.write_table(pa.table(dict(zip(["filename", *names], map(list, columns), strict=True))), path)
    (score,) = snellen.score(path, folder).scores
    assert (score.top1.hits, score.top5.hits, score.top5.n) == (2, 10, 12)


TWO_READINGS = {
    "id0, id1": ("prediction", ["id0", "id1"], "prediction"),
    "top1, top2": ("predicted_class", ["top1", "top2"], "predicted_class"),
    "right at 1, at 2": ("class", ["top_1", "top_2"], "class"),
    "from 1": ("class_id", ["id1", "id2"], "class_id"),
    "a weaker word": ("pred", ["class_0", "class_1"], "pred"),
    "a stronger word": ("class", ["pred_0", "pred_1"], "pred_0, pred_1"),
    "the same word": ("pred", ["pred_1", "pred_2"], "pred_1, pred_2"),
    "a count of rows": ("index", ["id0", "id1"], "id0, id1"),
}


@pytest.mark.parametrize(("one", "two", "read"), TWO_READINGS.values(), ids=TWO_READINGS)
@pytest.mark.parametrize("swapped", [False, True])
def test_the_more_telling_name_is_read_and_the_other_is_said(folder, truth, tmp_path, one, two, read, swapped):
    single = {one: list(some_right(truth).values())}
    pair = {name: [five(k, place % 6)[j] for place, k in enumerate(truth.values())] for j, name in enumerate(two)}
    columns = {"filename": list(truth)} | (pair | single if swapped else single | pair)
    path = write_csv(tmp_path / "p.csv", list(columns), zip(*columns.values(), strict=True))
    scores = snellen.score(path, folder)
    assert hits(scores) == ((7, 12) if read == one else (2, 12))
    other = ", ".join(two) if read == one else one
    assert scores.notes[1:3] == (
        f"read as class: {read}",
        f"not read as class, though it may be: {other} (class=NAME reads another column)",
    )
    asked = snellen.score(path, folder, columns={"class": other.replace(", ", ",")})
    assert hits(asked) == ((2, 12) if read == one else (7, 12))
    assert not any("not read" in note for note in asked.notes)


@pytest.mark.parametrize("kind", ["list", "large_list", "fixed", "text"])
def test_top_five_in_a_list(folder, truth, tmp_path, kind):
    rows = [five(k, place % 6) for place, k in enumerate(truth.values())]
    lists = {
        "list": pa.array(rows, pa.list_(pa.int64())),
        "large_list": pa.array([[*row, 7, 8] for row in rows], pa.large_list(pa.int16())),
        "fixed": pa.array(rows, pa.list_(pa.int32(), 5)),
        "text": pa.array([[WNIDS[k] for k in row] for row in rows]),
    }
    sure = pa.array([[0.5, 0.1]] * 12, pa.list_(pa.float32()))
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"filename": list(truth), "index": lists[kind], "prob": sure}), path)
    (score,) = snellen.score(path, folder).scores
    assert (score.top1.hits, score.top5.hits) == (2, 10)
    assert score.calibration.ece == pytest.approx(0.5 - 2 / 12)


def test_short_lists_have_no_top_five(folder, truth, tmp_path):
    rows = [[k, 5][: place % 3] for place, k in enumerate(truth.values())]
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"filename": list(truth), "prediction": rows}), path)
    scores = snellen.score(path, folder)
    assert hits(scores) == (8, 12)
    assert scores.scores[0].top5 is None
    assert "4 rows name no class, which counts as wrong" in scores.notes


def test_several_columns_may_be_given(folder, truth, tmp_path):
    rows = [[name, *five(k, place % 6)] for place, (name, k) in enumerate(truth.items())]
    path = write_csv(tmp_path / "p.csv", ["image", "a", "b", "c", "d", "e"], rows)
    (score,) = snellen.score(path, folder, columns={"class": "a,b,c,d,e"}).scores
    assert (score.top1.hits, score.top5.hits) == (2, 10)


def test_top_five_as_an_array(folder, truth, tmp_path):
    np.save(tmp_path / "p.npy", np.array([five(k, place % 6) for place, k in enumerate(truth.values())]))
    (score,) = snellen.score(tmp_path / "p.npy", folder).scores
    assert (score.top1.hits, score.top5.hits) == (2, 10)


@pytest.fixture
def logits(truth):
    """Logits whose five best hold the class of an image here and there: float32 [12, 1000]."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(12, 1000)).astype(np.float32)
    for row, k in enumerate(truth.values()):
        values[row, k] = [9, 3.0, 1, 8, 2.5, -1][row % 6]
    return values


FORMS = ["npy", "float16", "probabilities", "parquet", "parquet columns", "csv columns"]


@pytest.mark.parametrize("form", FORMS)
def test_logits(folder, truth, tmp_path, logits, form):
    path = tmp_path / "p"
    names = list(truth)
    if form == "parquet":
        lists = pa.array(list(logits), pa.list_(pa.float32()))
        pq.write_table(pa.table({"file_name": names[::-1], "logits": lists[::-1]}), path)
    elif form.endswith("columns"):
        table = pa.table({"file_name": names} | {f"logit_{k}": logits[:, k] for k in range(1000)})
        if form == "parquet columns":
            pq.write_table(table, path)
        else:
            write_csv(path, table.column_names, [list(row.values()) for row in table.to_pylist()])
    else:
        values = {"float16": logits.astype(np.float16), "probabilities": softmax(logits, axis=1)}.get(form, logits)
        with path.open("wb") as file:
            np.save(file, values)
    scores = snellen.score(path, folder)
    (score,) = scores.scores
    right1, right5, error = recount(truth, logits.astype(np.float16) if form == "float16" else logits)
    assert (score.top1.hits, score.top5.hits) == (right1, right5)
    assert 0 < right1 < right5 < 12
    assert score.calibration.ece == pytest.approx(error, abs=1e-5)
    assert f"the rows are {'probabilities' if form == 'probabilities' else 'logits'}" in scores.notes


def test_classes_may_be_asked_for_beside_logits(folder, truth, tmp_path, logits):
    lists = pa.array(list(logits), pa.list_(pa.float32()))
    guesses = list(some_right(truth).values())
    pq.write_table(pa.table({"image": list(truth), "logits": lists, "pred": guesses}), tmp_path / "p.parquet")
    assert hits(snellen.score(tmp_path / "p.parquet", folder, columns={"class": "pred"})) == (7, 12)


NO_LOGITS = {
    "a text column among numbers": ({"logit_7": ["high"] * 12}, "column 'logit_7' holds string; expected the logits"),
    "dates": ({"logit_0": pa.array([0] * 12, pa.date32())}, "column 'logit_0' holds date32"),
    "an empty column": ({"logit_999": pa.nulls(12)}, "column 'logit_999' holds null"),
    "lists of text": (
        {"logits": [["0.5"] * 1000] * 12},
        "column 'logits' holds list<.*: string>; expected a list of l",
    ),
    "lists of lists": ({"logits": [[[0.5]] * 1000] * 12}, "column 'logits' holds list<.*list<.*expected a list of log"),
    "text": ({"logits": ["0.5 0.1"] * 12}, "column 'logits' holds string; expected a list of logits for each image"),
    "uneven lists": ({"logits": [[0.5] * 1000] * 11 + [[0.5]]}, "lists of different lengths"),
    "a row without a list": ({"logits": [[0.5] * 1000] * 11 + [None]}, "lists of different lengths"),
    "a gap": ({"logits": [[0.5] * 999 + [None]] * 12}, "row 0 of the logits has no largest one"),
}


@pytest.mark.parametrize(("columns", "message"), NO_LOGITS.values(), ids=NO_LOGITS)
def test_logits_that_are_no_numbers_cost_one_line(folder, truth, tmp_path, columns, message):
    numbers = {} if "logits" in columns else {f"logit_{k}": [0.5] * 12 for k in range(1000)}
    pq.write_table(pa.table({"file_name": list(truth)} | numbers | columns), tmp_path / "p.parquet")
    with pytest.raises(DataError, match=message) as caught:
        snellen.score(tmp_path / "p.parquet", folder)
    assert "\n" not in str(caught.value)


def test_a_thousand_columns_of_text_cost_one_line(folder, truth, tmp_path):
    rows = [[name, *["much"] * 1000] for name in truth]
    path = write_csv(tmp_path / "p.csv", ["image", *(f"prob_{k}" for k in range(1000))], rows)
    with pytest.raises(DataError, match="column 'prob_0' holds string; expected the logits of a class, as numbers"):
        snellen.score(path, folder)


MISTAKES = {
    "no class column": (["image", "truth"], [("a", 1)], {}, "header is image, truth; say which does"),
    "an index alone": (["index", "x"], [(1, 1)], {}, "known to hold the predicted class"),
    "a column that is not there": (["image", "class"], [("a", 1)], {"class": "label"}, "has no column 'label'"),
    "a column twice": (["image", "class", "class"], [("a", 1, 2)], {}, "has 2 columns 'class'"),
    "a role that is none": (["image", "class"], [("a", 1)], {"clas": "class"}, "'clas' is nothing a column can be"),
    "a class too high": (["image", "class"], [("a", 1), ("b", 1234)], {}, "row 1: 1234 is no class; expected 0 … 999$"),
    "classes from 1": (["image", "class"], [("a", 1000)], {}, "it seems to count from 1"),
    "half a class": (["image", "class"], [("a", 0.5)], {}, "0.5 is no class"),
    "an unknown name": (["image", "class"], [("a", "trench")], {}, "unknown class 'trench' .*nearest is 'tench'"),
    "an ambiguous name": (["image", "class"], [("a", "crane")], {}, "ambiguous"),
    "a date": (["image", "class"], [("a", "2020-01-01")], {}, "expected class indices, keys or names"),
    "percent": (["image", "class", "prob"], [("a", 1, 55.3)], {}, "row 0: 55.3 is no probability"),
    "text for a probability": (["image", "class", "prob"], [("a", 1, "sure")], {}, "expected probabilities"),
    "one number for logits": (["image", "logits"], [("a", 1.5)], {}, "expected a list of logits"),
    "uneven rows": (["image", "class"], [("a", 1), ("b", 1, 2)], {}, "cannot be read"),
    "no header": (["img_1_0.JPEG", "394"], [("b", 1)], {}, "known to hold the predicted class"),
}


@pytest.mark.parametrize(("header", "rows", "columns", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_csv_costs_one_line(folder, tmp_path, header, rows, columns, message):
    path = write_csv(tmp_path / "p.csv", header, rows)
    with pytest.raises(DataError, match=message) as caught:
        snellen.score(path, folder, columns=columns)
    assert "\n" not in str(caught.value)


ARRAYS = {
    "floats in one row": (np.ones(12), r"is an array \[12\] of float64; expected"),
    "background class": (np.ones((12, 1001)), "holds 1001 logits for each image; .*background"),
    "another head": (np.ones((12, 10)), "holds 10 logits for each image; imagenet-1k has 1000 classes$"),
    "objects": (np.array([{}, []], object), "cannot be read: .*Python objects in dtype; give"),
    "booleans": (np.ones(12, bool), "expected classes"),
    "nan": (np.where(np.arange(12)[:, None] == 7, np.nan, np.ones((12, 1000))), "row 7 of the logits has no largest"),
    "inf": (np.where(np.arange(12000).reshape(12, 1000) == 5004, np.inf, 0.1), "row 5 of the logits"),
    "all -inf": (np.where(np.arange(12)[:, None] == 2, -np.inf, np.ones((12, 1000))), "row 2 of the logits"),
}


@pytest.mark.parametrize(("array", "message"), ARRAYS.values(), ids=ARRAYS)
def test_a_mistake_in_an_array_costs_one_line(folder, tmp_path, array, message):
    np.save(tmp_path / "p.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=message) as caught:
        snellen.score(tmp_path / "p.npy", folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PAR1", b"\xff\xfe\x00", b"PK\x03\x04"])
def test_a_file_of_something_else_costs_one_line(folder, tmp_path, content):
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(DataError) as caught:
        snellen.score(tmp_path / "p", folder)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(folder, tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match="no predictions at"):
            snellen.score(path, folder)


@pytest.mark.parametrize(("delimiter", "start"), [(",", ""), (";", ""), ("\t", ""), (",", "\ufeff")])
def test_delimiters_and_a_byte_order_mark(folder, truth, tmp_path, delimiter, start):
    lines = [delimiter.join(["file_name", "pred"])] + [
        delimiter.join([n, str(k)]) for n, k in some_right(truth).items()
    ]
    (tmp_path / "p.csv").write_text(start + "\r\n".join(lines), encoding="utf-8")
    assert hits(snellen.score(tmp_path / "p.csv", folder)) == (7, 12)
