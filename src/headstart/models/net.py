"""A shared backbone with one head per task, and weights that can be swapped for a call.

Shapes: ``B`` rows, ``D`` features, ``O`` outputs of a head.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Self, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import is_told, unknown, wrong
from ..tasks import Labelled, Task, X
from ..tasks.arrays import lit
from ..tasks.nouns import convert, rows, tensors
from ..tasks.spelling import unspelled
from ..tasks.thin import Thin
from .fresh import copied
from .outputs import features_of, width
from .wrappers import unwrapped


class Backbone(nn.Module):
    """A trunk that knows its name, its settings and its width, so that a saved model can be rebuilt.

    Any ``nn.Module`` from rows to ``(B, D)`` serves as a backbone; this class adds the facts.

    Attributes:
        use: its name, as given to ``hs.backbone``; empty for one that it does not build.
        settings: JSON that ``hs.backbone`` rebuilds it from.
        width: features ``D`` per row.
        licence: of its pretrained weights, where their library names it.
        task_dependent: whether it is called as ``backbone(x, task)``.
        joint: whether it also takes the rows of several tasks at once, as ``backbone(x, None, progress)``
            with ``x`` by task, and gives their features and losses of its own, both by name.
        tokenizer: the text of the ``tokenizer.json`` that rows of text have to be cut by; empty where it
            reads others, or does not know.
        cut: the ``layer`` that it ends behind, with the ``width`` there; ``None`` where it is whole.
        channels_last: whether its maps may lie in memory with their channels last, which makes training on a
            CPU faster; not all code of maps takes that (``view``).
        compared: whether its features were learned to be compared by cosines, as those of sentence encoders
            are: then the last say what rows have in common, where nothing else can choose a block.
        reads_spelling: whether it wants to know of tagged rows how their words are written; else a net gives
            it the numbers of the tokens alone.
    """

    use: str = ""  # no name
    cut: Mapping[str, Any] | None = None
    settings: Mapping[str, Any]
    width: int
    licence: str = ""
    task_dependent = False
    joint = False
    tokenizer: str = ""
    channels_last = False
    compared = False
    reads_spelling = False

    def mask(self, x: X) -> Tensor | None:
        """Tell which tokens count where its blocks give ``(B, L, D)``, ``(B, L)``; ``None`` for all."""
        return None

    def chain(self) -> list[nn.Module] | None:
        """List modules that give its features one after another; ``None`` where it is more than a chain."""
        return None

    def extra_repr(self) -> str:
        """Tell the name and settings, which features depend on beside the weights."""
        return f"{self.use}, {dict(getattr(self, 'settings', {}))}" if self.use else ""


class Trunk(Backbone):
    """A backbone whose features depend on the task (soft or learned sharing): ``trunk(x, task)``."""

    task_dependent = True

    def width_for(self, task: str) -> int:
        """Tell the features ``D`` per row of a task."""
        return self.width

    def alone(self, task: str) -> nn.Module:
        """Give what serves one task: a backbone without the parts of others, where they come apart."""
        return self

    def private(self) -> list[nn.Module]:
        """List the parts that one task alone uses: their weights are no shared ones."""
        return []


def as_backbone(module: nn.Module) -> Backbone | None:
    """Return a module that tells about itself as a ``Backbone``; ``None`` for any other.

    Wrappers, as of ``torch.compile``, are looked through.

    Example:
        >>> as_backbone(nn.Linear(2, 2)) is None
        True
    """
    inner = module if isinstance(module, Backbone) else unwrapped(module)
    return inner if isinstance(inner, Backbone) else None


def task_dependent(module: nn.Module) -> bool:
    """Tell whether the features of a backbone depend on the task, so that it is called with its name.

    Example:
        >>> task_dependent(Trunk()), task_dependent(nn.Linear(2, 2))
        (True, False)
    """
    backbone = as_backbone(module)
    return backbone is not None and backbone.task_dependent


_OF_SHAPES = re.compile(r"shapes? |size of tensor|channels|\dD\b|dimensions? ", re.IGNORECASE)


def _explain(x: X, error: Exception) -> None:
    """Raise ``ValueError`` where PyTorch tells of types and rows are whole numbers, or of shapes."""
    said, about = " ".join(str(error).split()), ""
    whole = [str(t.dtype) for t in tensors(x) if not t.is_floating_point()]
    if whole and "type" in said:
        about, found = "types", ", ".join(whole)
        hint = "pass `x.float()`; pixels of 8 bits as `x / 255`"
    elif _OF_SHAPES.search(said) and not is_told(error):
        about, found = "shape", ", ".join(str(list(t.shape)) for t in tensors(x))
        hint = _as_meant(x)
    if about:
        expected = f"of the {about} that the backbone takes"
        raise wrong("rows", expected=expected, found=f"{found} ({said})", hint=hint) from error


def _as_meant(x: X) -> str:
    """Say how rows of another shape may have been meant."""
    if not isinstance(x, Tensor):
        return ""
    if x.ndim == 3 and x.shape[0] in (1, 3, 4):
        return "for one image pass `x[None]`"
    if x.ndim == 4 and x.shape[3] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
        return "channels come first, as in `x.movedim(3, 1)`"
    return "for one row pass `x[None]`" if x.ndim < 2 else ""


def typed(module: nn.Module, x: X) -> X:
    """Bring floating rows to the type of a module's first floating weights; whole numbers stay.

    But a ``Backbone`` is given pixels of 8 bits as floats in [0, 1]; and how words are written is told only
    to one that asks for it. Thin rows are written out.

    Example:
        >>> typed(nn.Linear(2, 2), torch.zeros(1, 2, dtype=torch.float64)).dtype
        torch.float32
    """
    own = (p for part in _all_within(module) for p in part._parameters.values() if p is not None)
    dtype = next((p.dtype for p in own if p.is_floating_point()), None)
    if type(x) is Tensor and x.dtype == dtype:  # as at nearly every step
        return x
    if any(isinstance(t, Thin) for t in tensors(x)):
        x = convert(x, lambda t: t.to_dense() if isinstance(t, Thin) else t)
    if all(t.dtype == dtype for t in tensors(x)):
        return x
    about = as_backbone(module.backbone if isinstance(module, Net) else module)
    if about is not None:
        x = _lit(x)
    if about is None or not about.reads_spelling:
        x = unspelled(x)
    if dtype is None or all(t.dtype == dtype or not t.is_floating_point() for t in tensors(x)):
        return x
    return convert(x, lambda t: t.to(dtype) if t.is_floating_point() else t)


def _lit(x: X) -> X:
    return convert(x, lit) if any(t.dtype == torch.uint8 and t.ndim > 2 for t in tensors(x)) else x


def spared(module: nn.Module, x: X) -> X:
    """Copy rows or features for a module that might write to them: with ``inplace`` layers, or not PyTorch's.

    Example:
        >>> z = torch.tensor([-1.0])
        >>> net = nn.ReLU(inplace=True)
        >>> net(spared(net, z)), z
        (tensor([0.]), tensor([-1.]))
    """
    return convert(x, Tensor.clone) if _might_write(module) else x


def _might_write(module: nn.Module) -> bool:
    for part in _all_within(module):  # no `any` of a generator: a small net feels it at every step
        if part.__dict__.get("inplace") or not type(part).__module__.startswith(("torch.nn.", "headstart.")):
            return True
    return False


def _all_within(module: nn.Module) -> Iterator[nn.Module]:
    """Walk over a module and all within, in the order of ``modules()``, which is several times as slow."""
    left: list[nn.Module | None] = [module]
    while left:
        if (part := left.pop()) is not None:
            yield part
            left += reversed(part._modules.values())


def _norms_of_one(module: nn.Module, x: X) -> list[nn.BatchNorm1d]:
    """Let batch norms rest for one row alone, which has no spread; they go by their running statistics.

    Returns those that rest now, whose ``training`` has to be put back.
    """
    count = tensors(x)[0].shape[0]
    if type(count) is int and count != 1:  # while a net is exported it is a symbol
        return []
    norms = [m for m in _all_within(module) if isinstance(m, nn.BatchNorm1d)]
    there = [norm for norm in norms if norm.training and norm.track_running_stats]
    if there and rows(x) != 1:  # an exported net must not look at how many rows there are
        return []
    for norm in there:
        norm.training = False
    return there


def width_of(module: nn.Module, x: X, task: str | None = None) -> int:
    """Tell the features ``D`` per row of a backbone: its own word, or measured on rows of ``x (B, *)``.

    One row is enough. Those of a ``Trunk`` may depend on the task.

    Raises:
        ValueError: if the features are no table; ``TypeError`` if it is not plain what they are.

    Example:
        >>> width_of(nn.Linear(2, 3), torch.zeros(1, 2))
        3
    """
    backbone = as_backbone(module)
    if isinstance(backbone, Trunk) and task is not None:
        return backbone.width_for(task)
    if backbone is not None:
        return backbone.width
    training = module.training
    with torch.no_grad():
        found = width(module.eval()(spared(module, typed(module, x))))
    module.train(training)
    return found


def gives_places(module: nn.Module) -> bool:
    """Tell whether a backbone gives features at each place of a row, by a method ``places``.

    ``places(x)`` gives ``(B, L, D)`` for the ``L`` tokens of a text, and ``(B, H, W, D)`` for the cells of a
    map over the whole of an image, which may be coarser than its pixels.

    Example:
        >>> gives_places(nn.Linear(2, 2)), gives_places(Given())
        (False, True)
    """
    return callable(getattr(module, "places", None))


def _at_places(backbone: nn.Module, x: X, task: str | None) -> Tensor:
    """Give the features at each place; a trunk knows which tasks are given those."""
    if not task_dependent(backbone):
        return backbone.places(x)  # type: ignore[operator]
    found: Tensor = backbone(x, task)
    if found.ndim < 3:
        name = type(unwrapped(backbone)).__name__
        hint = "name the task in `placed` of the pattern, where it has such"
        raise wrong(
            f"features of {name}", expected=f"at each place, for {task!r}", found="of rows", hint=hint
        )
    return found


@final
class Given(nn.Identity):
    """The backbone of rows that are features already, whether of a row or of each of its places."""

    def places(self, z: Tensor) -> Tensor:
        """Return them as they are."""
        return z


@final
class Net(nn.Module):
    """Put one head per task on a shared backbone.

    A part whose parameters are all frozen is in eval mode whenever the net trains, so that the
    buffers of its normalisation layers do not move and its dropout is off.

    Args:
        backbone: from rows ``(B, *)`` to features ``(B, D)``, or to a mapping or a tuple that has them; with
            a method ``places`` also to features at each place (``gives_places``).
        heads: from features to outputs ``(B, O)``, one per task, by name; one with ``reads_places`` is given
            those at each place, one with ``reads_words`` zeros where no word begins. One with a method
            ``loss(z, y)`` says what is lowered, in place of the task's kind.

    Example:
        >>> net = Net(nn.Linear(4, 8), {"coins": nn.Linear(8, 2)})
        >>> net(torch.zeros(3, 4), "coins").shape
        torch.Size([3, 2])
    """

    def __init__(self, backbone: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict(dict(heads))

    def features(self, x: X, task: str | None = None) -> Tensor:
        """Return the backbone's features ``(B, D)``; a sharing trunk needs the task's name.

        For a task whose head reads places they are those at each place, ``(B, *, D)``. Floating rows are
        brought to the type of the net's weights: float64 ones lose what float32 does not hold, about the
        eighth digit on. Of a mapping or a tuple ``features_of`` takes the features.

        Raises:
            ValueError: if rows are whole numbers and the backbone takes none, or of a shape that it does not.
            TypeError: if it is not plain which part of what the backbone gives are the features.
        """
        backbone, x = self.backbone, spared(self.backbone, typed(self, x))
        try:
            if self.at_places(task):
                return self._of_words(_at_places(backbone, x, task), x, task)
            resting = _norms_of_one(backbone, x)
            try:
                return features_of(backbone(x, task) if task_dependent(backbone) else backbone(x))
            finally:
                for norm in resting:
                    norm.training = True
        except (RuntimeError, ValueError) as error:
            _explain(x, error)
            raise

    def together(self, x: Mapping[str, X], progress: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the features of several tasks, and the losses that the backbone has of its own, by name.

        Tasks with the very same rows share one pass where their features do not differ, and so do rows of
        several tables where every layer is seen to treat each row by itself. A backbone that is ``joint`` is
        given all rows at once, and may have losses: distances, costs.

        Args:
            x: rows by task.
            progress: how much of the run is behind, in [0, 1).
        """
        about = as_backbone(self.backbone)
        if about is not None and about.joint:
            once = {id(rows): typed(self, rows) for rows in x.values()}
            if _might_write(self.backbone):  # looked at once: it walks through all encoders
                once = {key: convert(rows, Tensor.clone) for key, rows in once.items()}
            found: tuple[dict[str, Tensor], dict[str, Tensor]]
            try:
                found = self.backbone({task: once[id(rows)] for task, rows in x.items()}, None, progress)
            except (RuntimeError, ValueError) as error:
                for rows in x.values():
                    _explain(rows, error)
                raise
            features, own = found
            return {task: self._of_words(z, once[id(x[task])], task) for task, z in features.items()}, own
        if (tables := self._alike(x)) is not None:
            parts = self.features(torch.cat(tables)).split([len(some) for some in tables])
            of = dict(zip(map(id, tables), parts, strict=True))
            return {task: of[id(rows)] for task, rows in x.items()}, {}
        seen: dict[tuple[int, bool, bool, str | None], Tensor] = {}
        features, apart = {}, task_dependent(self.backbone)
        for task, rows in x.items():
            key = id(rows), self.at_places(task), self.at_words(task), task if apart else None
            if key not in seen:
                seen[key] = self.features(rows, task)
            features[task] = seen[key]
        return features, {}

    def _alike(self, x: Mapping[str, X]) -> list[Tensor] | None:
        """List the distinct tables, if they can go through the backbone as one."""
        tables = list({id(rows): rows for rows in x.values()}.values())
        if len(tables) < 2 or any(map(self.at_places, x)) or not _by_row(self.backbone):
            return None
        found = [rows for rows in tables if isinstance(rows, Tensor)]
        kinds = {(rows.shape[1:], rows.dtype, rows.device) for rows in found}
        return found if len(found) == len(tables) and len(kinds) == 1 else None

    def forward(self, x: X, task: str) -> Tensor:
        """Return the output of a task's head ``(B, O)``; ``KeyError`` names an unknown task."""
        return self.head(task)(self.features(x, task))

    def at_places(self, task: str | None) -> bool:
        """Tell whether a task's head reads features at each place; no head does not."""
        return self._reads("places", task)

    def at_words(self, task: str | None) -> bool:
        """Tell whether a task's head is given features where words begin alone, and zeros elsewhere."""
        return self._reads("words", task)

    def _reads(self, what: str, task: str | None) -> bool:
        heads: Any = self._modules["heads"]  # asked at every step, and a module is slow to say what it has
        if (head := heads._modules.get(task)) is None:
            return False
        return bool(head.__dict__.get(f"reads_{what}", getattr(type(head), f"reads_{what}", False)))

    def _of_words(self, z: Tensor, x: X, task: str | None) -> Tensor:
        """Put zeros in place of the features of tokens at which no word begins, for a head that asks for it.

        No word's are all 0.
        """
        if not (self.at_words(task) and isinstance(x, Tensor)) or x.is_floating_point():
            return z
        return (z + torch.finfo(z.dtype).tiny) * (unspelled(x) > 0)[:, :, None]

    def head(self, task: str) -> nn.Module:
        """Return a task's head; ``KeyError`` names an unknown task."""
        try:
            return self.heads[task]
        except KeyError:
            raise unknown("head", task, self.heads, error=KeyError) from None

    def answer(self, z: Tensor, task: str) -> Tensor:
        """Return the output of a task's head on features ``(B, D)``, which stay as they are for others."""
        head = self.head(task)
        return head(spared(head, z))

    def loss(self, z: Tensor, task: Task, rows: Labelled) -> Tensor:
        """Score features against the labels of a task: as its head does, where that has a ``loss``."""
        own = getattr(self.head(task.name), "loss", None)
        if own is None:
            return task.loss(self.answer(z, task.name), rows.y, complete=rows.complete)
        found: Tensor = own(z, rows.y)
        return found

    def shared(self) -> dict[str, nn.Parameter]:
        """Name the trainable parameters of the backbone, without those that are private to a task."""
        about = as_backbone(self.backbone)
        parts = about.private() if isinstance(about, Trunk) else []
        alone = {id(p) for part in parts for p in part.parameters()}
        named = self.backbone.named_parameters()
        return {f"backbone.{n}": p for n, p in named if p.requires_grad and id(p) not in alone}

    def train(self, mode: bool = True) -> Self:
        """Set training mode, but leave frozen parts in eval mode."""
        super().train(mode)
        if mode:
            _rest(self)
        return self


_BY_ROW = {
    nn.Linear, nn.Flatten, nn.Identity, nn.ReLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.ELU, nn.LeakyReLU,
}  # fmt: skip


def _by_row(module: nn.Module) -> bool:
    """Tell whether a module is a chain of known layers that treat each row by itself."""
    if type(module) in _BY_ROW:
        return True
    if type(module) is nn.Sequential:
        return all(map(_by_row, module))
    about = as_backbone(module)
    layers = None if about is None or task_dependent(module) else about.chain()
    return layers is not None and all(map(_by_row, layers))


def _rest(module: nn.Module) -> bool:
    """Put every part whose parameters are all frozen into eval mode; tell whether ``module`` is one."""
    frozen = [p.requires_grad for p in module.parameters(recurse=False)]
    parts = [(child, _rest(child)) for child in module.children()]
    counted = [rests for child, rests in parts if next(child.parameters(), None) is not None]
    whole = bool(frozen or counted) and not any(frozen) and all(counted)
    whole = whole or _FIXED in module.__dict__
    if whole:
        module.eval()
    return whole


def freeze(module: nn.Module) -> nn.Module:
    """Stop training a module: no gradient, no weight decay, no moving buffers. Returns it.

    Gradients are set to ``None``, because optimizers move weights whose gradient is zero.

    Example:
        >>> net = Net(nn.BatchNorm1d(2), {"a": nn.Linear(2, 1)})
        >>> _ = freeze(net.backbone)
        >>> net.train().backbone.training
        False
    """
    for parameter in module.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    return module.eval()


def unfreeze(module: nn.Module) -> nn.Module:
    """Train a module again, with its normalisation layers. Returns it."""
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    for part in module.modules():
        part.__dict__.pop(_FIXED, None)
    return module


_FIXED = "_fixed"  # on a normalisation layer, which may have no weights that tell it is frozen


def fix_norms(module: nn.Module) -> nn.Module:
    """Freeze the layers that keep running statistics, with their weights, while the rest trains. Returns it.

    A net that trains leaves them in eval mode: they normalise by the statistics that they came with, which
    do not move by a bit, and a row's features do not depend on the other rows of its batch. Layers without
    running statistics, such as layer normalisation, are no part of this.

    Example:
        >>> net = Net(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False)), {})
        >>> _ = fix_norms(net.backbone)
        >>> net.train().backbone[0].training, net.backbone[1].training
        (True, False)
    """
    for part in module.modules():
        if isinstance(getattr(part, "running_mean", None), Tensor):
            freeze(part).__dict__[_FIXED] = True
    return module


def stages(module: nn.Module) -> dict[str, nn.Module]:
    """List the parts of a backbone that have parameters, from the input to the output.

    Wrappers with a single such part are looked through. Where one part alone is a list of blocks, as between
    the stem and the head of an EfficientNet, its blocks stand in its place. A module with weights of its own
    beside its parts, as of the places of a vision transformer, stands whole before them.

    Example:
        >>> list(stages(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))))
        ['0', '2']
    """
    path, module = _unwrapped(module)
    parts = _parts(module)
    own = {path: module} if not parts or any(True for _ in module.parameters(recurse=False)) else {}
    inner = {name: _unwrapped(part) for name, part in parts.items()}
    stacks = [name for name, (_, part) in inner.items() if _is_stack(part)]
    found: dict[str, nn.Module] = {}
    for name, part in parts.items():
        if stacks == [name]:
            found |= {f"{_joined(name, inner[name][0])}.{n}": m for n, m in _parts(inner[name][1]).items()}
        else:
            found[name] = part
    return own | {_joined(path, name): part for name, part in found.items()}


def _parts(module: nn.Module) -> dict[str, nn.Module]:
    return {n: m for n, m in module.named_children() if next(m.parameters(), None) is not None}


def _joined(*names: str) -> str:
    return ".".join(filter(None, names))


def _unwrapped(module: nn.Module) -> tuple[str, nn.Module]:
    """Go down to the first module with weights of its own, or several parts; tell its name and it."""
    path = ""
    while len(parts := _parts(module)) == 1 and not any(True for _ in module.parameters(recurse=False)):
        name, module = next(iter(parts.items()))
        path = _joined(path, name)
    return path, module


def _is_stack(module: nn.Module) -> bool:
    """Tell whether a module is a list of blocks, each made of parts itself."""
    blocks = _parts(module).values()
    lists = type(module) in (nn.Sequential, nn.ModuleList)
    return lists and len(blocks) > 1 and all(any(True for _ in block.children()) for block in blocks)


def blocks(module: nn.Module) -> list[str]:
    """Name the blocks of a backbone in order, from the input to the output.

    Example:
        >>> blocks(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)))
        ['0', '2']
    """
    return list(stages(module))


def parameter_groups(net: Net, lr: float, *, factor: float = 1.0) -> list[dict[str, Any]]:
    r"""Group all parameters, frozen ones included, by stage, with smaller rates further down.

    The heads get ``lr``, the stage that is ``d`` below them :math:`lr \cdot factor^{d}`. All groups
    exist from the start, so schedulers and checkpoints survive a change of phase.

    Args:
        net: whose parameters.
        lr: step size of the heads, above 0.
        factor: ratio between neighbouring stages, in (0, 1]; 1 gives one rate for all.

    Raises:
        ValueError: if ``lr`` or ``factor`` is out of its range.

    Example:
        >>> net = Net(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), {"a": nn.Linear(2, 1)})
        >>> [(g["name"], g["lr"]) for g in parameter_groups(net, 1.0, factor=0.5)]
        [('heads', 1.0), ('backbone.1', 0.5), ('backbone.0', 0.25)]

    References:
        Howard & Ruder (ACL 2018), section 3.2, https://arxiv.org/abs/1801.06146
    """
    if not lr > 0:
        raise wrong("`lr`", expected="above 0", found=lr)
    if not 0 < factor <= 1:
        raise wrong("`factor`", expected="in (0, 1]", found=factor)
    groups = [{"name": "heads", "params": list(net.heads.parameters()), "lr": lr}]
    placed = set[int]()
    for depth, (name, part) in enumerate(reversed(stages(net.backbone).items()), start=1):
        params = [p for p in part.parameters() if id(p) not in placed]
        placed |= set(map(id, params))
        groups.append({"name": _joined("backbone", name), "params": params, "lr": lr * factor**depth})
    return [g for g in groups if g["params"]]


@final
class Adapted:
    """Call a net with some weights replaced by functions of a support set; differentiable in both.

    The buffers of ``net`` are never written: calls work on copies.

    Args:
        net: the net that was adapted.
        task: the head to use.
        weights: tensors by their name in ``net`` (parameters, or buffers).
    """

    def __init__(self, net: Net, task: str, weights: Mapping[str, Tensor]) -> None:
        self.net, self.task, self.weights = net, task, dict(weights)

    def __call__(self, x: X) -> Tensor:
        """Return the head's output ``(B, O)`` under the adapted weights."""
        buffers = {n: b.clone() for n, b in self.net.named_buffers()}
        return functional_call(self.net, buffers | self.weights, (x, self.task))

    def export(self) -> Net:
        """Return a free-standing copy with the adapted weights written in: save it, serve it.

        Linear layers take the size of their adapted weights, so a head may have other ways than before.
        """
        net = copied(self.net)
        for name, value in self.weights.items():
            path, _, leaf = name.rpartition(".")
            owner = net.get_submodule(path)
            new = value.detach().clone(memory_format=torch.contiguous_format)  # as it is once saved
            if leaf in owner._buffers:
                setattr(owner, leaf, new)
            else:
                setattr(owner, leaf, nn.Parameter(new, requires_grad=getattr(owner, leaf).requires_grad))
            if isinstance(owner, nn.Linear) and leaf == "weight":
                owner.out_features, owner.in_features = new.shape
        return net


def count_parameters(net: nn.Module, *, trainable: bool = True) -> int:
    """Count the numbers that a net holds, or those that train.

    Example:
        >>> count_parameters(nn.Linear(3, 2))
        8
    """
    return sum(p.numel() for p in net.parameters() if p.requires_grad or not trainable)


def device_of(net: nn.Module) -> torch.device:
    """Tell where a net lives."""
    first = next(chain(net.parameters(), net.buffers()), None)
    return first.device if first is not None else torch.device("cpu")
