"""What is handed over in place of tasks, problems and strategies: told at once, in four parts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import headstart as hs

X, Y = np.zeros((8, 3), dtype=np.float32), np.arange(8) % 2
ROWS = hs.tasks.Labelled(torch.from_numpy(X), torch.from_numpy(Y))
TASK = hs.Task("new", hs.tasks.Multiclass(2), ROWS, test=ROWS)
OTHER = replace(TASK, name="old")
WORLD = hs.rl.World("CartPole-v1")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: hs.Problem((X, Y)), "`target` should be a task; found tuple; read a file by"),
        (lambda: hs.Problem("csv:new.csv#label"), "`target` should be a task; found str"),
        (lambda: hs.Problem(targets=[TASK, X]), "each of `targets` should be a task; found ndarray"),
        (lambda: hs.Problem(TASK, [X]), "each of `sources` should be a task; found ndarray"),
        (
            lambda: hs.Problem(TASK, OTHER),
            "`sources` should be a list of tasks; found Task; pass `sources=[task]`",
        ),
        (lambda: hs.Problem(TASK, "digits:0-4"), "`sources` should be a list of tasks; found str"),
        (
            lambda: hs.Problem(TASK, shots=2.5),
            "`shots` should be a whole number, or a list of such; found 2.5",
        ),
        (
            lambda: hs.Problem(TASK, shots="2"),
            "`shots` should be a whole number, or a list of such; found '2'",
        ),
        (lambda: hs.Problem(TASK, budget=5), "`budget` should be a `Budget`; found 5"),
        (lambda: hs.Task("new", "classes", ROWS), "`kind` of task 'new' should be a kind; found 'classes'"),
        (
            lambda: hs.Task("new", hs.tasks.Multiclass(2), (X, Y)),
            "found a tuple of arrays; pass `hs.tasks.Labelled",
        ),
        (
            lambda: hs.tasks.Labelled(X, np.array(["a", "b"] * 4, dtype=object)),
            "number labels by `kind.encode",
        ),
        (lambda: hs.datasets.read(X), 'data reference should be "reader:argument"; found ndarray'),
        (lambda: hs.compare(TASK), "`problem` should be a `Problem`; found Task"),
        (
            lambda: hs.compare(hs.Problem(TASK), [1]),
            "each of `strategies` should be a name, or a `Strategy`; found 1",
        ),
        (lambda: hs.compare(hs.Problem(TASK), seeds=2.5), "`seeds` should be a whole number, several"),
        (lambda: hs.rl.Problem("CartPole-v1"), "`target` should be a `World`; found 'CartPole-v1'"),
        (lambda: hs.rl.Problem(WORLD, ["CartPole-v1"]), "each of `sources` should be a `World`"),
        (lambda: hs.rl.Problem(WORLD, budget=5), "`budget` should be a `Budget`; found 5"),
    ],
)
def test_what_is_none(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(TypeError) as error:
        make()
    assert said in str(error.value)


def test_what_may_stand_for_a_list() -> None:
    problem = hs.Problem(TASK, (t for t in [OTHER]), shots=np.array([2, 3]))
    assert [t.name for t in problem.sources] == ["old"]
    assert problem.counts() == [2, 3]
