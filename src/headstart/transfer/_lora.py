"""Low-rank updates beside frozen weights, by the library ``peft``.

Shapes: ``D`` inputs and ``E`` outputs of a layer, ``r`` the rank.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

import torch
from torch import nn

from ..errors import explain, wrong
from ..models import Net, fix_norms, freeze, unfreeze
from ..models.backbones.torchvision import import_torchvision


@contextmanager
def lora(
    net: Net, rank: int = 8, alpha: float = 16.0, *, generator: torch.Generator | None = None
) -> Iterator[Net]:
    r"""Freeze the backbone of a net, and train updates of low rank beside its weights for a while.

    Each linear layer and each convolution (of one group) of the backbone gets two small matrices, of which
    the second starts at 0, so that the net answers as before. At the end they are added to the weights, and
    the net has the very layers that it had. Linear layers of transformers' GPT-2 are among them:

    .. math:: W = W_0 + \frac{\alpha}{r} \, B A, \qquad A \in R^{r \times D},\ B \in R^{E \times r}

    Layers are found by their type. Normalisation layers with running statistics stay as they are, to the bit;
    so do convolutions of several groups, whose updates need a rank that these divide, and the projections
    inside ``nn.MultiheadAttention``, whose fast code reads no update. That fast code of PyTorch is turned off
    for the while. Heads train as they did.

    Args:
        net: changed in place; inside, make the optimizer and train.
        rank: :math:`r`, at least 1.
        alpha: :math:`\alpha`, above 0.
        generator: draws :math:`A`; one of seed 0 by default.

    Shape:
        weights ``(E, D)`` of linear layers, ``(E, D, h, w)`` of convolutions.

    Yields:
        the net, whose backbone has the updates as its only weights that train.

    Raises:
        ValueError: if a number is out of its range, or the backbone has no such layer.
        ModuleNotFoundError: if ``peft`` is not installed.

    Differs from the paper:
        all linear layers and convolutions get updates, not those of attention alone.

    Example:
        >>> net = Net(nn.Sequential(nn.Linear(4, 6), nn.ReLU()), {"a": nn.Linear(6, 2)})
        >>> with lora(net, rank=2):  # doctest: +SKIP
        ...     print(sum(p.numel() for p in net.backbone.parameters() if p.requires_grad))
        20

    References:
        Hu et al. (ICLR 2022), equation 3, https://arxiv.org/abs/2106.09685
    """
    if rank < 1:
        raise wrong("`rank`", expected="at least 1", found=rank)
    if not 0 < alpha < float("inf"):
        raise wrong("`alpha`", expected="above 0 and finite", found=alpha)
    layers = adaptable(net.backbone)
    if not layers:
        found = "none that is"
        raise wrong("layers of the backbone", expected="linear, or convolutions of one group", found=found)
    peft, bare = import_peft(), isinstance(net.backbone, nn.Linear | nn.Conv2d)
    own, fast = net.backbone, torch.backends.mha.get_fastpath_enabled()
    frozen = {name: p.requires_grad for name, p in own.named_parameters()}
    freeze(own)
    inside = nn.Sequential(own) if bare else own
    names = ["0"] if bare else layers
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=names, bias="none")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out")  # it sees by itself which way weights lie
        tuner = peft.LoraModel(inside, config, "default")
    _draw(inside, generator or torch.Generator().manual_seed(0))
    fix_norms(inside)
    net.backbone = inside
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield net
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        merged = tuner.merge_and_unload()
        net.backbone = unfreeze(merged[0] if bare else merged)
        for name, parameter in net.backbone.named_parameters():
            parameter.requires_grad_(frozen[name])


def _draw(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the first matrix of each update, as ``nn.Linear`` draws its weights."""
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if ".lora_A." in name:
                bound = weight[0].numel() ** -0.5
                drawn = torch.empty(weight.shape).uniform_(-bound, bound, generator=generator)
                weight.copy_(drawn)


def adaptable(module: nn.Module) -> list[str]:
    """Name the layers that can get updates: by their very type, so none that other code reads by itself.

    Example:
        >>> adaptable(nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)))
        ['1', '2']
    """
    found = []
    for name, part in module.named_modules():
        plain = type(part) is nn.Linear or (isinstance(part, nn.Conv2d) and part.groups == 1) or _of_gpt(part)
        if plain and next(part.parameters(), None) is not None:
            found.append(name)
    return found


def _of_gpt(part: nn.Module) -> bool:
    """Tell whether a layer is the linear one of GPT-2, whose weight lies the other way round."""
    return type(part).__name__ == "Conv1D" and type(part).__module__.startswith("transformers.")


def import_peft() -> ModuleType:
    """Import peft, also beside a build of torch that torchvision's operators do not fit.

    Raises:
        ModuleNotFoundError: if it is not installed.
    """
    with suppress(ModuleNotFoundError):  # peft does without
        import_torchvision()
    try:
        return importlib.import_module("peft")
    except ModuleNotFoundError as error:
        if error.name != "peft":
            raise
        hint = 'pip install "headstart[peft]"'
        message = explain("peft", expected="installed", found="no such package", hint=hint)
        raise ModuleNotFoundError(message, name="peft") from None
