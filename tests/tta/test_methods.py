"""Methods as text: what they look at, and one line for each that is none."""

import pytest

from snellen.errors import UsageError
from snellen.tta.methods import Method, check_method, parse_methods
from snellen.tta.policy import Policy
from snellen.tta.views import view_set
from snellen.zoom import Grid

POLICY = Policy(Grid("ten", view_set("10crop").rules), 2.0, 0.08, 0, 100, 4.0, (), "a b")


@pytest.mark.parametrize(
    ("text", "kind", "views", "merge"),
    [
        ("center", "merge", 1, "mean"),
        ("center+flip", "merge", 2, "mean"),
        ("10crop", "merge", 10, "mean"),
        ("max:10crop", "merge", 10, "max"),
        ("vote:5crop+flip", "merge", 10, "vote"),
        ("gmean:paper:in", "merge", 234, "gmean"),
        ("confident-8:paper:centre", "merge", 36, "confident-8"),
        ("zero:paper:out+flip", "merge", 162, "zero"),
        ("anytime", "anytime", 10, "mean"),
        ("memo-rrc", "memo", 1, "mean"),
        ("memo-augmix,k=4+flip", "memo", 1, "mean"),
    ],
)
def test_what_a_method_looks_at(text, kind, views, merge):
    (method,) = parse_methods([text], POLICY)
    assert (method.name, method.kind, len(method.rules), str(method.merge)) == (text, kind, views, merge)
    assert Method.from_json(method.to_json()) == method
    check_method(text, POLICY)


def test_each_once_in_order():
    names = ["5crop", "center", "5crop", "anytime"]
    methods = parse_methods(names, POLICY)
    assert [method.name for method in methods] == ["5crop", "center", "anytime"]
    assert methods[2].learned_from == POLICY.learned_from
    assert methods[2].threshold == POLICY.threshold


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("centre", "did you mean center"),
        ("median:5crop", "unknown merge 'median'"),
        ("mean:6crop", "unknown views '6crop'"),
        ("mean", "unknown method 'mean'"),
        ("paper:in", "unknown method 'paper:in'"),
        ("confident-6:5crop", "only 5 views"),
        ("anytime+flip", "anytime"),
        ("memo-rrc,k=0", "0 augmented views"),
        ("memo-rrc,k=2.5", "k=2.5 makes no sense"),
        ("memo-rrc,lr=-1", "'memo-rrc,lr=-1': lr=-1.0"),
        ("memo-rrc,flip=maybe", "flip=maybe makes no sense"),
        ("memo-rrc,steps=2", "unknown setting 'steps'"),
        ("memo", "did you mean memo-"),
        ("", "unknown method"),
    ],
)
def test_one_line_for_what_is_none(text, says):
    with pytest.raises(UsageError, match=says) as error:
        check_method(text, POLICY)
    assert "\n" not in str(error.value)


def test_anytime_needs_a_policy_of_the_models_size():
    with pytest.raises(UsageError, match="--policy FILE"):
        parse_methods(["anytime"])
    with pytest.raises(UsageError, match="another grid"):
        parse_methods(["anytime"], POLICY, size=336)
    with pytest.raises(UsageError, match="no method"):
        parse_methods([])
