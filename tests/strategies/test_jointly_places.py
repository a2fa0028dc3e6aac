"""Tags of words beside classes of texts in one net: lengths, depths, own encoders, and a problem file."""

import random

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

import headstart as hs
from headstart.comparison import Problem
from headstart.engine import FeatureStore
from headstart.inference import Model
from headstart.models import Backbone, Net, load, save, textcnn, widths
from headstart.models.backbones.tokenizer import at_tokens, mean_over
from headstart.multitask import Hierarchical, MMoE, Soft
from headstart.problems import load_problem
from headstart.strategies import FURTHER, SIDE_BY_SIDE, STRATEGIES, Budget, Starts, Trial, pair
from headstart.strategies.ready import of_one_length
from headstart.tasks import Labelled, Multiclass, Task, Tokens
from headstart.transfer import Supervised

TINY = Budget(steps=4, pretrain=4, options=1, repeats=1)
SMALL = {"embedding": 8, "filters": 4, "windows": [1, 3], "vocabulary": 12}


class Text(Backbone):
    """Word vectors and two layers, each of which has features at every token."""

    width = 4

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(12, 4, padding_idx=0)
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

    def mask(self, x):
        return x != 0

    def _tokens(self, x):
        z = self.words(x)
        for block in self.blocks:
            z = block(z)
        return z

    def forward(self, x):
        return mean_over(self._tokens(x), x != 0)

    def places(self, x):
        return at_tokens(self._tokens(x), x)


def ids(rows, length, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(1, 12, (rows, length), generator=g) * (
        torch.arange(length) < torch.randint(1, length + 1, (rows, 1), generator=g)
    )


def tags(rows=20, length=7, seed=0):
    x = ids(rows, length, seed)
    return Labelled(x, torch.where(x > 0, x % 3, -100))


def moods(rows=20, length=4, seed=1):
    x = ids(rows, length, seed)
    return Labelled(x, x[:, 0] % 2)


def problem(**changes):
    first = Task("tags", Tokens(3), tags(), test=tags(seed=5))
    other = Task("mood", Multiclass(2), moods(), test=moods(seed=6))
    return Problem(
        targets=[first, other], **{"settings": SMALL, "budget": TINY, "backbone": "textcnn"} | changes
    )


def test_texts_are_brought_to_the_length_of_the_longest_and_tasks_that_share_rows_still_do():
    rows = tags()
    again = Task("again", Multiclass(2), Labelled(rows.x, rows.x[:, 0] % 2))
    short = Task("mood", Multiclass(2), moods(), unlabelled=moods(seed=3).inputs())
    long = Task("long", Tokens(3), tags(6, 9))
    first, second, third, last = of_one_length([Task("tags", Tokens(3), rows), again, short, long])
    assert first.train.x is second.train.x
    assert torch.equal(first.train.x, nn.functional.pad(rows.x, (0, 2)))
    assert torch.equal(first.train.y, nn.functional.pad(rows.y, (0, 2), value=-100))
    assert (third.train.x.shape, third.unlabelled.x.shape) == ((20, 9), (20, 9))
    assert torch.equal(third.train.y, short.train.y)
    assert last is long
    assert of_one_length([again, again]) == (again, again)


def test_padding_changes_no_answer():
    torch.manual_seed(0)
    posed, alone = problem(), Problem(Task("mood", Multiclass(2), moods(), test=moods(seed=6)), **{
        "settings": SMALL, "budget": TINY, "backbone": "textcnn"})  # fmt: skip
    net = Net(textcnn(**SMALL), {"mood": nn.Linear(8, 2)}).eval()
    long, short = (p.focused("mood").target.test.x for p in (posed, alone))
    assert (long.shape[1], short.shape[1]) == (7, 4)
    torch.testing.assert_close(net(long, "mood"), net(short, "mood"))


def test_tags_read_a_low_block_at_each_token_and_classes_a_high_one():
    torch.manual_seed(0)
    text, x = Text(), ids(5, 6)
    at = {"tags": "blocks.0", "mood": ""}
    pattern = Hierarchical(text, at, widths(text, x), placed=["tags"])
    low = text.blocks[0](text.words(x)) * (x > 0)[..., None]
    torch.testing.assert_close(pattern(x, "tags"), low)
    torch.testing.assert_close(pattern(x, "mood"), torch.cat([mean_over(low, x != 0), text(x)], 1))
    net = Net(pattern, {"tags": Tokens(3).head(4), "mood": nn.Linear(8, 2)})
    both = {"tags": Labelled(x, torch.where(x > 0, 0, -100)), "mood": Labelled(x, torch.zeros(5).long())}
    tasks = [Task("tags", Tokens(3), both["tags"]), Task("mood", Multiclass(2), both["mood"])]
    losses = Supervised(*tasks)(net, both, 0.0)
    losses["tags"].backward()
    assert text.blocks[0].weight.grad.abs().sum() > 0
    assert text.blocks[1].weight.grad is None  # what is above is left to the other
    with pytest.raises(KeyError, match="tgas"):
        Hierarchical(text, at, widths(text, x), placed=["tgas"])


def test_encoders_of_their_own_read_tokens_or_texts_and_come_back_from_a_file(tmp_path):
    torch.manual_seed(0)
    encoders = {name: textcnn(**SMALL) for name in ("tags", "mood")}
    soft = Soft(encoders, placed={"tags": 8})
    net = Net(soft, {"tags": Tokens(3).head(soft.width_for("tags")), "mood": nn.Linear(8, 2)}).eval()
    x = ids(5, 6)
    torch.testing.assert_close(net.features(x, "tags"), encoders["tags"].eval().places(x))
    torch.testing.assert_close(net.features(x, "mood"), encoders["mood"].eval()(x))
    kinds = {"tags": Tokens(3), "mood": Multiclass(2)}
    again = load(save(net, tmp_path / "model", kinds=kinds)).net
    assert torch.equal(again(x, "tags"), net(x, "tags"))


def test_a_pattern_that_knows_no_places_says_so():
    net = Net(MMoE([textcnn(**SMALL)], ["tags"], x=ids(1, 6)), {"tags": Tokens(3).head(8)})
    with pytest.raises(
        ValueError, match="features of MMoE should be at each place, for 'tags'; found of rows"
    ):
        net(ids(3, 6), "tags")
    why = pair("multitask:mmoe+sum").needs(problem().focused("mood"))
    assert why == "task 'tags' has an answer for each token"
    why = pair("multitask:hierarchical+sum").needs(problem())
    assert why == "the backbone has no features of each token at its blocks"
    deep = problem(backbone=Text(), settings={"vocabulary": 12})
    assert not pair("multitask:hierarchical+sum").needs(deep)


def test_means_are_not_begun_without_anything_pretrained():
    why = STRATEGIES["pretrain+multitask+fewshot"].needs(problem().focused("mood"))
    assert why == "there is no pretrained backbone, and no source to pretrain one on"


@pytest.mark.usefixtures("soon_settled")
@pytest.mark.parametrize(
    "name",
    ["multitask", "multitask+finetune", "multitask:soft+sum", "multitask:hard+pcgrad",
     "multitask:hard+uncertainty", "multitask:hierarchical+sum"],
)  # fmt: skip
def test_tags_and_classes_are_learned_in_one_net(name):
    strategy = (STRATEGIES | FURTHER | SIDE_BY_SIDE).get(name) or pair(name)
    deep = {"backbone": Text(), "settings": {"vocabulary": 12}} if "hierarchical" in name else {}
    posed = problem(**deep)
    trained = strategy.learn(Trial(posed, dict(strategy.options[0]), 0, Starts()))
    assert set(trained.net.heads) == {"tags", "mood"}
    found = {t.name: hs.evaluate(trained.net, t) for t in posed.targets}
    assert (found["mood"]["accuracy"].n, found["tags"]["accuracy"].n > 20) == (20, True)


@pytest.mark.parametrize("pattern", ["hard", "hierarchical"])
def test_heads_of_words_begin_as_regressions_on_each_word_where_the_task_reads_it(pattern):
    torch.manual_seed(0)
    own = Task("own", Tokens(3), tags(seed=3), test=tags(seed=7))
    posed = problem(backbone=Text(), settings={"vocabulary": 12}, budget=Budget(steps=1))
    posed = posed.with_rows(targets=[*posed.targets, own])
    trial = Trial(posed, {"lr": 1e-9}, 0, Starts(FeatureStore()))
    net = pair(f"multitask:{pattern}+sum").learn(trial).net.eval()
    for task in (posed.targets[0], own):
        there = task.train.y >= 0
        z, new = (net.features(part.x, task.name).detach() for part in (task.train, task.test))
        mean = z[there].mean(0)
        spread = (z[there] - mean).square().sum(1).mean().sqrt()
        model = LogisticRegression(C=10.0, max_iter=100).fit((z[there] - mean) / spread, task.train.y[there])
        said, told = (
            net(task.test.x, task.name).detach(),
            model.predict_log_proba(((new - mean) / spread).flatten(0, 1)),
        )
        expected = torch.from_numpy(told).float().view_as(said)
        torch.testing.assert_close(said.log_softmax(2), expected, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("first", ["tags", "mood"])
def test_a_problem_file_of_tags_and_classes_loses_no_word(tmp_path, first):
    draw, words = random.Random(0), ["London", "Anna", "good", *(f"word{i}" for i in range(30))]

    def text(least, most):
        return [draw.choice(words) for _ in range(draw.randint(least, most))]

    long, short = [text(6, 12) for _ in range(30)], [text(2, 4) for _ in range(30)]
    lines = ["\n".join(f"{w} {'B-x' if w in ('London', 'Anna') else 'O'}" for w in row) for row in long]
    (tmp_path / "tags.conll").write_text("\n\n".join(lines) + "\n")
    rows = [f"{' '.join(row)},{'pos' if 'good' in row else 'neg'}" for row in short]
    (tmp_path / "mood.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    data = {"tags": "conll:tags.conll#2", "mood": "text:mood.csv#label"}
    order = sorted(data, key=lambda name: name != first)
    tables = "".join(f'[[targets]]\ndata = "{data[name]}"\nname = "{name}"\n' for name in order)
    settings = '[backbone]\nuse = "textcnn"\nembedding = 8\nfilters = 4\nwindows = [1, 3]\n'
    (tmp_path / "problem.toml").write_text(
        f"{tables}{settings}[budget]\nsteps = 3\npretrain = 3\noptions = 1\n"
    )
    posed = load_problem(tmp_path / "problem.toml").problem()
    by_name = {t.name: t for t in posed.targets}
    labelled = sum(int((rows.y >= 0).sum()) for rows in (by_name["tags"].train, by_name["tags"].test))
    assert labelled == sum(map(len, long))
    assert by_name["tags"].train.x.shape[1] == by_name["mood"].train.x.shape[1] == max(map(len, long))
    result = hs.compare(posed, ["multitask:hard+sum"], seeds=1, out=tmp_path / "out", progress=False)
    told = {(row["target"], row["strategy"]): row for row in result.to_dict()["rows"]}
    assert told["tags", "multitask:hard+sum"]["judged_on"] == 1
    way = pair("multitask:hard+sum")
    net = way.learn(Trial(posed, dict(way.options[0]), 0, Starts())).net
    kinds = {name: task.kind for name, task in by_name.items()}
    model = Model(net, kinds, by_name["tags"].encoding)
    said = model.predict(long[:2], task="tags")
    assert [len(row) for row in said] == [len(row) for row in long[:2]]
