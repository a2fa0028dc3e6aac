"""A chain over tags: its sums against all rows of tags, which places count, and its way through a net."""

import itertools

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.engine import FeatureStore, evaluate
from headstart.models import Chain, Net, freeze, load, save, textcnn
from headstart.models.net import Given
from headstart.tasks import Labelled, Task, Tokens
from headstart.transfer import Supervised

TAGS = ["O", "B-a", "I-a", "B-b", "I-b"]


def chain(tags, seed, columns=3):
    torch.manual_seed(seed)
    head = Chain(columns, tags).double()
    for p in head.parameters():
        nn.init.normal_(p)
    return head


def rows_of_tags(head, z):
    """List all rows of tags that are allowed, with the logarithm of what each weighs: the slow way."""
    s, many = head.scores(z), z.shape[0]
    found = {}
    for row in itertools.product(range(s.shape[1]), repeat=many):
        pairs = list(itertools.pairwise(row))
        if head.begins[row[0]] and all(head.may[a, b] for a, b in pairs):
            follows = sum((head.follows[a, b] for a, b in pairs), torch.zeros(()))
            own = sum(s[t, k] for t, k in enumerate(row))
            found[row] = head.ends[0, row[0]] + follows + own + head.ends[1, row[-1]]
    return found


@pytest.mark.parametrize("tags", [TAGS, ["NOUN", "VERB", "O"]])
def test_sums_over_all_rows_of_tags(tags):
    head = chain(tags, 4)
    z = torch.randn(3, 5, 3, dtype=torch.float64)
    z[0, 4:], z[1, [0, 2]], z[2, 1:] = 0, 0, 0  # behind the end, between words, and one word alone
    said, path = head(z).detach(), head.decode(z)
    for row, p, tags_said in zip(z, said.exp(), path, strict=True):
        there = row.any(1)
        weights = rows_of_tags(head, row[there])
        of_all = torch.stack(list(weights.values())).logsumexp(0)
        best = max(weights, key=weights.get)
        assert tags_said[there].tolist() == list(best) == p[there].argmax(1).tolist()
        assert (tags_said[~there] == -100).all()
        for t, at in enumerate(there.nonzero()[:, 0]):
            each = torch.zeros(len(tags), dtype=torch.float64)
            for tags_, weight in weights.items():
                each[tags_[t]] += (weight - of_all).exp().detach()
            torch.testing.assert_close(p[at].sort().values, each.sort().values, rtol=0, atol=1e-12)
        own = [tags_ for tags_ in weights if tags_[0] == best[0]]  # the first tag is told, the others not
        y = torch.full((1, 5), -100)
        y[0, there.nonzero()[0, 0]] = best[0]
        expected = of_all - torch.stack([weights[tags_] for tags_ in own]).logsumexp(0)
        torch.testing.assert_close(head.loss(row[None], y), expected, rtol=0, atol=1e-12)


def test_the_loss_is_that_of_the_whole_row_and_has_its_gradient():
    head, y = chain(TAGS, 1), torch.tensor([[0, 1, 2, 3], [3, 4, -100, -100]])
    z = torch.randn(2, 4, 3, dtype=torch.float64)
    z[1, 2:] = 0
    expected = torch.zeros((), dtype=torch.float64)
    for row, tags in ((z[0], (0, 1, 2, 3)), (z[1, :2], (3, 4))):
        weights = rows_of_tags(head, row)
        expected = expected + torch.stack(list(weights.values())).logsumexp(0) - weights[tags]
    torch.testing.assert_close(head.loss(z, y) * 6, expected, rtol=0, atol=1e-11)
    own, theirs = (torch.autograd.grad(v, list(head.parameters())) for v in (head.loss(z, y) * 6, expected))
    for one, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_scores_far_apart_stay_finite():
    head = Chain(1, TAGS)
    with torch.no_grad():
        head.scores.weight.mul_(0).add_(torch.tensor([[0.0], [400.0], [-400.0], [200.0], [-300.0]]))
    z = torch.ones(2, 40, 1)
    loss = head.loss(z, torch.randint(0, 2, (2, 40)))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())
    assert torch.isfinite(head(z)).all()


def test_a_tag_that_goes_on_with_nothing_is_told():
    head, z = Chain(3, TAGS), torch.ones(1, 3, 3)
    with pytest.raises(ValueError, match="'I-a' behind 'B-b'"):
        head.loss(z, torch.tensor([[0, 3, 2]]))
    with pytest.raises(ValueError, match="'I-b' at the beginning of a row"):
        head.loss(z, torch.tensor([[4, 0, 0]]))


# In a net.


def tagged(rows, seed):
    """Draw texts: words of 2 to 4 open a span, those of 5 to 7 of another type, 8 to 10 go on with it."""
    g = torch.Generator().manual_seed(seed)
    x, y = torch.randint(2, 14, (rows, 7), generator=g), torch.zeros(rows, 7, dtype=torch.long)
    for row, tags in zip(x, y, strict=True):
        for t, word in enumerate(row.tolist()):
            before = int(tags[t - 1]) if t else 0
            tags[t] = 1 if word < 5 else 3 if word < 8 else 0
            if 8 <= word < 11 and before:
                tags[t] = before + before % 2
    there = torch.arange(7) < torch.randint(3, 8, (rows, 1), generator=g)
    return Labelled(x * there, y.where(there, -100))


def test_a_chain_learns_what_a_head_for_each_word_cannot(tmp_path):
    task = Task("spans", Tokens(TAGS), tagged(300, 0), test=tagged(200, 1))
    scores, nets = {}, {}
    for name, head in (("each", task.kind.head(12)), ("chain", Chain(12, TAGS))):
        torch.manual_seed(0)
        nets[name] = Net(textcnn(14, embedding=8, filters=12, windows=[1], dropout=0.0), {"spans": head})
        optimizer = torch.optim.Adam(nets[name].parameters(), lr=0.03)
        stream = hs.batches([task], 50, generator=torch.Generator().manual_seed(0))
        hs.fit(nets[name], stream, Supervised(task), steps=60, optimizer=optimizer, progress=False)
        scores[name] = evaluate(nets[name], task)["span_f1"].value
    assert scores["chain"] > 0.95 > 0.85 > scores["each"]
    net, x = nets["chain"].eval(), task.test.x
    save(net, tmp_path, kinds={"spans": task.kind}, encoding=task.encoding)
    again = load(tmp_path).net
    assert torch.equal(again(x, "spans"), net(x, "spans"))
    for row in task.kind.decode(net(x, "spans")):
        for before, tag in itertools.pairwise(["O", *row]):
            assert not tag.startswith("I-") or before[2:] == tag[2:]


def test_pieces_that_begin_no_word_are_passed_over():
    head, z = chain(TAGS, 2, columns=12), None
    backbone = freeze(textcnn(9, embedding=4, filters=6, windows=[1, 1]).double()).eval()
    net = Net(backbone, {"tags": head, "each": Tokens(TAGS).head(12).double()})
    whole, words = torch.tensor([[-1, 4, -5, 6, -2, 0]]), torch.tensor([[4, 6]])
    torch.testing.assert_close(net(whole, "tags")[:, [1, 3]], net(words, "tags"))
    assert not net(whole, "tags")[:, [0, 2, 4, 5]].any()
    store = FeatureStore()
    for task in ("tags", "each"):  # of which one is given all pieces
        z = store.features(net, store.key(backbone), whole, task=task)
        assert z[0, 2].any() == (task == "each")


def test_several_tasks_and_their_losses():
    task = Task("spans", Tokens(TAGS), tagged(20, 0))
    net = Net(textcnn(14, embedding=8, filters=4), {"spans": Chain(12, TAGS), "each": task.kind.head(12)})
    other = Task("each", task.kind, task.train)
    losses = Supervised(task, other)(net.eval(), {"spans": task.train, "each": task.train}, 0.0)
    z = net.features(task.train.x, "spans")
    torch.testing.assert_close(losses["spans"], net.heads["spans"].loss(z, task.train.y))
    torch.testing.assert_close(losses["each"], task.kind.loss(net(task.train.x, "each"), task.train.y))


def test_given_features_are_read_as_they_are():
    net = Net(Given(), {"spans": Chain(3, TAGS)})
    z = torch.randn(2, 4, 3)
    torch.testing.assert_close(net(z, "spans"), net.heads["spans"](z))
