"""Image models of timm, without their classifier."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any, final

from torch import Tensor, nn

from ...errors import explain, unknown, wrong
from .._weights import SUFFIXES, fill, read_weights
from ..net import Backbone
from .hub import fetched
from .maps import normalised, stage_maps, whole_image
from .provider import Provider, Shape, check_settings, raw
from .torchvision import as_colour, import_torchvision


def import_timm() -> ModuleType:
    """Import timm, also beside a CPU build of torch: it imports torchvision, which then needs a hand.

    Raises:
        ModuleNotFoundError: if timm is not installed.
    """
    try:
        import_torchvision()
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        if error.name not in ("timm", "torchvision"):
            raise
        hint = 'pip install "headstart[timm]"'
        message = explain("timm", expected="installed", found=f"no package {error.name}", hint=hint)
        raise ModuleNotFoundError(message, name=error.name) from None


@final
class _Timm(Backbone):
    channels_last = True

    def __init__(self, name: str, size: int | None, raw: bool) -> None:
        super().__init__()
        timm = import_timm()
        if not timm.is_model(name):
            raise unknown("model of timm", name, timm.list_models())
        self.model: nn.Module = timm.create_model(name, pretrained=False, num_classes=0)
        facts = self.model.pretrained_cfg
        classifier = facts.get("classifier") or ()
        self.classifiers = (classifier,) if isinstance(classifier, str) else tuple(classifier)
        self.use, self.settings, self.raw = f"timm:{name}", {"size": size, "raw": raw}, raw
        self.width = getattr(self.model, "head_hidden_size", None) or self.model.num_features
        self.licence = facts.get("license") or ""
        config = timm.data.resolve_model_data_config(self.model)
        if size is not None:
            config |= {"input_size": (3, size, size), "crop_pct": 1.0}
        self.config = config
        self.transform = timm.data.create_transform(**config)
        self.transform.transforms.pop()  # `normalised` takes its place
        self.mean, self.std = config["mean"], config["std"]
        self.hub_id = facts.get("hf_hub_id") or ""

    def forward(self, x: Tensor) -> Tensor:
        return self.model(self.preprocess(x) if self.raw else as_colour(x))

    def preprocess(self, x: Tensor) -> Tensor:
        x = as_colour(x)
        return normalised(self.transform(x if x.is_floating_point() else x / 255), self.mean, self.std)

    def places(self, x: Tensor) -> Tensor:
        """Return the maps of the last stages side by side, over the whole of each image, ``(B, H, W, D)``."""
        x = as_colour(x)
        if self.raw:
            x = whole_image(x, self.config["input_size"][1:], self.config["mean"], self.config["std"])
        return stage_maps(self.model, x)

    def fetch(self) -> Path:
        """Take the weights from the hub's cache on this machine, or from its server."""
        hint = "pass `weights=PATH` for a file that you have, or `weights=None` for random weights"

        def fetch(hub: Any, offline: bool) -> str:
            return hub.hf_hub_download(self.hub_id, "model.safetensors", local_files_only=offline)

        return fetched(self.use, self.hub_id, fetch, hint)

    def fill(self, state: dict[str, Tensor], source: str) -> None:
        """Copy a state dict of the whole model, or of the model without its classifiers."""
        dropped = tuple(f"{part}." for part in self.classifiers)
        fill(self.model, {n: v for n, v in state.items() if not n.startswith(dropped)}, source)


def timm(
    name: str,
    *,
    weights: str | None = "default",
    size: int | None = None,
    raw: bool = False,
) -> Backbone:
    """Build an image model of timm without its classifier.

    Grey images are repeated to three channels. ``preprocess(x)`` of the result turns images
    ``(B, C, H, W)``, integers in [0, 255] or floats in [0, 1], into what the pretrained weights expect:
    resized, cropped, normalised. ``licence`` is that of the weights, where timm knows it.

    Args:
        name: of the model, such as ``"resnet50.a1_in1k"``.
        weights: a path to a ``.safetensors`` or ``.pth`` file of tensors, with or without the classifier;
            ``None`` for random ones; ``"default"`` for timm's own, from the hub's cache or the network.
        size: side in pixels that images are resized to, whole, in place of the size of pretraining.
        raw: preprocess within each call, so that the model takes images in [0, 1] as they are read.

    Shape:
        ``x (B, 3, H, W)`` or ``(B, 1, H, W)``; returns ``(B, width)``.

    Raises:
        ValueError: for an unknown model, or a file that does not fit.
        ConnectionError: if weights have to be fetched and cannot be.
        ModuleNotFoundError: if timm is not installed.

    Example:
        >>> import torch
        >>> timm("resnet18", weights=None)(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 512])

    References:
        https://huggingface.co/docs/timm
    """
    if size is not None and size < 1:
        raise wrong("`size`", expected="at least 1 pixel", found=size)
    if weights not in (None, "default") and not weights.endswith(SUFFIXES):
        expected = f'"default", None, or a file that ends in {", ".join(SUFFIXES)}'
        raise wrong(f"`weights` of timm:{name}", expected=expected, found=f'"{weights}"')
    built = _Timm(name, size, raw)
    if weights is not None:
        file = built.fetch() if weights == "default" else Path(weights)
        built.fill(read_weights(file), f'"{file}"')
    return built


def _build(name: str, inputs: Shape | None, weights: str | None, settings: dict[str, Any]) -> Backbone:
    check_settings(f"timm:{name}", settings, ("size", "raw"))
    return timm(name, weights=weights, **settings)


TIMM = Provider(
    names={"timm:NAME": "an image model of timm without its classifier, e.g. timm:resnet50.a1_in1k"},
    build=_build,
    told=raw,
)
