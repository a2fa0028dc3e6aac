import copy
import pickle

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.models import Net, backbone, backbones, conv4, load, mlp, save
from headstart.models.backbones import Provider, fitting, providers, start
from headstart.models.net import Backbone, Trunk, as_backbone, blocks, task_dependent, width_of
from headstart.tasks import Labelled, Multiclass

# A new source of backbones: what would be a file, `toy.py`, ...


class Toy(Backbone):
    def __init__(self, name, features):
        super().__init__()
        self.use, self.settings, self.width = f"toy:{name}", {"features": features}, 3
        self.layer = nn.Linear(features, 3)

    def forward(self, x):
        return self.layer(x)


def build(name, inputs, weights, settings):
    toy = Toy(name, **({"features": inputs[0]} if inputs else {}) | settings)
    if weights is not None:
        nn.init.ones_(toy.layer.weight)
    return toy


TOY = Provider(names={"toy:NAME": "one linear layer"}, build=build)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(providers, "PROVIDERS", (*providers.PROVIDERS, TOY))  # ... and one line


def test_a_new_source_is_a_provider_and_a_line(toy, tmp_path):
    built = backbone("toy:small", inputs=(4,))
    assert (built.use, built.width, built.layer.weight.unique().tolist()) == ("toy:small", 3, [1.0])
    assert start("toy:small").comes_pretrained("default")
    assert not start("toy:small").comes_pretrained(None)
    net = Net(built, {"coins": nn.Linear(3, 2)})
    save(net, tmp_path, kinds={"coins": Multiclass(2)})
    assert torch.equal(load(tmp_path).net(torch.ones(1, 4), "coins"), net(torch.ones(1, 4), "coins"))
    assert torch.equal(backbone(f"file:{tmp_path}").layer.bias, built.layer.bias)
    with pytest.raises(
        ValueError, match='one of "torchvision:", "timm:", "wheel:", "keras:", "toy:" and "file:"'
    ):
        backbone("toi:small")


def test_a_problem_starts_from_a_new_source(toy):
    rows, test = (Labelled(torch.randn(12, 4), torch.arange(12) % 2) for _ in range(2))
    budget = hs.strategies.Budget(steps=2, options=1)
    problem = hs.Problem(hs.Task("a", Multiclass(2), rows, test=test), backbone="toy:small", budget=budget)
    result = hs.compare(problem, ["scratch", "probe"], 1, baseline="scratch", progress=False)
    assert [row["strategy"] for row in result.rows] == ["scratch", "probe"]
    assert load(result.directory / "models" / "probe").net.backbone.layer.weight.unique().tolist() == [1.0]


def test_no_new_source_without_its_line():
    with pytest.raises(ValueError, match='found "toy:small"'):
        backbone("toy:small")


@pytest.mark.parametrize(
    ("use", "weights", "expected"),
    [
        ("mlp", "default", False), ("conv4", None, False), ("textcnn", "words.pth", True),
        ("torchvision:resnet18", "default", True), ("torchvision:resnet18", None, False),
        ("file:model", "default", True), ("file:model", None, False),
        (nn.Linear(2, 2), "default", True), (nn.Linear(2, 2), None, True),
    ],
)  # fmt: skip
def test_a_start_tells_whether_it_comes_pretrained(use, weights, expected):
    assert start(use).comes_pretrained(weights) is expected


def test_a_start_tells_its_name():
    first, second = start("torchvision:resnet18"), start(nn.Linear(2, 2))
    assert (first.name, first.use, first.fingerprint()) == ("torchvision:resnet18",) * 3
    assert (second.name, second.use) == ("Linear", None)
    for here in (first, start("mlp"), start("file:model")):
        assert pickle.loads(pickle.dumps(here)) == here  # plans go to other processes
    with pytest.raises(ValueError, match='did you mean "conv4"'):
        start("conf4")


def test_what_a_reader_tells_goes_to_the_backbone_that_asks():
    facts = {"vocabulary": 30}
    assert start("textcnn").build(inputs=(5,), weights=None, facts=facts).settings["vocabulary"] == 30
    settings = {"vocabulary": 40}
    assert start("textcnn").build(settings=settings, facts=facts).settings["vocabulary"] == 40
    assert start("mlp").build(inputs=(5,), facts=facts).settings["features"] == 5
    resnet = start("torchvision:resnet18")
    raw = resnet.build(inputs=(1, 8, 8), weights=None, facts={}).settings["raw"]
    assert raw, "rows of readers are in [0, 1]"
    assert not resnet.build(weights=None).settings["raw"]
    assert not resnet.build(weights=None, settings={"raw": False}, facts={}).settings["raw"]


def test_a_start_builds_what_a_backbone_of_that_name_is():
    for use, inputs in (("mlp", (4,)), ("conv4", (1, 8, 8))):
        built = []
        for make in (start(use).build, lambda use=use, **told: backbone(use, **told)):
            torch.manual_seed(3)
            built.append(make(inputs=inputs, weights=None).state_dict().values())
        assert all(map(torch.equal, *built))


def test_a_module_is_copied_and_drawn_anew_on_demand():
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = copy.deepcopy(module.state_dict())
    same, new = start(module).build(), start(module).build(weights=None)
    assert same is not module
    assert torch.equal(same[0].weight, module[0].weight)
    assert not torch.equal(new[0].weight, module[0].weight)
    assert all(map(torch.equal, before.values(), module.state_dict().values()))
    marks = {start(m).fingerprint() for m in (module, same, new)}
    assert start(module).fingerprint() == start(same).fingerprint()
    assert len(marks) == 2
    start(module.to(torch.bfloat16)).fingerprint()


def test_the_backbone_that_fits_rows():
    assert [fitting((1, 8, 8), False), fitting((1, 8, 8), True)] == ["conv4", "conv4"]
    assert [fitting((4,), False), fitting((4,), True)] == ["mlp", "textcnn"]
    for inputs in (None, (2, 3), ()):
        with pytest.raises(ValueError, match="no images, numbers or token ids"):
            fitting(inputs, False)


def test_a_saved_backbone_needs_nothing_of_its_heads(tmp_path):
    net = Net(mlp(2), {"odd": nn.Bilinear(40, 40, 2)})
    save(net, tmp_path, kinds={"odd": Multiclass(2)})
    again = backbone(f"file:{tmp_path}")
    assert again.training
    assert torch.equal(again(torch.ones(1, 2)), net.backbone(torch.ones(1, 2)))
    save(Net(nn.Linear(2, 3), {"a": nn.Linear(3, 2)}), tmp_path / "own", kinds={"a": Multiclass(2)})
    with pytest.raises(ValueError, match="found a module of its writer's own"):
        backbone(f"file:{tmp_path / 'own'}")


def test_taking_a_saved_backbone_leaves_the_global_random_state(tmp_path):
    save(Net(mlp(2), {"a": nn.Linear(40, 2)}), tmp_path, kinds={"a": Multiclass(2)})
    before = torch.get_rng_state()
    backbone(f"file:{tmp_path}", inputs=(2,))
    assert torch.equal(torch.get_rng_state(), before)


def test_one_helper_asks_a_module_about_itself():
    assert width_of(conv4(1, width=4, size=8), torch.zeros(1, 1, 8, 8)) == 4
    plain = nn.Sequential(nn.Linear(2, 3), nn.Dropout())
    assert width_of(plain, torch.zeros(1, 2)) == 3
    assert plain.training
    assert [task_dependent(m) for m in (plain, mlp(2), Trunk())] == [False, False, True]
    assert as_backbone(plain) is None
    assert blocks(conv4(1)) == ["blocks.0", "blocks.1", "blocks.2", "blocks.3"]


def test_public_names():
    assert hs.models.backbones is backbones
    assert set(backbones.__all__) <= set(dir(backbones))
