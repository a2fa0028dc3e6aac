"""Image classifiers of torchvision, without their last layer."""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, final

import torch
from torch import Tensor, nn

from ...errors import explain, unknown, wrong
from .._weights import SUFFIXES, fill, read_weights
from ..net import Backbone
from .hub import refused
from .maps import normalised, stage_maps, whole_image
from .provider import Provider, Shape, check_settings, raw


def import_torchvision() -> ModuleType:
    """Import torchvision, also where its compiled operators do not fit the installed torch.

    The wheels on PyPI are linked with CUDA. Beside a CPU build of torch their operators cannot be
    loaded, and importing the package fails at ``torchvision::nms``, which it describes but does not
    have. Classifiers need none of these operators, so the two signatures are declared first; a call
    to one of them still says that there is no such kernel.

    Raises:
        ModuleNotFoundError: if torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        hint = 'pip install "headstart[torchvision]"'
        message = explain("torchvision", expected="installed", found="no such package", hint=hint)
        raise ModuleNotFoundError(message, name="torchvision") from None
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    _declare_operators()
    return importlib.import_module("torchvision")


@cache
def _declare_operators() -> (
    torch.library.Library
):  # cached, because what it declares lives as long as it does
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


@final
class _Torchvision(Backbone):
    channels_last = True

    def __init__(self, name: str, transforms: str | None, raw: bool, size: int | None) -> None:
        super().__init__()
        self.raw = raw
        models = import_torchvision().models
        known = models.list_models(module=models)
        if name not in known:
            raise unknown("model of torchvision", name, known)
        choices = models.get_model_weights(name)
        if transforms is not None and transforms not in choices.__members__:
            raise unknown(f"weights of {name!r}", transforms, choices.__members__)
        self.entry = choices[transforms] if transforms else choices.DEFAULT
        self.use, self.settings = f"torchvision:{name}", {"transforms": self.entry.name, "raw": raw}
        if size is None:
            self.transform = self.entry.transforms()
        else:
            self.settings["size"] = size
            self.transform = self.entry.transforms(crop_size=size)
            self.transform.resize_size = [size, size]  # both sides, so that the image stays whole
        arguments: dict[str, Any] = {}
        if name in ("googlenet", "inception_v3"):  # without their auxiliary classifiers
            arguments = {"aux_logits": False, "transform_input": True, "init_weights": True}
        elif name.startswith("vit_"):
            arguments = {"image_size": self.entry.meta["min_size"][0]}
        self.model = models.get_model(name, weights=None, **arguments)
        linear = [n for n, m in self.model.named_modules() if isinstance(m, nn.Linear)]
        if not linear:
            hint = "choose another model, or cut it yourself and pass the module to `Net`"
            raise wrong(f"last layer of {name!r}", expected="linear", found="none that is", hint=hint)
        self.classifier = linear[-1]
        self.width = self.model.get_submodule(self.classifier).in_features
        self.model.set_submodule(self.classifier, nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        return self.model(self.preprocess(x) if self.raw else as_colour(x)).flatten(1)

    def preprocess(self, x: Tensor) -> Tensor:
        steps, functional = self.transform, import_torchvision().transforms.functional
        x = functional.resize(
            as_colour(x), steps.resize_size, interpolation=steps.interpolation, antialias=steps.antialias
        )
        x = functional.convert_image_dtype(functional.center_crop(x, steps.crop_size), torch.float)
        return normalised(x, steps.mean, steps.std)

    def places(self, x: Tensor) -> Tensor:
        """Return the maps of the last stages side by side, over the whole of each image, ``(B, H, W, D)``."""
        x = as_colour(x)
        if self.raw:
            to = self.transform
            x = whole_image(x, to.crop_size * 2, to.mean, to.std)
        return stage_maps(self.model, x)

    def fetch(self) -> dict[str, Tensor]:
        """Take the weights from torchvision's cache, or from its server."""
        file = Path(torch.hub.get_dir()) / "checkpoints" / Path(self.entry.url).name
        try:
            if not file.exists() and (reason := refused()):
                raise ConnectionError(reason)
            return self.entry.get_state_dict(
                progress=False, check_hash=True, weights_only=True, map_location="cpu"
            )
        except OSError as error:
            raise wrong(
                f"weights {self.entry.name} of {self.use!r}",
                expected=f"in {torch.hub.get_dir()}, or at {self.entry.url}",
                found=f"not there, and no download ({getattr(error, 'reason', error)})",
                hint="pass `weights=None` for random weights, or `weights=PATH` for a file that you have",
                error=ConnectionError,
            ) from error

    def fill(self, state: dict[str, Tensor], source: str) -> None:
        """Copy a state dict of the whole model, or of the model without its classifiers."""
        dropped = tuple(f"{part}." for part in (self.classifier, "AuxLogits", "aux1", "aux2"))
        old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)")  # as in torchvision's files of DenseNet
        kept = {old.sub(r"\1\2", n): v for n, v in state.items() if not n.startswith(dropped)}
        fill(self.model, kept, source)


def as_colour(x: Tensor) -> Tensor:
    """Repeat a single channel: ``(B, 1, H, W)`` to ``(B, 3, H, W)``."""
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


def torchvision(
    name: str,
    *,
    weights: str | None = "default",
    transforms: str | None = None,
    size: int | None = None,
    raw: bool = False,
) -> Backbone:
    """Build an image classifier of torchvision without its last linear layer.

    The width is the number of inputs of that layer. Grey images are repeated to three channels.
    ``preprocess(x)`` of the result turns images ``(B, C, H, W)``, integers in [0, 255] or floats in
    [0, 1], into what the pretrained weights expect: resized, cropped, normalised.

    Args:
        name: of the model, such as ``"resnet18"``.
        weights: name of an entry in torchvision's list (``"IMAGENET1K_V1"``); a path to a
            ``.safetensors`` or ``.pth`` file of tensors, with or without the classifier; ``None`` for
            random ones; ``"default"`` for torchvision's best.
        transforms: name of the entry whose preprocessing to use, where ``weights`` does not name one.
        size: side in pixels that images are resized to, whole, in place of the size of pretraining.
        raw: preprocess within each call, so that the model takes images in [0, 1] as they are read.

    Shape:
        ``x (B, 3, H, W)`` or ``(B, 1, H, W)``; returns ``(B, width)``.

    Raises:
        ValueError: for an unknown model or entry, a size below 1, a model that does not end in a linear
            layer, or a file that does not fit.
        ConnectionError: if weights have to be downloaded and cannot be.
        ModuleNotFoundError: if torchvision is not installed.

    Example:
        >>> torchvision("resnet18", weights=None)(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 512])

    References:
        https://docs.pytorch.org/vision/stable/models.html
    """
    if size is not None and size < 1:
        raise wrong("`size`", expected="at least 1 pixel", found=size)
    if weights is None or weights == "default":
        built = _Torchvision(name, transforms, raw, size)
    elif weights.endswith(SUFFIXES):
        built = _Torchvision(name, transforms, raw, size)
        built.fill(read_weights(Path(weights)), f'"{weights}"')
        return built
    else:
        built = _Torchvision(name, weights, raw, size)
    if weights is not None:
        built.fill(built.fetch(), built.entry.url)
    return built


def _build(name: str, inputs: Shape | None, weights: str | None, settings: dict[str, Any]) -> Backbone:
    check_settings(f"torchvision:{name}", settings, ("transforms", "size", "raw"))
    return torchvision(name, weights=weights, **settings)


TORCHVISION = Provider(
    names={
        "torchvision:NAME": "a classifier of torchvision without its last layer, e.g. torchvision:resnet18"
    },
    build=_build,
    told=raw,
)
