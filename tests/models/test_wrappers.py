import copy

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from headstart.models import Net, backbone, freeze, load, save
from headstart.models.backbones import start
from headstart.models.wrappers import plain_names, unwrapped
from headstart.tasks import Multiclass

WRAPPERS = {
    "compiled": lambda module: torch.compile(module, backend="eager"),
    "parallel": nn.DataParallel,
    "averaged": AveragedModel,
    "both": lambda module: nn.DataParallel(torch.compile(module, backend="eager")),
}


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))


@pytest.fixture(params=WRAPPERS)
def around(request):
    return WRAPPERS[request.param]


def test_a_wrapped_backbone_is_saved_as_the_plain_one_and_loaded_into_either(around, tmp_path):
    module = plain()
    net = Net(around(module), {"a": nn.Linear(8, 2)})
    freeze(unwrapped(net.backbone)[0])
    save(net, tmp_path, kinds={"a": Multiclass(2)})
    x = torch.randn(5, 4)
    expected = net.eval()(x, "a")
    for other in (plain(), around(plain())):
        loaded = load(tmp_path, backbone=other).net
        assert torch.equal(loaded(x, "a"), expected)
        trained = [p.requires_grad for p in unwrapped(loaded.backbone).parameters()]
        assert trained == [False, False, True, True]


def test_a_backbone_of_ours_keeps_its_description(around, tmp_path):
    net = Net(around(backbone("mlp", inputs=(4,))), {"a": nn.Linear(40, 2)})
    save(net, tmp_path, kinds={"a": Multiclass(2)})
    x = torch.randn(5, 4)
    assert torch.equal(load(tmp_path).net(x, "a"), net.eval()(x, "a"))


def test_a_part_that_is_wrapped_has_a_plain_name(around):
    assert set(plain_names(nn.Sequential(around(plain()), nn.Linear(8, 8))).values()) == set(
        nn.Sequential(plain(), nn.Linear(8, 8)).state_dict()
    )


def test_a_start_is_what_is_within(around):
    within = start(around(plain())).module
    assert str(within) == str(plain())
    assert all(torch.equal(v, plain().state_dict()[n]) for n, v in within.state_dict().items())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_files_of_weights_of_wrapped_nets_and_of_half_precision(tmp_path, prefix):
    path, made = tmp_path / "w.safetensors", backbone("mlp", inputs=(4,))
    save_file({prefix + name: value.half() for name, value in made.state_dict().items()}, path)
    loaded = backbone("mlp", inputs=(4,), weights=str(path))
    for name, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, made.state_dict()[name].half().float())


def test_the_module_itself_is_not_changed(around):
    module = plain()
    before = copy.deepcopy(module.state_dict())
    plain_names(around(module))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_part_that_a_module_has_under_two_names_is_saved_and_filled(tmp_path):
    def twice():
        module = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        module.append(module[0])
        return module

    net = Net(twice(), {"a": nn.Linear(4, 2)}).eval()
    save(net, tmp_path / "model", kinds={"a": Multiclass(2)})
    made = load(tmp_path / "model", backbone=twice()).net
    x = torch.randn(3, 4)
    assert torch.equal(made(x, "a"), net(x, "a"))
    assert made.backbone[0] is made.backbone[2]
