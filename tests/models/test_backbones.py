import json
from importlib.util import find_spec

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from headstart.errors import did_you_mean
from headstart.models import (
    BACKBONES,
    Net,
    backbone,
    conv4,
    freeze,
    load,
    mlp,
    parameter_groups,
    reinitialise,
    save,
    stages,
    textcnn,
    torchvision,
)
from headstart.models.backbones.references import start
from headstart.strategies.recipes.finetune import lower
from headstart.tasks import Multiclass

NORMS = ["batch", "group", "layer", "instance", "none"]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("geometry", "size", "pixels"),
    [("pooled", 28, 1), ("strided", 28, 4), ("pooled", 84, 25), ("strided", (20, 36), 6)],
)
def test_conv4_has_the_papers_geometry(norm, geometry, size, pixels):
    trunk = conv4(2, width=6, geometry=geometry, norm=norm, size=size)
    side = (size, size) if isinstance(size, int) else size
    assert trunk(torch.randn(3, 2, *side)).shape == (3, 6 * pixels)
    assert trunk.width == 6 * pixels


@pytest.mark.parametrize("geometry", ["pooled", "strided"])
@pytest.mark.parametrize("size", [1, 2, 3, 8, (1, 9)])
def test_conv4_stops_halving_at_one_pixel(geometry, size):
    side = (size, size) if isinstance(size, int) else size
    trunk = conv4(1, width=4, geometry=geometry, size=size)
    assert trunk(torch.randn(5, 1, *side)).shape == (5, trunk.width)
    if size == 8:
        assert trunk.width == 4
        assert sum(isinstance(m, nn.MaxPool2d) for m in trunk.modules()) == (3 if geometry == "pooled" else 0)


def test_conv4_map_of_28_pixels_is_14_7_3_1_or_14_7_4_2():
    for geometry, sides in {"pooled": [14, 7, 3, 1], "strided": [14, 7, 4, 2]}.items():
        x, seen = torch.zeros(2, 1, 28, 28), []
        for block in conv4(1, geometry=geometry).blocks:
            x = block(x)
            seen.append(x.shape[-1])
        assert seen == sides


@pytest.mark.parametrize("norm", ["group", "layer", "instance", "none"])
def test_rows_do_not_see_each_other_without_batch_norm(norm):
    trunk, x = conv4(1, width=8, norm=norm, size=16), torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(trunk(x)[:1], trunk(x[:1]))


def test_instance_norm_of_a_single_pixel_is_refused():
    with pytest.raises(ValueError, match="group"):
        conv4(1, norm="instance", size=8)


@pytest.mark.parametrize("norm", ["group", "layer", "none"])
def test_conv4_is_differentiable_twice_under_vmap(norm):
    trunk = conv4(1, width=4, norm=norm, size=8).double()
    weights, x = dict(trunk.named_parameters()), torch.randn(3, 5, 1, 8, 8, dtype=torch.double)

    def loss(w, x):
        return functional_call(trunk, w, (x,)).square().mean()

    def adapted(w, x):
        slope = grad(loss)(w, x)
        return loss({n: w[n] - 0.1 * slope[n] for n in w}, x)

    together = vmap(grad(adapted), (None, 0))(weights, x)
    for i in range(3):
        alone = grad(adapted)(weights, x[i])
        for name in weights:
            torch.testing.assert_close(together[name][i], alone[name], rtol=1e-9, atol=1e-12)


def test_mlp_ends_with_a_relu_and_flattens_rows():
    trunk = mlp(6, hidden=(5, 3))
    out = trunk(torch.randn(50, 2, 3))
    assert out.shape == (50, trunk.width) == (50, 3)
    assert (out >= 0).all()
    assert sum(isinstance(m, nn.ReLU) for m in trunk.modules()) == 2


def test_textcnn_ignores_padding_on_either_side_and_takes_short_sentences():
    trunk = textcnn(20, embedding=5, filters=4).eval()
    words = torch.tensor([[3, 9]])
    for padded in ([[3, 9, 0, 0, 0, 0, 0]], [[0, 0, 0, 3, 9]], [[0, 3, 9, 0]]):
        torch.testing.assert_close(trunk(torch.tensor(padded)), trunk(words))
    assert trunk(torch.tensor([[7]])).shape == (1, 12)
    assert not trunk(torch.zeros(1, 6, dtype=torch.long)).any()  # nothing there, no response


def test_textcnn_finds_the_strongest_window_wherever_it_is():
    trunk = textcnn(20, embedding=5, filters=4, windows=(2,), dropout=0.0)
    window = trunk.windows[0]
    ids = torch.tensor([[3, 9, 4, 4, 11]])
    words = nn.functional.pad(trunk.words(ids)[0], (0, 0, 1, 1))  # (7, 5)
    by_hand = torch.stack([(window.weight * words[i : i + 2].T).sum((1, 2)) + window.bias for i in range(6)])
    torch.testing.assert_close(trunk(ids)[0], by_hand.relu().amax(0))


def test_textcnn_drops_out_in_training_only():
    trunk, x = textcnn(9), torch.tensor([[1, 2, 3, 4]])
    assert torch.equal(trunk.eval()(x), trunk(x))
    assert (trunk.train()(x) == 0).sum() > (trunk.eval()(x) == 0).sum()


BUILT = [
    ("mlp", (4,), {}),
    ("mlp", (2, 3), {"hidden": [7]}),
    ("conv4", (3, 8, 8), {"width": 4}),
    ("conv4", (1, 28, 20), {"width": 4, "geometry": "strided", "norm": "group"}),
    ("textcnn", (12,), {"vocabulary": 30, "embedding": 5, "filters": 2}),
    ("torchvision:resnet18", (1, 32, 32), {}),
]


@pytest.mark.parametrize(("use", "inputs", "settings"), BUILT)
def test_a_backbone_is_rebuilt_from_its_name_and_settings(use, inputs, settings):
    first = backbone(use, inputs=inputs, weights=None, settings=settings)
    second = backbone(first.use, weights=None, settings=json.loads(json.dumps(first.settings)))
    second.load_state_dict(first.state_dict())
    x = torch.ones(2, *inputs)
    assert torch.equal(first.eval()(x), second.eval()(x))
    assert first(x).shape == (2, first.width)
    assert first.use == use


def test_building_is_repeatable_and_leaves_training_mode():
    for use, inputs, settings in BUILT[:5]:
        built = []
        for _ in range(2):
            torch.manual_seed(3)
            built.append(backbone(use, inputs=inputs, settings=settings))
        assert all(map(torch.equal, built[0].state_dict().values(), built[1].state_dict().values()))
        assert all(m.training for m in built[0].modules())


def test_reinitialise_draws_new_weights_for_each_of_our_own():
    for use, inputs, settings in BUILT[:5]:
        trunk = backbone(use, inputs=inputs, settings=settings)
        before = trunk.state_dict()["".join([next(iter(trunk.state_dict()))])].clone()
        assert not torch.equal(next(iter(reinitialise(trunk).state_dict().values())), before)


def test_stages_go_from_the_input_to_the_output():
    assert list(stages(conv4(1))) == [f"blocks.{i}" for i in range(4)]
    assert list(stages(mlp(2))) == ["layers.0", "layers.2"]
    assert list(stages(textcnn(9))) == ["words", "windows"]
    resnet = stages(torchvision("resnet18", weights=None))
    assert list(resnet) == [f"model.{n}" for n in ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"]]


def test_a_list_of_blocks_between_other_parts_is_several_stages():
    if find_spec("timm") is None:
        pytest.skip("timm is not installed")
    lite = backbone("timm:tf_efficientnet_lite0", weights=None)
    blocks = [f"blocks.{i}" for i in range(7)]
    assert list(stages(lite)) == [f"model.{n}" for n in ["conv_stem", "bn1", *blocks, "conv_head", "bn2"]]
    vit = backbone("timm:vit_tiny_patch16_224", weights=None)
    assert list(stages(vit))[:3] == [
        "model",
        "model.patch_embed",
        "model.blocks.0",
    ]  # it has a token of its own
    large = stages(torchvision("mobilenet_v3_small", weights=None))
    assert list(large)[-2:] == ["model.features.12", "model.classifier"]
    assert lower(Net(lite, {})) ** 11 == pytest.approx(1 / 64)  # the lowest stage still learns
    assert lower(Net(conv4(1), {})) == 0.5
    for net in (lite, vit):
        groups = parameter_groups(Net(net, {}), 1.0, factor=0.5)
        ours = [p for group in groups for p in group["params"]]
        assert {id(p) for p in ours} == {id(p) for p in net.parameters()}
        assert len(ours) == len(list(net.parameters()))  # each once
        assert [g["lr"] for g in groups] == sorted((g["lr"] for g in groups), reverse=True)


@pytest.mark.parametrize(
    ("use", "arguments", "message"),
    [
        ("conf4", {}, 'did you mean "conv4"'),
        ("resnet18", {}, "torchvision:"),
        ("zoo:resnet18", {}, '"timm:", "hf:", "words:", "keras:", "wheel:" and "file:"'),
        ("torchvision:resnet81", {"weights": None}, 'did you mean "resnet18"'),
        ("torchvision:resnet18", {"weights": "IMAGENET1K_V2"}, 'did you mean "IMAGENET1K_V1"'),
        ("torchvision:resnet18", {"settings": {"depth": 3}}, "transforms"),
        ("torchvision:squeezenet1_0", {"weights": None}, "linear"),
        ("torchvision:vit_b_32", {"weights": None, "inputs": (3, 32, 32)}, "resize"),
        ("torchvision:resnet18", {"weights": None, "inputs": (2, 32, 32)}, r"`inputs`.*\(2, 32, 32\)"),
        ("conv4", {"settings": {"widht": 3}}, 'did you mean "width"'),
        ("conv4", {"settings": {"norm": "bach"}}, 'did you mean "batch"'),
        ("conv4", {"settings": {"geometry": "pool"}}, 'did you mean "pooled"'),
        ("conv4", {"settings": {"width": "wide"}}, "numbers"),
        ("conv4", {"settings": {"width": 0}}, "at least 1"),
        ("conv4", {"settings": {"channels": 3}, "inputs": (1, 8, 8)}, "3 channels"),
        ("conv4", {"inputs": (8, 8)}, r"x\[:, None\]"),
        ("conv4", {"weights": "nowhere.safetensors"}, "nothing at"),
        ("conv4", {"weights": "IMAGENET1K_V1"}, ".safetensors"),
        ("mlp", {}, "with features.*`inputs`"),
        ("mlp", {"inputs": (4,), "settings": {"hidden": []}}, "one or more"),
        (
            "mlp",
            {"inputs": (4,), "settings": {"hidden": -3}},
            r"one or more sizes .*\[40, 40\]; found 4 and -3",
        ),
        (
            "mlp",
            {"inputs": (4,), "settings": {"hidden": [2.5]}},
            r"lists as in \(features: int, hidden: Sequence",
        ),
        ("conv4", {"settings": {"channels": 1, "size": [8] * 3}}, "one number, or height and width"),
        ("textcnn", {"inputs": (9,)}, "with vocabulary"),
        ("textcnn", {"settings": {"vocabulary": 1}}, "at least 2"),
        ("file:nowhere", {}, "nothing there"),
    ],
)
def test_mistakes_are_explained(use, arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        backbone(use, **arguments)


def test_every_name_has_a_line_of_description():
    assert all(text and "\n" not in text for text in BACKBONES.values())
    assert did_you_mean("conv", BACKBONES) == 'did you mean "conv4"?'


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_own_backbones_take_weights_from_a_file(tmp_path, suffix):
    from safetensors.torch import save_file

    trunk, path = mlp(3), tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(dict(trunk.state_dict()), path)
    again = backbone("mlp", inputs=(3,), weights=str(path))
    assert torch.equal(again(torch.ones(1, 3)), trunk(torch.ones(1, 3)))
    with pytest.raises(ValueError, match=r"of shape \(40, 4\)"):
        backbone("mlp", inputs=(4,), weights=str(path))
    with pytest.raises(ValueError, match="2 missing"):
        backbone("mlp", inputs=(3,), weights=str(path), settings={"hidden": [40, 40, 40]})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="whole file of tensors"):
        backbone("mlp", inputs=(3,), weights=str(path))


def test_a_weights_file_with_code_in_it_is_refused(tmp_path):
    torch.save({"layers.0.weight": nn.Linear(3, 40)}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="whole file of tensors"):
        backbone("mlp", inputs=(3,), weights=str(tmp_path / "weights.pth"))


def test_the_backbone_of_a_saved_model_is_a_new_start(tmp_path):
    net = Net(conv4(1, width=4, size=8), {"digits": nn.Linear(4, 10)})
    net.backbone(torch.randn(5, 1, 8, 8))  # moves the running statistics
    freeze(net.backbone)
    save(net, tmp_path, kinds={"digits": Multiclass(10)})
    trunk, x = backbone(f"file:{tmp_path}", inputs=(1, 8, 8)), torch.randn(3, 1, 8, 8)
    assert torch.equal(trunk.eval()(x), net.backbone(x))
    assert trunk.use == "conv4"
    assert all(p.requires_grad for p in trunk.parameters())
    other = backbone(f"file:{tmp_path}", weights=None)
    assert not torch.equal(other.eval()(x), net.backbone(x))
    assert torch.equal(load(tmp_path).net.backbone(x), net.backbone(x))
    for arguments in ({"settings": {"width": 3}}, {"weights": "IMAGENET1K_V1"}, {"inputs": (3, 8, 8)}):
        with pytest.raises(ValueError, match="file:"):
            backbone(f"file:{tmp_path}", **arguments)


@pytest.mark.parametrize(
    ("use", "hint"), [(nn.Flatten, r"call it: `Flatten\(\)`"), (len, "wrap it in an `nn")]
)
def test_what_is_no_module_is_no_backbone(use, hint):
    with pytest.raises(TypeError, match=f"`backbone` should be a name or a module; .*{hint}"):
        start(use)
