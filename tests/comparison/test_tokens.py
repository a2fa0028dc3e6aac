"""Tasks with an answer for each token: compared, kept, and used."""

import dataclasses
import math
import random

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.comparison import Problem
from headstart.datasets import SplitSpec, read
from headstart.engine import FeatureStore, evaluate
from headstart.inference import Model
from headstart.models import Net, freeze, textcnn
from headstart.models.heads import build, describe
from headstart.strategies import STRATEGIES, Budget, Trial
from headstart.tasks import Labelled, Multiclass, Task, Tokens
from headstart.tasks.kinds.placed import AtPlaces
from headstart.tasks.kinds.spans import Spans
from headstart.testing import check_strategy
from headstart.transfer import Supervised

TINY = Budget(steps=6, pretrain=8, options=1, repeats=1)
SMALL = {"embedding": 8, "filters": 6, "windows": [1, 3]}


def tagged(rows, seed, *, kinds=3):
    """Draw texts of 2 to 6 of 12 words, each of which nearly always has the same tag."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(2, 14, (rows, 6), generator=g)
    y = torch.where(
        torch.rand(rows, 6, generator=g) < 0.1, torch.randint(kinds, (rows, 6), generator=g), x % kinds
    )
    there = torch.arange(6) < torch.randint(2, 7, (rows, 1), generator=g)
    return Labelled(x * there, y.where(there, -100))


def problem(**changes):
    target = Task("tags", Tokens(["a", "b", "c"]), tagged(30, 1), test=tagged(20, 2))
    sources = [Task("old", Tokens(["a", "b", "c"]), tagged(20, 3)), Task("mood", Multiclass(2), mood(20, 4))]
    given = {"settings": SMALL | {"vocabulary": 14}, "budget": TINY}
    return Problem(target, sources, **given | changes)


def mood(rows, seed):
    x = tagged(rows, seed).x
    return Labelled(x, x[:, 0] % 2)


# F1 of spans.


def spans(tags):
    """List the spans of one text as CoNLL's script reads them, the slow way."""
    found, start = [], None
    for place, tag in enumerate([*tags, "O"]):
        goes_on = start is not None and tag == f"I-{tags[start][2:]}"
        if start is not None and not goes_on:
            found.append((start, place, tags[start][2:]))
            start = None
        if tag != "O" and start is None:
            start = place
    return set(found)


def test_spans_are_scored_as_a_whole():
    tags = ("B-x", "B-y", "I-x", "I-y", "O")
    draw, texts, right, said, is_ = random.Random(0), [], 0, 0, 0
    for _ in range(300):
        one, other = ([draw.choice(tags) for _ in range(draw.randint(1, 7))] for _ in range(2))
        other = [
            b if draw.random() < 0.5 and b else a for a, b in zip(one, [*other, *[None] * 7], strict=False)
        ]
        texts.append((one, other))
        right, said, is_ = (
            right + len(spans(one) & spans(other)),
            said + len(spans(one)),
            is_ + len(spans(other)),
        )
    kind, longest = Tokens(tags), max(len(a) for a, _ in texts)
    y = kind.encode([b for _, b in texts])
    outputs = torch.zeros(len(texts), longest, len(tags))
    for row, (a, _) in enumerate(texts):
        outputs[row, : len(a)] = torch.eye(len(tags))[[tags.index(tag) for tag in a]]
    p, t, row = kind.scored(outputs, y)
    found = kind.measures()["span_f1"](p, t, torch.ones(1, len(t)))
    assert right
    assert found.item() == pytest.approx(2 * right / (said + is_))
    # A text that weighs twice is one that is there twice.
    w = torch.ones(len(texts))
    w[3] = 2
    again = kind.scored(torch.cat([outputs, outputs[3:4]]), torch.cat([y, y[3:4]]))
    twice = kind.measures()["span_f1"](again[0], again[1], torch.ones(1, len(again[1])))
    assert kind.measures()["span_f1"](p, t, w[row][None]).item() == pytest.approx(twice.item())
    assert kind.suited(y)[0] == "span_f1"
    tokens = [a == b for one, other in texts for a, b in zip(one, other, strict=True)]
    assert kind.measures()["accuracy"](p, t, torch.ones(1, len(t))).item() == pytest.approx(
        sum(tokens) / len(tokens)
    )


def test_no_span_has_no_f1_and_an_odd_beginning_is_one():
    measure = Spans(("O", "I-x"))
    nothing = torch.tensor([[0, 0], [0, 0]])
    assert math.isnan(measure(torch.eye(2)[[0, 0]], nothing, torch.ones(1, 2)).item())
    two = torch.tensor([[1, 0], [1, 1]])  # of one token each, in two texts
    assert measure(torch.eye(2)[[1, 0]], two, torch.ones(1, 2)).item() == pytest.approx(2 / 3)


# Features at places.


def test_responses_at_a_token_are_those_of_its_window_and_padding_does_not_matter():
    torch.manual_seed(0)
    net = textcnn(9, embedding=4, filters=3, windows=(1, 2, 3), dropout=0.0)
    x = torch.tensor([[3, 4, 5, 0, 0], [6, 0, 0, 0, 0]])
    found = net.places(x)
    assert found.shape == (2, 5, 9)
    words = torch.cat([torch.zeros(1, 4), net.words(x[0, :3]), torch.zeros(1, 4)])  # one before, one behind
    for place in range(3):
        here = [words[place + 1 : place + 2], words[place + 1 - 0 : place + 3], words[place : place + 3]]
        byhand = torch.cat([
            torch.einsum("ld,fdl->f", part, conv.weight).add(conv.bias).relu()
            for part, conv in zip(here, net.windows, strict=True)
        ])  # fmt: skip
        torch.testing.assert_close(found[0, place], byhand)
    assert not found[0, 3:].any()
    torch.testing.assert_close(net.places(x[:1, :3]), found[:1, :3])
    assert not net.places(torch.zeros(2, 3, dtype=torch.long)).any()


def test_features_of_rows_and_of_places_are_kept_apart():
    net = freeze(Net(textcnn(14, **SMALL), {"tags": AtPlaces(nn.Linear(12, 3)), "mood": nn.Linear(12, 2)}))
    store, x = FeatureStore(), tagged(5, 0).x
    key = store.key(net.backbone)
    places, whole = (store.features(net, key, x, task=name) for name in ("tags", "mood"))
    torch.testing.assert_close(places, net.backbone.places(x))
    torch.testing.assert_close(whole, net.backbone(x))
    store.features(net, key, x, task="tags")
    assert store.forwarded == 10


def test_tasks_of_tokens_and_of_rows_learn_on_one_tensor():
    rows = tagged(8, 0)
    tags, mood = (
        Task("tags", Tokens(3), rows),
        Task("mood", Multiclass(2), Labelled(rows.x, rows.x[:, 0] % 2)),
    )
    net = Net(textcnn(14, dropout=0.0, **SMALL), {t.name: t.kind.head(12) for t in (tags, mood)})
    both = Supervised(tags, mood)(net, {"tags": tags.train, "mood": mood.train}, 0.0)
    for task in (tags, mood):
        alone = Supervised(task)(net, {task.name: task.train}, 0.0)
        assert torch.equal(both[task.name], alone[task.name])
    there = rows.y != -100
    byhand = nn.functional.cross_entropy(net(rows.x, "tags")[there], rows.y[there])
    torch.testing.assert_close(both["tags"], byhand)


def test_a_head_at_places_is_described_and_built_again():
    head = AtPlaces(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    again = build(describe(head))
    again.load_state_dict(head.state_dict())
    z = torch.randn(2, 5, 3)
    assert torch.equal(again(z), head(z))
    assert describe(AtPlaces(nn.GELU())) is None


# Strategies.


def test_words_are_answered_by_the_tags_they_had_and_others_by_those_of_rare_ones():
    x = torch.tensor([[2, 2, 3], [2, 4, 0]])
    y = torch.tensor([[0, 1, 2], [0, 2, -100]])
    target = Task("tags", Tokens(3), Labelled(x, y), test=Labelled(x, y))
    posed = Problem(target, settings={"vocabulary": 9}, budget=TINY)
    net = STRATEGIES["raw+lexicon"].learn(Trial(posed, {"alpha": 1.0}, 0)).net
    said = net(torch.tensor([[2, 3, 8]]), "tags")[0].softmax(-1)
    rare = torch.tensor([2 / 5, 1 / 5, 2 + 2 / 5]) / 3  # words 3 and 4 occur once, both of tag 2
    torch.testing.assert_close(said[0], (torch.tensor([2.0, 1.0, 0.0]) + rare) / 4)
    torch.testing.assert_close(said[2], rare)


def test_words_are_read_as_they_are_written_though_no_number_tells_them_apart(tmp_path):
    """Words to come are all the same unknown one: what tells their tags is a capital and an ending."""
    draw, lines = random.Random(0), []
    for _ in range(40):
        for _ in range(5):
            stem = "".join(draw.choice("bdfgklmnprst") + draw.choice("aeiou") for _ in range(3))
            word, tag = draw.choice([(stem.title(), "NAME"), (stem + "ing", "VERB"), (stem, "NOUN")])
            lines.append(f"{word}\t{tag}")
        lines.append("")
    (tmp_path / "words.conll").write_text("\n".join(lines))
    (target,) = read(f"conll:{tmp_path / 'words.conll'}", split=SplitSpec(test=0.5))
    posed = Problem(target, settings=SMALL, budget=TINY)
    net = STRATEGIES["raw+window"].learn(Trial(posed, {"C": 1.0}, 0)).net
    assert evaluate(net, target)["accuracy"].value > 0.95
    model = Model(net, {"words": target.kind}, target.encoding)
    again = hs.load(model.save(tmp_path / "model"))
    assert again.predict([["Zuzu", "zuzuing", "zuzu"]]) == [["NAME", "VERB", "NOUN"]]


APPLY = {
    "constant", "raw+lexicon", "raw+window", "untrained+logreg", "scratch", "source-only", "pooled",
    "features+logreg", "features+svm", "features+mlp", "probe", "finetune", "lp_ft", "gradual", "l2sp",
    "multitask",
}  # fmt: skip


def test_which_strategies_apply_and_why_others_do_not():
    posed = problem()
    why = {name: posed.applies(strategy, "tags") for name, strategy in STRATEGIES.items()}
    assert {name for name in APPLY if why[name]} == set()
    others = {name: reason for name, reason in why.items() if name not in APPLY}
    assert all(others.values())
    assert others["raw+logreg"] == others["protonet"] == "the target has an answer for each token"
    mood_alone = Problem(
        Task("mood", Multiclass(2), mood(20, 4), test=mood(9, 5)), settings={"vocabulary": 14}
    )
    assert STRATEGIES["raw+lexicon"].needs(mood_alone) == "the target has no answer for each token"


@pytest.mark.parametrize(
    "name", ["constant", "raw+lexicon", "raw+window", "features+logreg", "features+mlp", "probe", "pooled"]
)
def test_strategies_keep_their_contract_on_tokens(name):
    check_strategy(STRATEGIES[name], problem())


def test_the_floor_says_the_commonest_tag():
    posed = problem()
    net = STRATEGIES["constant"].learn(Trial(posed, {}, 0)).net
    tags = posed.target.train.y[posed.target.train.y >= 0]
    shares = net(posed.target.test.x, "tags").softmax(-1)
    torch.testing.assert_close(shares[0, 0], tags.bincount() / len(tags))
    assert shares.shape == (20, 6, 3)


def test_a_comparison_counts_texts_and_its_model_answers_words(tmp_path):
    lines = []
    draw = random.Random(0)
    for _ in range(40):
        words = [draw.choice(["the", "a", "dog", "cat", "sees", "hears"]) for _ in range(draw.randint(6, 9))]
        tags = {"the": "DET", "a": "DET", "dog": "NOUN", "cat": "NOUN", "sees": "VERB", "hears": "VERB"}
        lines += [f"{word}\t{tags[word]}" for word in words] + [""]
    (tmp_path / "words.conll").write_text("\n".join(lines))
    (target,) = read(f"conll:{tmp_path / 'words.conll'}", split=SplitSpec(test=0.5))
    target = dataclasses.replace(target, train=target.train.take(torch.arange(20)))
    posed = Problem(target, settings=SMALL, budget=Budget(steps=40, options=1, repeats=1))
    result = hs.compare(posed, ["scratch"], seeds=3, out=tmp_path / "out", progress=False)
    rows = {row["strategy"]: row for row in result.to_dict()["rows"]}
    assert {"constant", "raw+lexicon", "scratch"} <= set(rows)
    assert result.to_dict()["metric"] == "accuracy"
    assert rows["raw+lexicon"]["mean"] > 0.9 > rows["constant"]["mean"]
    assert (tmp_path / "out" / "report.html").exists() or result.report(tmp_path / "report.html")
    model = hs.load(result.best.save(tmp_path / "model"))
    said = model.predict([["the", "dog"], ["a", "cat", "sees"]])
    assert said == [["DET", "NOUN"], ["DET", "NOUN", "VERB"]]
    assert model.predict(["the dog"]) == [["DET", "NOUN"]]
    assert model.answer(["the dog", "a"]).to_csv() == "prediction\nDET NOUN\nDET\n"
    (tmp_path / "new.conll").write_text("the\tDET\ndog\tVERB\n\na\tDET\n")
    found = model.evaluate(f"conll:{tmp_path / 'new.conll'}")["accuracy"]
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)
    assert (
        model.evaluate([["the", "dog"], ["a"]], [["DET", "VERB"], ["DET"]])["accuracy"].value == found.value
    )
    with pytest.raises(ValueError, match="label should be one of the 3 classes; found 'ADJ'"):
        model.evaluate([["the"]], [["ADJ"]])


def test_intervals_draw_whole_texts():
    """Tokens of one text that are all right or all wrong tell no more than the text does."""
    y = torch.zeros(40, 25, dtype=torch.long)
    right = torch.arange(40) % 2
    outputs = torch.stack([1.0 - right, right.float()], 1)[:, None].expand(40, 25, 2)
    target = Task(
        "tags", Tokens(2), Labelled(torch.ones(40, 25).long(), y), test=Labelled(torch.ones(40, 25).long(), y)
    )
    posed = Problem(target, settings={"vocabulary": 3})
    each = posed.counted("tags", outputs.numpy(), {"y": y.numpy()})
    assert each.shape == (40,)
    assert sorted(set(each.round(6))) == [0, 1]
    answers = Net(Fixed(outputs), {"tags": AtPlaces(nn.Identity())})
    found = evaluate(answers, target)["accuracy"]
    assert found.high - found.low > 0.2  # 1000 tokens by themselves would have 0.06


class Fixed(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def places(self, x):
        return self.outputs[: len(x)]
