"""A backbone's blocks: features at each of them in one pass, and the backbone cut at one.

Shapes: ``B`` rows, ``D`` features, ``C`` channels, ``H``, ``W`` pixels, ``L`` tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from ...errors import unknown, wrong
from ...tasks import X
from ..net import Backbone, as_backbone
from ..outputs import features_of
from .tokenizer import at_tokens, mean_over

GRID = 3  # maps are averaged over a grid of so many cells a side, where they are larger
WHOLE = ""  # the cut behind everything: the features that the backbone gives itself


def cuts(module: nn.Module) -> list[str]:
    """Name the blocks that a backbone can be cut behind, from the input to the output; the last is ``""``.

    Blocks are the parts of ``nn.Sequential`` and ``nn.ModuleList``, however deep these stand in one another;
    where there are none, the module's own parts. A wrapper of one part is looked through, and not in the
    names. ``""`` is the whole.

    Example:
        >>> cuts(nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2)))
        ['0', '2', '']
    """
    inner = module.get_submodule(within(module))
    return [*(_blocks(inner, "") or [name for name, _ in _parts(inner)]), WHOLE]


def within(module: nn.Module) -> str:
    """Name the part that a wrapper is of; "" for a module that is none.

    Example:
        >>> within(nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 2))))
        '1'
    """
    path = ""
    while len(parts := _parts(module)) == 1 and not any(True for _ in module.parameters(recurse=False)):
        path, module = ".".join(filter(None, (path, parts[0][0]))), parts[0][1]
    return path


def _blocks(module: nn.Module, name: str) -> list[str]:
    """List the blocks below a module that is no block itself."""
    found: list[str] = []
    for child, part in _parts(module):
        path = ".".join(filter(None, (name, child)))
        if (type(part) in _LISTS and not _is_block(part)) or _repeats(part):
            found += _blocks(part, path)
        elif type(module) in _LISTS:
            found.append(path)
    return found


def _is_block(part: nn.Module) -> bool:
    """Tell whether a list is one block: layers of several kinds, such as a convolution and its norm."""
    layers = [layer for _, layer in _parts(part)]
    return len({type(layer) for layer in layers}) > 1 and not any(_parts(layer) for layer in layers)


_LISTS = (nn.Sequential, nn.ModuleList)


def _parts(module: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(n, m) for n, m in module.named_children() if next(m.parameters(), None) is not None]


def _repeats(module: nn.Module) -> bool:
    """Tell whether a module is a stack: one of its lists has several parts of one kind."""
    lists = (part for _, part in _parts(module) if type(part) in _LISTS)
    return any(len(ps := _parts(part)) > 1 and len({type(p) for _, p in ps}) == 1 for part in lists)


def pooled(value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Turn what a block gives into features: maps are averaged over a small grid, tokens over the text.

    Args:
        value: what it gives.
        mask: which tokens count, ``(B, L)``; all where it is left out.

    Shape:
        ``(B, C, H, W)``, ``(B, H, W, C)``, ``(B, L, D)`` or ``(B, D)``, to ``(B, D)``; a grid has ``3 x 3``
        cells, or as many as the map.

    Example:
        >>> pooled(torch.zeros(2, 8, 7, 7)).shape, pooled(torch.zeros(2, 8, 2, 2)).shape
        (torch.Size([2, 72]), torch.Size([2, 32]))
    """
    if value.ndim == 3:
        return value.mean(1) if mask is None else mean_over(value, mask)
    if value.ndim == 4:
        if value.shape[1] == value.shape[2] != value.shape[3]:  # channels come last
            value = value.movedim(3, 1)
        height, width = value.shape[2:]
        value = nn.functional.adaptive_avg_pool2d(value, (min(GRID, height), min(GRID, width)))
    return value.flatten(1)


@final
class AtAllCuts(nn.Module):
    """Give a backbone's features at all cuts, side by side: one pass serves the choice among them.

    ``places(x)`` gives those at each token of a text, ``(B, L, sum of the widths)``.

    Args:
        backbone: is called once per batch, and not changed.
        names: of the cuts, among ``cuts(backbone)``.

    Shape:
        rows as the backbone takes them, to ``(B, sum of the widths)``.
    """

    def __init__(self, backbone: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.backbone, self.names, self.inner = backbone, list(names), within(backbone)

    def forward(self, x: X) -> Tensor:
        """Return the features at each cut, in the order of the names."""
        found = self.by_name(x)
        return torch.cat([found[name] for name in self.names], 1)

    def places(self, x: Tensor) -> Tensor:
        """Return the features at each token at each cut, in the order of the names."""
        found = self.places_by_name(x)
        return torch.cat([found[name] for name in self.names], 2)

    def places_by_name(self, x: Tensor) -> dict[str, Tensor]:
        """Return the features at each token, ``(B, L, D)``, at each cut by its name."""
        found: dict[str, Tensor] = {}
        with self._watching(found, partial(at_tokens, x=x)):
            whole: Tensor = self.backbone.places(x)  # type: ignore[operator]
        return found | {WHOLE: whole}

    def by_name(self, x: X) -> dict[str, Tensor]:
        """Return the features at each cut that the rows pass through, by its name."""
        found: dict[str, Tensor] = {}
        with self._watching(found, partial(pooled, mask=_mask(self.backbone, x))):
            whole = self.backbone(x)
        return found | {WHOLE: pooled(features_of(whole))}

    @contextmanager
    def _watching(self, found: dict[str, Tensor], view: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """Keep a view of what each block gives while the backbone runs."""
        inner = self.backbone.get_submodule(self.inner)
        handles = [
            inner.get_submodule(name).register_forward_hook(partial(_keep, found, name, view))
            for name in self.names
            if name != WHOLE
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _mask(backbone: nn.Module, x: X) -> Tensor | None:
    about = as_backbone(backbone)
    return None if about is None else about.mask(x)


def _keep(
    found: dict[str, Tensor],
    name: str,
    view: Callable[[Tensor], Tensor],
    module: nn.Module,
    given: Any,
    value: Any,
) -> None:
    found[name] = view(first_tensor(value)).clone()  # what comes next may change it in place


def first_tensor(value: Any) -> Tensor:
    """Take a tensor, or the first of a tuple or a mapping of them, however deep."""
    while not isinstance(value, Tensor):
        value = next(iter(value.values() if isinstance(value, Mapping) else value))
    return value


def widths(backbone: nn.Module, x: X) -> dict[str, int]:
    """Tell the features at each cut that rows pass through, in their order.

    Args:
        backbone: in any mode; nothing of it moves.
        x: one row or more.

    Example:
        >>> widths(nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3)), torch.zeros(1, 2))
        {'0': 4, '2': 3, '': 3}
    """
    training = {module: module.training for module in backbone.modules()}
    with torch.no_grad():
        found = AtAllCuts(backbone.eval(), cuts(backbone)).by_name(x)
    for module, mode in training.items():
        module.training = mode
    return {name: value.shape[1] for name, value in found.items()}


class _Reached(Exception):  # no error: what a cut backbone ends with
    def __init__(self, value: Any) -> None:
        self.value = value


@final
class _Until(nn.Module):
    """Run a block and go no further."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, *given: Any, **named: Any) -> None:
        raise _Reached(self.block(*given, **named))


@final
class Cut(Backbone):
    """A backbone that ends behind one of its blocks; what comes later is dropped.

    Args:
        backbone: is taken apart: pass a copy of one that is needed whole.
        layer: the block's name, among ``cuts(backbone)``.
        width: of the features there.

    Shape:
        the same rows, to ``(B, width)`` as ``pooled`` makes it. Its ``places(x)`` are those at each token of
        a text, ``(B, L, D)``.
    """

    use = ""
    settings: Mapping[str, Any] = {}

    def __init__(self, backbone: nn.Module, layer: str, width: int) -> None:
        super().__init__()
        known = cuts(backbone)
        if layer not in known or layer == WHOLE:
            raise unknown("block to cut a backbone behind", layer, [name for name in known if name != WHOLE])
        about = as_backbone(backbone)
        if about is not None:
            self.use, self.settings, self.licence = about.use, about.settings, about.licence
            self.tokenizer, self.channels_last = about.tokenizer, about.channels_last
        self.backbone, self.layer, self.width = backbone, layer, width
        self.cut = {"layer": layer, "width": width}
        inner = backbone.get_submodule(within(backbone))
        for name in _after(inner, layer):
            inner.set_submodule(name, nn.Identity())  # never reached, so not kept
        inner.set_submodule(layer, _Until(inner.get_submodule(layer)))

    def forward(self, x: X) -> Tensor:
        """Return the features behind the block, without running what comes later."""
        return pooled(self._reached(x), _mask(self.backbone, x))

    def places(self, x: Tensor) -> Tensor:
        """Return the features at each token behind the block."""
        return at_tokens(self._reached(x), x)

    def _reached(self, x: X) -> Tensor:
        """Return what the block gives."""
        try:
            self.backbone(x)
        except _Reached as reached:
            return first_tensor(reached.value)
        raise wrong(f"block {self.layer!r}", expected="one that rows pass", found="one that none did")


def straight(backbone: nn.Module, x: X) -> nn.Module:
    """Give a backbone that ends by running to its end, as ``torch.export`` asks: a cut one as its graph.

    Args:
        backbone: in eval mode; weights of the graph are its own.
        x: rows, two or more, and as many as no other axis has; the graph takes any number of them.

    Example:
        >>> whole = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3)).eval()
        >>> straight(cut(whole, "0", torch.zeros(1, 2)), torch.zeros(3, 2))(torch.zeros(5, 2)).shape
        torch.Size([5, 4])
    """
    about = as_backbone(backbone)
    if about is None or about.cut is None:
        return backbone
    with torch.no_grad():
        return make_fx(backbone, tracing_mode="symbolic", _allow_non_fake_inputs=True)(x)


def _after(module: nn.Module, layer: str) -> list[str]:
    """Name what is written behind a block, without the parts of what is named."""
    names = [name for name, _ in module.named_modules()]
    later = [n for n in names[names.index(layer) :] if n != layer and not n.startswith(f"{layer}.")]
    return [n for n in later if not any(n.startswith(f"{other}.") for other in later)]


def cut(backbone: nn.Module, layer: str, x: X) -> nn.Module:
    """Cut a backbone behind one of its blocks, and see that it gives what the whole gave there.

    Args:
        backbone: is taken apart: pass a copy of one that is needed whole.
        layer: the block's name, among ``cuts(backbone)``; ``""`` leaves the backbone as it is.
        x: rows, one or more.

    Raises:
        ValueError: for a name that is no block, or one that needs what is written behind it.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
        >>> cut(net, "0", torch.zeros(1, 2))(torch.zeros(5, 2)).shape
        torch.Size([5, 4])
    """
    if layer == WHOLE:
        return backbone
    training = backbone.training
    with torch.no_grad():
        there = AtAllCuts(backbone.eval(), [layer] if layer in cuts(backbone) else []).by_name(x).get(layer)
        made = Cut(backbone, layer, 0 if there is None else there.shape[1])
        if there is None or not torch.equal(made.eval()(x), there):
            expected = "the same as in the whole backbone"
            raise wrong(f"features at block {layer!r}", expected=expected, found="others, or none")
    return made.train(training)
