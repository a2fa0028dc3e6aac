"""What looks wrong by no label: one class for all, class shares far off, answers that say nothing."""

import pytest
import torch

from headstart.comparison import Problem, compare
from headstart.comparison.alarms import FAR, MOST, contradiction, raised, seen, some
from headstart.datasets import unlabel
from headstart.tasks import Binary, Inputs, Labelled, Lazy, Multiclass, Regression, Task

from .problems import TINY


def told(shares, information=0.5, rows=1000):
    return {"rows": rows, "shares": shares, "information": information, "answers": []}


def kinds(found):
    return [each["alarm"] for each in found]


def test_answers_like_the_sources_raise_none():
    assert raised([told([0.5, 0.5]), told([0.4, 0.6])], [0.5, 0.5]) == []


def test_one_class_is_an_alarm_unless_the_sources_have_hardly_another():
    (found,) = raised([told([0.96, 0.04])], [0.5, 0.5])
    assert found == {"alarm": "one class", "value": pytest.approx(0.96), "limit": 0.95}
    assert raised([told([0.96, 0.04])], [0.91, 0.09]) == []
    assert kinds(raised([told([0.9, 0.1])], [0.5, 0.5])) == ["class shares"]


def test_shares_are_far_beyond_what_few_rows_give():
    (found,) = raised([told([0.8, 0.2])], [0.5, 0.5])
    assert (found["alarm"], found["value"]) == ("class shares", pytest.approx(0.3))
    assert FAR < found["limit"] < FAR + 0.02
    assert raised([told([0.8, 0.2], rows=10)], [0.5, 0.5]) == []  # ten rows differ so by chance


def test_shares_are_means_over_the_seeds():
    assert raised([told([0.99, 0.01]), told([0.01, 0.99])], [0.5, 0.5]) == []


def test_little_information_is_measured_by_what_there_is():
    assert kinds(raised([told([0.5, 0.5], 0.01)], [0.5, 0.5])) == ["little information"]
    assert raised([told([0.95, 0.05], 0.01)], [0.95, 0.05]) == []  # rare classes hold little


@pytest.mark.parametrize("prior", [[1.0, 0.0], [0.0, 0.0], []])
def test_sources_of_one_class_or_none_tell_nothing(prior):
    assert raised([told([0.5, 0.5], 0.0)], prior) == []
    assert raised([], [0.5, 0.5]) == []


def test_what_is_kept_of_answers():
    logits = torch.tensor([[9.0, 0, 0], [0, 9, 0], [0, 9, 0], [0, 9, 0]])
    kept = seen(Multiclass(3), logits)
    assert (kept["rows"], kept["answers"], kept["shares"]) == (4, [0, 1, 1, 1], [0.25, 0.75, 0.0])
    assert 0.5 < kept["information"] < 0.6  # less than the entropy of a quarter, 0.562
    assert seen(Multiclass(3), logits * 0)["information"] == pytest.approx(0, abs=1e-9)
    assert seen(Binary(), torch.tensor([[3.0], [-3.0]]))["answers"] == [1, 0]
    assert seen(Regression(1), torch.zeros(3, 1)) is None
    assert seen(Multiclass(3), logits[:0]) is None


def test_rows_are_taken_from_all_over():
    x = torch.arange(3 * MOST).float()[:, None]
    taken = some(Inputs(x)).flatten()
    assert len(taken) == MOST
    assert (taken[0], taken[-1]) == (0, 3 * MOST - 1)
    assert len(some(Inputs(x[:7]))) == 7
    lazy = some(Lazy([(row, 0) for row in x[:5]]))
    assert torch.equal(lazy, x[:5])


def test_a_contradiction_needs_half_of_the_rows():
    one, other = ({"answers": [0, 0, 1, 1]}, {"answers": [0, 1, 1, 1]})
    assert contradiction([one], [other]) == []
    assert contradiction([one], [{"answers": [1, 1, 1, 1]}])[0]["value"] == 0.5
    assert contradiction([], []) == []


def rows(count, seed, move=0.0):
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 2
    return Labelled(torch.randn(count, 4, generator=g) + 2.0 * y[:, None] + move, y)


@pytest.mark.parametrize(("move", "alarm"), [(0.0, []), (9.0, ["one class"])])
def test_a_comparison_without_labels_raises_them(move, alarm):
    target = unlabel(Task("new", Multiclass(2), rows(80, 1, move), test=rows(80, 2, move)))
    source = Task("old", Multiclass(2), rows(200, 3))
    posed = Problem(target, [source], settings={"hidden": [6]}, budget=TINY)
    result = compare(posed, "source+logreg", 2, baseline="source+logreg")
    heard = [each for each in result.data.get("alarms", ()) if each["alarm"] != "little information"]
    assert kinds(heard) == alarm
    if alarm:
        assert heard[0]["target"] == "new"
        assert (heard[0]["strategy"], heard[0]["source"]) == ("source+logreg", None)
        assert "Alarm, without any label: nearly all rows get one class: source+logreg (100 %)." in " ".join(
            result.table().split()
        )
