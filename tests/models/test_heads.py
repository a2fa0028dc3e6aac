"""Heads that are no network: equal to scikit-learn, saved, copied, described."""

import copy
import json

import pytest
import torch
from torch import nn

from headstart.models import Net, device_of, load, save
from headstart.models.backbones import start
from headstart.models.backbones.plain import Blank, Raw, Words
from headstart.models.backbones.providers import rebuild
from headstart.models.heads import (
    Attention,
    Chain,
    Nearest,
    Neighbours,
    Relations,
    Sphere,
    Trees,
    Vectors,
    Votes,
    build,
    describe,
)
from headstart.tasks import Regression

HEADS = [
    Attention(3, 4, 2, 10.0),
    Nearest(3, 4, 2),
    Relations(2, 4, 5),
    Sphere(2, 4),
    Neighbours(3, 2, 4, k=2, classes=True),
    Neighbours(3, 2, 4, k=2, classes=False),
    Vectors(3, 2, 4),
    Votes([1, 2, 1], 2),
    Trees(6, 5, 3, depth=2),
    nn.Sequential(Trees(6, 5, 3, depth=2), nn.Linear(3, 4)),
]


@pytest.mark.parametrize("head", [*HEADS, Chain(2, ["O", "B-a", "I-a"])])
def test_a_head_is_rebuilt_from_what_it_says(head):
    made = build(json.loads(json.dumps(describe(head))))
    assert str(made) == str(head)
    assert {n: t.shape for n, t in made.state_dict().items()} == {
        n: t.shape for n, t in head.state_dict().items()
    }


@pytest.mark.parametrize("head", HEADS)
def test_a_head_is_saved_copied_and_loaded(head, tmp_path):
    generator = torch.Generator().manual_seed(0)
    backbone = Raw([2])
    for name, tensor in (*head.named_buffers(), *backbone.named_buffers()):
        if tensor.is_floating_point() and "gamma" not in name:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    net = Net(backbone, {"new": head})
    x = torch.rand(5, 2, generator=generator)
    with torch.no_grad():
        expected = net.eval()(x, "new")
        outputs = expected.shape[1]
        save(net, tmp_path, kinds={"new": Regression(outputs)})
        assert torch.equal(load(tmp_path).net(x, "new"), expected)
        assert torch.equal(copy.deepcopy(net)(x, "new"), expected)


def test_a_net_without_parameters_lives_where_its_buffers_do():
    net = Net(Raw([2]), {"new": Vectors(3, 2, 1)}).to("meta")
    assert device_of(net).type == "meta"
    assert net(torch.ones(4, 2, device="meta"), "new").device.type == "meta"


@pytest.mark.parametrize("backbone", [Raw([3, 40, 20]), Words(7), Blank()])
def test_a_plain_backbone_is_rebuilt_from_what_it_says(backbone):
    made = rebuild(json.loads(json.dumps({"use": backbone.use, "settings": dict(backbone.settings)})))
    assert type(made) is type(backbone)
    assert made.width == backbone.width


def test_large_images_are_averaged_down():
    x = torch.rand(2, 1, 64, 16)
    out = Raw([1, 64, 16])(x)
    assert out.shape == (2, 32 * 16)
    torch.testing.assert_close(out.view(2, 32, 16), x[:, 0].view(2, 32, 2, 16).mean(2))
    small = torch.rand(2, 1, 32, 16)
    assert torch.equal(Raw([1, 32, 16])(small), small.flatten(1))


def test_words_outside_the_vocabulary_and_padding_do_not_count():
    words = Words(4)
    assert words.counts(torch.tensor([[0, 1, 3, 3, 9]])).tolist() == [[0, 1, 0, 2]]
    assert words(torch.tensor([[0, 0]])).tolist() == [[0, 0, 0, 0]]


def test_a_row_that_is_kept_answers_for_itself():
    head = Neighbours(3, 1, 2, k=3, classes=True)
    head.rows.copy_(torch.tensor([[0.0], [1.0], [1e4]]))
    head.answers.copy_(torch.tensor([[1.0, 0], [0, 1], [0, 1]]))
    log_p = head(torch.tensor([[0.0]]))
    assert log_p.exp()[0].tolist() == pytest.approx([3.5 / 4, 0.5 / 4])


def test_the_rows_of_a_saved_plain_model_are_a_backbone_to_start_from(tmp_path):
    net = Net(Raw([2]), {"new": nn.Linear(2, 1)})
    net.backbone.mean.fill_(3.0)
    save(net, tmp_path, kinds={"new": Regression()})
    built = start(f"file:{tmp_path}").build(inputs=(2,))
    assert built(torch.ones(1, 2)).tolist() == [[-2.0, -2.0]]


@pytest.mark.parametrize("head", HEADS[:4], ids=lambda head: head.layer)
def test_a_head_is_exported_for_any_number_of_rows(head):
    generator = torch.Generator().manual_seed(0)
    for buffer in head.buffers():
        buffer.copy_(torch.rand(buffer.shape, generator=generator))
    rows = torch.rand(7, 2, generator=generator)
    told = torch.export.export(head, (rows[:3],), dynamic_shapes=({0: torch.export.Dim("rows")},))
    torch.testing.assert_close(told.module()(rows), head(rows))
