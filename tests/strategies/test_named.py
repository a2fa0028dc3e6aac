"""Strategies that read names of classes, against cosines and scikit-learn on the same rows by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

import headstart as hs
from headstart.strategies import FURTHER, Budget, Trial
from headstart.tasks import Labelled, Task
from headstart.testing import check_strategy

NAMES = ("names", "names+logreg", "names+contrastive")
SAID = {
    "cold_drink": ["a cold cup of water please", "some cold juice", "water with ice", "a cold soda drink"],
    "hot_meal": ["a hot soup", "the pasta is hot and good", "a warm meal for two", "hot pizza please"],
    "sweet_cake": ["a slice of cake", "sweet pie and cream", "a cake of fruit", "sweet cake for all"],
}


class MeanOfWords(nn.Module):
    """The mean of vectors of a text's words."""

    def __init__(self, words):
        super().__init__()
        self.vectors = nn.Embedding(words, 12, padding_idx=0)
        with torch.no_grad():
            self.vectors.weight.copy_(torch.randn(words, 12, generator=torch.Generator().manual_seed(3)))
            self.vectors.weight[0] = 0

    def forward(self, ids):
        return self.vectors(ids).sum(1) / (ids > 0).sum(1, keepdim=True).clamp(min=1)


def task(said=SAID):
    pandas = pytest.importorskip("pandas")
    rows = [(text, name) for name, texts in said.items() for text in texts]
    asked = [(" ".join(text.split()[:0:-1]), name) for text, name in rows]  # turned, without the first word
    frame = pandas.DataFrame([*rows, *asked], columns=["text", "label"])
    frame["split"] = ["train"] * len(rows) + ["test"] * len(asked)
    (made,) = hs.datasets.from_frame(frame, label="label", text="text")
    return made


def problem(target=None, **changes):
    target = target or task()
    backbone = MeanOfWords(target.encoding.facts()["vocabulary"])
    budget = Budget(steps=6, batch=6, options=1)
    return hs.Problem(target, backbone=backbone, **{"budget": budget} | changes)


def learned(name, posed, **settings):
    strategy = FURTHER[name]
    return strategy.learn(Trial(posed, {**strategy.options[0], **settings}, 0))


def told(net, x, name):
    with torch.no_grad():
        return net.eval()(x, name).double()


def features(posed, texts):
    rows = posed.target.encoding.of(texts)
    with torch.no_grad():
        return posed.build(pretrained=True)(rows).double().numpy()


@pytest.mark.parametrize("name", NAMES)
def test_each_keeps_the_contract(name):
    check_strategy(FURTHER[name], problem())


def test_the_nearest_name_by_cosines():
    posed = problem()
    target = posed.target
    z = features(posed, [text for texts in SAID.values() for text in texts])
    n = features(posed, ["cold drink", "hot meal", "sweet cake"])
    z, n = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (z, n))
    net = learned("names", posed).net
    assert np.allclose(told(net, target.train.x, target.name), 20 * z @ n.T, atol=1e-4)
    words = ["water", "soup pasta", "pie"]
    other = told(learned("names", posed, words=words).net, target.train.x, target.name)
    n = features(posed, words)
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    assert np.allclose(other, 20 * z @ n.T, atol=1e-4)


def test_no_label_is_learned_from_for_the_nearest_name():
    posed = problem()
    turned = replace(posed.target, train=Labelled(posed.target.train.x, posed.target.train.y.flip(0)))
    one, other = (learned("names", p).net for p in (posed, problem(turned)))
    x, name = posed.target.test.x, posed.target.name
    assert torch.equal(told(one, x, name), told(other, x, name))


def test_of_two_classes_one_number_says_which():
    posed = problem(task({name: SAID[name] for name in ("cold_drink", "hot_meal")}))
    name, x, y = posed.target.name, posed.target.train.x, posed.target.train.y
    for way in NAMES:
        out = told(learned(way, posed).net, x, name)
        p = posed.target.kind.probabilities(out)
        assert p.shape == (8, 2)
        assert (p.argmax(1) == y).float().mean() > 0.6


def test_the_regression_has_one_more_row_of_each_class():
    posed = problem()
    target, texts = posed.target, [text for rows in SAID.values() for text in rows]
    trained = learned("names+logreg", posed)
    z = features(posed, [*texts, "cold drink", "hot meal", "sweet cake"])
    y = np.concatenate([target.train.y.numpy(), np.arange(3)])
    mean = z.mean(0)
    scale = np.sqrt(np.square(z - mean).sum(1).mean())
    by_hand = LogisticRegression(C=trained.told["C"], max_iter=1000).fit((z - mean) / scale, y)
    p = by_hand.predict_proba((z[: len(texts)] - mean) / scale)
    found = told(trained.net, target.train.x, target.name).softmax(1)
    assert np.allclose(found, p, atol=2e-3)


def test_names_have_no_say_in_the_penalty():
    posed = problem()
    frozen = hs.strategies.STRATEGIES["features+logreg"]
    C = frozen.learn(Trial(posed, frozen.options[0], 0)).told["C"]
    for words in ([], ["soup", "water", "ice"]):
        assert learned("names+logreg", posed, words=words).told["C"] == C


def test_one_row_of_each_class_is_tuned_towards_its_name():
    posed = problem(shots=1).cut(1, 0)
    assert len(posed.target.train.y) == 3
    before = posed.build(pretrained=True).vectors.weight
    after = learned("names+contrastive", posed, lr=1e-2).net.backbone.vectors.weight
    assert not torch.allclose(before, after)


def test_what_is_learned_is_saved_and_read_again(tmp_path):
    posed = problem()
    result = hs.compare(posed, strategies=["names+logreg"], seeds=3, baseline="constant", progress=False)
    result.best.save(tmp_path / "model")
    loaded = hs.load(tmp_path / "model", backbone=posed.build(pretrained=False))
    assert loaded.predict(["a hot pizza"]) == ["hot_meal"]


def test_names_that_are_no_words_are_refused():
    numbered = problem(task({"7": SAID["cold_drink"], "meal": SAID["hot_meal"]}))
    for way in NAMES:
        with pytest.raises(ValueError, match="words, that an encoder can read"):
            learned(way, numbered)
        learned(way, numbered, words=["cold drink", "hot meal"])


def test_rows_that_are_no_texts_are_left_out():
    needs = FURTHER["names"].needs
    bare = replace(task(), encoding=None)
    net = MeanOfWords(99)
    assert "how names are to be cut" in needs(hs.Problem(bare, backbone=net))
    rows = Labelled(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]))
    numbers = Task("numbers", hs.tasks.Multiclass(["no", "yes"]), rows, test=rows)
    assert "no token ids" in needs(hs.Problem(numbers, backbone=nn.Linear(3, 2)))


@pytest.mark.parametrize("name", NAMES)
def test_words_are_one_for_each_class(name):
    with pytest.raises(ValueError, match="one for each of 3 classes"):
        learned(name, problem(), words=["cold"])
