import hashlib
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from headstart.engine import FeatureStore, cached_features
from headstart.engine.features import FEWEST
from headstart.models import Net, Trunk, backbone, freeze
from headstart.tasks.kinds.placed import AtPlaces


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(2, 4), nn.Dropout(), nn.BatchNorm1d(4))
        self.calls, self.rows = 0, 0

    def forward(self, x):
        self.calls += 1
        self.rows += len(x)
        return self.layer(x)


def frozen():
    torch.manual_seed(0)
    net = Net(Counted(), {"a": nn.Linear(4, 2)})
    freeze(net.backbone)
    return net.train()


def test_equal_the_features_of_every_step(tmp_path):
    net, x = frozen(), torch.randn(7, 2)
    kept = cached_features(net, x, directory=tmp_path / "cache", batch=3)
    assert not kept.requires_grad
    assert torch.equal(kept, cached_features(net, x, batch=3))
    torch.testing.assert_close(kept, net.features(x).detach())
    calls = net.backbone.calls
    assert torch.equal(kept, cached_features(net, x, directory=tmp_path / "cache"))
    assert net.backbone.calls == calls
    assert net.training
    assert not net.backbone.training


def test_any_change_computes_anew(tmp_path):
    net, x = frozen(), torch.randn(7, 2)

    def rows():
        before = net.backbone.rows
        cached_features(net, x, directory=tmp_path)
        return net.backbone.rows - before

    assert rows() == FEWEST
    assert rows() == 0
    x[0, 0] += 1
    x[1:, 0] += 1
    assert rows() == FEWEST
    net.backbone.layer[0].weight.data[0, 0] += 1
    assert rows() == FEWEST
    net.backbone.layer[2].running_mean[0] += 1
    assert rows() == FEWEST
    cached_features(net, x, directory=tmp_path, transform="grey")
    assert rows() == 0
    x = x.double().float()
    assert rows() == 0


def test_refused_where_it_would_be_wrong():
    net = Net(nn.Sequential(nn.Linear(2, 4), nn.Dropout()), {"a": nn.Linear(4, 2)})
    with pytest.raises(
        ValueError, match=r"`net.backbone` should be frozen; found 2 trainable parameters \(0.weight\)"
    ):
        cached_features(net, torch.zeros(1, 2))
    net.backbone.requires_grad_(False)
    with pytest.raises(
        ValueError, match=r"should be in eval mode; found training mode, where its batch statistics"
    ):
        cached_features(net, torch.zeros(1, 2))
    net.train()  # rests what is frozen
    assert cached_features(net, torch.zeros(1, 2)).shape == (1, 4)
    dropout = Net(nn.Sequential(nn.Flatten(), nn.Dropout()), {"a": nn.Linear(2, 2)})
    with pytest.raises(
        ValueError, match=r"`1` in training mode, where dropout would draw anew; call headstart"
    ):
        cached_features(dropout, torch.zeros(1, 2))
    assert cached_features(Net(nn.Flatten(), {}), torch.zeros(3, 2, 2)).shape == (3, 4)


def test_mappings_and_other_types_of_number(tmp_path):
    class Sum(nn.Module):
        def forward(self, x):
            return x["ids"].float() + x["mask"].to(torch.bfloat16).float()

    x = {"ids": torch.arange(6).view(3, 2), "mask": torch.ones(3, 2, dtype=torch.bool)}
    assert cached_features(Net(Sum(), {}), x, directory=tmp_path).tolist() == [
        [1.0, 2.0],
        [3.0, 4.0],
        [5.0, 6.0],
    ]


def table(rows=300, seed=0):
    return torch.randn(rows, 2, generator=torch.Generator().manual_seed(seed))


def kept_in(directory, net, x, **settings):
    store = FeatureStore(directory)
    return store.features(net, store.key(net.backbone), x, **settings), store.forwarded


@pytest.mark.parametrize("directory", [None, "kept"])
def test_each_distinct_row_is_forwarded_once(directory, tmp_path):
    net, x = frozen(), table()
    store = FeatureStore(directory and tmp_path / directory)
    key = store.key(net.backbone)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    asked = [x[:40], x[:20], x[10:200], x[order], torch.cat([x[5:7], x[5:7], x[-1:]]), x[:0], x]
    forwarded = [40, 40, 200, 300, 300, 300, 300]
    for rows, count in zip(asked, forwarded, strict=True):
        features = store.features(net, key, rows)
        assert store.forwarded == net.backbone.rows == count
        assert torch.equal(features, cached_features(net, rows)) or not len(rows)
        net.backbone.rows = count  # without those that computed for the comparison
    assert store.features(net, key, x[:0]).shape == (0, 4)


def test_several_rows_that_are_equal_are_one(tmp_path):
    net = frozen()
    x = table(10)[torch.arange(30) % 10]
    features, forwarded = kept_in(tmp_path, net, x)
    assert forwarded == net.backbone.rows == 10
    assert torch.equal(features, cached_features(net, x))


def test_another_store_forwards_nothing_again(tmp_path):
    net, x = frozen(), table()
    first, forwarded = kept_in(tmp_path, net, x[:200])
    assert forwarded == 200
    again, forwarded = kept_in(tmp_path, net, x)
    assert forwarded == 100
    assert torch.equal(first, again[:200])
    assert kept_in(tmp_path, net, x)[1] == 0
    store = pickle.loads(pickle.dumps(FeatureStore(tmp_path, limit=5)))
    assert (store.directory, store.limit) == (tmp_path, 5)


def test_few_rows_are_filled_up_so_that_their_numbers_are_those_of_many():
    net, x = frozen(), table()
    store = FeatureStore()
    one = store.features(net, store.key(net.backbone), x[:1])
    assert (store.forwarded, net.backbone.rows) == (1, FEWEST)
    assert torch.equal(one, cached_features(net, x)[:1])


@pytest.mark.parametrize(("name", "shape"), [("mlp", (13,)), ("conv4", (1, 8, 8)), ("textcnn", (12,))])
def test_features_are_the_same_to_the_bit_in_whatever_order_they_are_asked_for(name, shape):
    g = torch.Generator().manual_seed(0)
    settings = {"textcnn": {"vocabulary": 30}, "conv4": {"width": 4}}.get(name, {})
    net = Net(freeze(backbone(name, inputs=shape, settings=settings)), {})
    x = (
        torch.randn(140, *shape, generator=g)
        if name != "textcnn"
        else torch.randint(30, (140, 12), generator=g)
    )
    whole, parts = FeatureStore(), FeatureStore()
    key = whole.key(net.backbone)
    at = torch.randperm(140, generator=g)
    for few in at.split([1, 2, 3, 5, 129]):
        parts.features(net, key, x[few])
    assert torch.equal(whole.features(net, key, x), parts.features(net, key, x))
    assert whole.forwarded == parts.forwarded == 140


SCRIPT = """
import sys, torch
from torch import nn
from headstart.engine import FeatureStore
from headstart.models import Net, freeze
torch.manual_seed(0)
net = Net(freeze(nn.Linear(2, 4)), {})
x = torch.randn(300, 2)
store = FeatureStore(sys.argv[1])
key = store.key(net.backbone)
for part in x.roll(int(sys.argv[2])).split(60):
    store.features(net, key, part)
print(store.forwarded, float(store.features(net, key, x).double().sum()))
"""


def test_several_processes_forward_each_row_once(tmp_path):
    command = [sys.executable, "-c", SCRIPT, tmp_path]
    with_pipes = {"stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([*command, str(shift)], **with_pipes) for shift in (0, 90)]
    said = [worker.communicate()[0].split() for worker in workers]
    assert sum(int(forwarded) for forwarded, _ in said) == 300
    assert len({total for _, total in said}) == 1


def files(directory):
    return sorted(directory.glob("*.safetensors"))


def test_a_damaged_file_is_computed_anew(tmp_path):
    net, x = frozen(), table()
    first, _ = kept_in(tmp_path, net, x[:100])
    kept_in(tmp_path, net, x)
    path = max(files(tmp_path), key=lambda file: file.stat().st_size)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b"no"):
        path.write_bytes(damaged)
        with pytest.warns(UserWarning, match="should be whole; found damaged; computing anew"):
            features, forwarded = kept_in(tmp_path, net, x)
        assert forwarded == 200
        assert torch.equal(features[:100], first)
        assert torch.equal(features, cached_features(net, x))
    assert path.read_bytes() == whole
    assert all(hashlib.sha256(file.read_bytes()).hexdigest() in file.name for file in files(tmp_path))


@pytest.mark.parametrize("directory", [None, "kept"])
def test_beyond_the_limit_features_are_computed_and_not_kept(directory, tmp_path):
    net, x = frozen(), table()
    store = FeatureStore(directory and tmp_path / directory, limit=12_000)
    key = store.key(net.backbone)
    first = store.features(net, key, x[:200])
    both = torch.cat([x, table(3000, seed=2)])
    with pytest.warns(
        UserWarning, match=r"should be at most 11.7 KiB, the `limit`; found .*; the rest is comp"
    ):
        many = store.features(net, key, both)
    store.features(net, key, both)  # one warning is enough
    assert torch.equal(many[:200], first)
    assert store.forwarded == 200 + 2 * 3100
    with pytest.raises(ValueError, match="`limit` should be at least 0 bytes; found -1"):
        FeatureStore(limit=-1)


def test_rows_as_mappings_and_of_other_forms():
    class Sum(nn.Module):
        rows = 0

        def forward(self, x):
            Sum.rows += len(x["ids"])
            return x["ids"].float() + x["mask"].float()

    net, store = Net(Sum(), {}), FeatureStore()
    key = store.key(net.backbone)
    ids, mask = torch.arange(40).view(20, 2), torch.ones(20, 2, dtype=torch.bool)
    assert torch.equal(store.features(net, key, {"ids": ids, "mask": mask}), ids.float() + 1)
    mask = mask.clone()
    mask[3] = False
    assert torch.equal(store.features(net, key, {"ids": ids, "mask": mask}), ids.float() + mask.float())
    assert store.forwarded == 21
    store.features(net, key, {"ids": ids.int(), "mask": mask})
    assert store.forwarded == 41  # the same numbers in another type may be something else to a backbone


def test_rows_that_are_changed_in_place_are_others():
    net, x, store = frozen(), table(20), FeatureStore()
    key = store.key(net.backbone)
    store.features(net, key, x)
    x[:5] += 1
    assert torch.equal(store.features(net, key, x), cached_features(net, x))
    assert store.forwarded == 25
    assert len(store._hashes._known) == 1
    del x
    assert not store._hashes._known


def test_the_task_matters_to_a_trunk_that_asks_for_it_alone():
    class Both(Trunk):
        def forward(self, x, task):
            return x + len(task)

    store, x = FeatureStore(), table(20)
    for module, forwarded in ((nn.Identity(), 20), (Both(), 60)):
        net = Net(module, {})
        for task in ("a", "bc"):
            store.features(net, store.key(module), x, task=task)
        assert store.forwarded == forwarded
    assert torch.equal(store.features(net, store.key(module), x, task="bc"), x + 2)


def test_the_task_matters_to_a_trunk_that_gives_each_its_own_places():
    class Both(Trunk):
        def forward(self, x, task):
            return torch.stack([x] * len(task), 2).float()

    heads = {task: AtPlaces(nn.Identity()) for task in ("a", "bc")}
    net, store, x = Net(Both(), heads), FeatureStore(), torch.arange(20).view(10, 2)
    found = [store.features(net, "key", x, task=task).shape for task in heads]
    assert found == [(10, 2, 1), (10, 2, 2)]


def test_a_backbone_that_is_not_frozen_is_refused():
    net, store = Net(nn.Linear(2, 4), {}), FeatureStore()
    with pytest.raises(ValueError, match=r"`net.backbone` should be frozen; found 2 trainable parameters"):
        store.features(net, store.key(net.backbone), table(3))


def test_bf16_is_kept_apart():
    net, x, store = frozen(), table(20), FeatureStore()
    key = store.key(net.backbone)
    exact = store.features(net, key, x)
    rounded = store.features(net, key, x, precision="bf16")
    assert exact.dtype == rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(exact, rounded, rtol=0.05, atol=0.05)
    assert store.forwarded == 40


# Features at the tokens of texts.


class Positions(nn.Module):
    """Give each token its number, and how many tokens there are; or how long the row is, padding and all."""

    def __init__(self, padding):
        super().__init__()
        self.padding, self.seen = padding, []

    def places(self, x):
        self.seen.append(tuple(x.shape))
        there = torch.ones_like(x) if self.padding else (x != 0).long()
        return torch.stack([x * there, there.sum(1, keepdim=True) * there], 2).float()


def long_and_short():
    """Make texts of 1 to 20 tokens in rows of 64, and one without any."""
    x = torch.arange(1, 65).expand(21, 64) + 100 * torch.arange(21)[:, None]
    return x * (torch.arange(64) < torch.arange(21)[:, None])


@pytest.mark.parametrize("kept", [None, "kept"])
def test_texts_are_kept_without_most_of_their_padding(kept, tmp_path):
    net, x = Net(Positions(padding=False), {"tags": AtPlaces(nn.Identity())}), long_and_short()
    store = FeatureStore(kept and tmp_path / kept)
    few = store.features(net, "key", x[[20, 3]], task="tags")
    found = store.features(net, "key", x, task="tags")
    assert torch.equal(found, net.backbone.places(x))
    assert torch.equal(few, found[[20, 3]])
    assert store.forwarded == 21
    assert max(b.shape[1] for each in store._kept.values() for b in each.blocks) == 20
    assert sum(b.numel() for each in store._kept.values() for b in each.blocks) < 2.2 * 2 * 210
    alone = FeatureStore().features(net, "key", x[5:6], task="tags")  # whatever the others are
    assert torch.equal(alone, found[5:6])


def test_a_backbone_that_minds_padding_is_given_it():
    net, x = Net(Positions(padding=True), {"tags": AtPlaces(nn.Identity())}), long_and_short()
    found = FeatureStore().features(net, "key", x, task="tags")
    assert torch.equal(found, net.backbone.places(x))
    assert net.backbone.seen[-2] == (21, 64)
