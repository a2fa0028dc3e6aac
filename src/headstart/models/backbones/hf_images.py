"""Image models of the library transformers: ViT, DINOv2, Swin, ConvNeXt, ResNet, CLIP's eyes and the like.

Shapes: ``B`` images, ``C`` channels, ``H``, ``W`` pixels, ``D`` features.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import wrong
from ..net import Backbone
from .maps import normalised, stage_maps, whole_image
from .torchvision import as_colour

FILE = "preprocessor_config.json"
SETTINGS = ("size", "raw", "config", "pixels")
BICUBIC = 3  # as Pillow numbers it
WARPED = 384  # ConvNeXt's preprocessing crops nothing from so many pixels on


@final
class _Images(Backbone):
    def __init__(self, use: str, model: nn.Module, pixels: Mapping[str, Any], raw: bool) -> None:
        super().__init__()
        config: Any = model.config
        if hasattr(config, "mask_ratio"):
            hint = 'its weights fit a ViT: write "model_type": "vit" into config.json'
            raise wrong(
                f"model of {use!r}",
                expected="one that sees all of an image",
                found="one that masks",
                hint=hint,
            )
        if _learned(getattr(model, "pooler", None)):
            model.pooler = None  # type: ignore[assignment]
        about = json.loads(config.to_json_string(use_diff=False)) | {"dtype": "float32"}
        about.pop("_name_or_path", None)
        self.use, self.raw = use, raw
        self.settings = {"config": about, "pixels": dict(pixels), "raw": raw}
        self.model = model
        self.pixels = dict(pixels)
        self.colours = getattr(config, "num_channels", 3)
        stretches = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters
        self.more = {"interpolate_pos_encoding": True} if stretches else {}
        training = model.training
        with torch.no_grad():
            self.width = self._features(
                model.eval()(torch.zeros(1, self.colours, *self.size), **self.more)
            ).shape[1]
        model.train(training)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the model is given."""
        side = self.pixels["crop"] or self.pixels["resize"]
        return (side, side) if isinstance(side, int) else (side[0], side[1])

    def forward(self, x: Tensor) -> Tensor:
        return self._features(self.model(self.preprocess(x) if self.raw else self._coloured(x), **self.more))

    def preprocess(self, x: Tensor) -> Tensor:
        x = self._coloured(x)
        x = x if x.is_floating_point() else x / 255
        mode = "bicubic" if self.pixels["bicubic"] else "bilinear"
        to = _resized(x.shape[2:], self.pixels["resize"])
        x = F.interpolate(x, to, mode=mode, align_corners=False, antialias=True)
        if self.pixels["crop"] is not None:
            x = _cropped(x, self.size)
        return normalised(x.clamp(0, 1), self.pixels["mean"], self.pixels["std"])

    def places(self, x: Tensor) -> Tensor:
        """Return the maps of the last stages side by side, over the whole of each image, ``(B, H, W, D)``."""
        x = self._coloured(x)
        if self.raw:
            x = whole_image(x, self.size, self.pixels["mean"], self.pixels["std"])
        return stage_maps(_Called(self.model, self.more), x)

    def _coloured(self, x: Tensor) -> Tensor:
        return as_colour(x) if self.colours == 3 else x

    def _features(self, out: Any) -> Tensor:
        """Take what the model says of the whole image, else its first token, else the mean of its map."""
        whole = getattr(out, "pooler_output", None)
        if whole is not None:
            return whole.flatten(1)
        last: Tensor = out.last_hidden_state
        return last.mean((2, 3)) if last.ndim == 4 else last[:, 0]


class _Called(nn.Module):
    """A model that is called with settings of its own."""

    def __init__(self, model: nn.Module, more: Mapping[str, Any]) -> None:
        super().__init__()
        self.model, self.more = model, more

    def forward(self, x: Tensor) -> Any:
        return self.model(x, **self.more)


def hf_image(
    use: str,
    model: nn.Module,
    *,
    folder: Path | None = None,
    pixels: Mapping[str, Any] | None = None,
    size: int | None = None,
    raw: bool = False,
) -> Backbone:
    """Take an image model of transformers as a backbone: what it says of the whole image, without a head.

    That is its pooled output; for models whose pooling is a head of its own (ViT, BEiT), which comes with few
    checkpoints, it is the first token. Grey images are repeated to three channels.

    Args:
        use: its name, ``"hf:DIR"``.
        model: of ``AutoModel``.
        folder: where ``preprocessor_config.json`` tells how pixels are prepared.
        pixels: the same, as a saved model tells it; then no folder is read.
        size: side in pixels that images are resized to, whole, in place of what is told.
        raw: preprocess within each call, so that the model takes images in [0, 1] as they are read.

    Shape:
        ``x (B, 3, H, W)`` or ``(B, 1, H, W)``; returns ``(B, width)``.

    Raises:
        FileNotFoundError: if nothing tells how pixels are prepared.
        ValueError: for a size below 1, preprocessing of another kind, or a model that masks parts of images.

    References:
        https://huggingface.co/docs/transformers/main_classes/image_processor
    """
    if size is not None and size < 1:
        raise wrong("`size`", expected="at least 1 pixel", found=size)
    told = _prepared(folder, model) if pixels is None else dict(pixels)
    if size is not None:
        told |= {"resize": [size, size], "crop": None}
    return _Images(use, model, told, raw)


def _prepared(folder: Path | None, model: Any) -> dict[str, Any]:
    """Read how the pixels are prepared that a model was pretrained on."""
    if folder is None:
        side = getattr(model.config, "image_size", None) or 224
        side = [side, side] if isinstance(side, int) else list(side)
        return {"resize": side, "crop": None, "bicubic": False, "mean": [0.5] * 3, "std": [0.5] * 3}
    file = folder / FILE
    if not file.is_file():
        hint = "save it beside the weights: `AutoImageProcessor.from_pretrained(...).save_pretrained(DIR)`"
        expected = "how pixels are prepared for the weights"
        raise wrong(f"`{file}`", expected=expected, found="no such file", hint=hint, error=FileNotFoundError)
    about = json.loads(file.read_text(encoding="utf-8"))
    scale = 255 * about.get("rescale_factor", 1 / 255) if about.get("do_rescale", True) else 255.0
    if about.get("rescale_offset") or not about.get("do_resize", True) or abs(scale - 1) > 1e-6:
        expected = "images that are resized and divided by 255"
        raise wrong(f"`{file}`", expected=expected, found="another kind of preprocessing")
    resize, crop = _side(about["size"]), None
    if about.get("do_center_crop"):
        crop = _pair(about["crop_size"])
    if "crop_pct" in about and isinstance(resize, int):
        crop = None if resize >= WARPED else [resize, resize]
        resize = [resize, resize] if crop is None else int(resize / about["crop_pct"])
    if isinstance(resize, int) and crop is None:
        raise wrong(f"`{file}`", expected="images of one size", found="only the length of their shorter side")
    normal = about.get("do_normalize", True)
    return {
        "resize": resize,
        "crop": crop,
        "bicubic": about.get("resample", 2) == BICUBIC,
        "mean": list(about["image_mean"]) if normal else [0.0] * 3,
        "std": list(about["image_std"]) if normal else [1.0] * 3,
    }


def _side(size: Any) -> int | list[int]:
    """Read a size: an integer for the shorter side, a pair for both."""
    if isinstance(size, int):
        return [size, size]
    return int(size["shortest_edge"]) if "shortest_edge" in size else [size["height"], size["width"]]


def _pair(size: Any) -> list[int]:
    side = _side(size)
    return [side, side] if isinstance(side, int) else side


def _resized(shape: torch.Size, to: int | list[int]) -> tuple[int, int]:
    """Say the size of an image of which one side, or both, are given."""
    if not isinstance(to, int):
        return to[0], to[1]
    height, width = shape
    return (to, int(to * width / height)) if height <= width else (int(to * height / width), to)


def _cropped(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut the middle out of images, with black around those that are smaller."""
    over = [max(to - at, 0) for at, to in zip(x.shape[2:], size, strict=True)]
    x = F.pad(x, (over[1] // 2, (over[1] + 1) // 2, over[0] // 2, (over[0] + 1) // 2))
    top, left = ((at - to) // 2 for at, to in zip(x.shape[2:], size, strict=True))
    return x[:, :, top : top + size[0], left : left + size[1]]


def _learned(part: nn.Module | None) -> bool:
    return part is not None and next(part.parameters(), None) is not None
