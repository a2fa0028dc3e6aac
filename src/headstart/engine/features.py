"""Frozen features, computed once.

Shapes: ``n`` rows, ``D`` features.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from ..atomic import write_atomic, writing
from ..errors import explain, wrong
from ..models import Net
from ..tasks import X
from ..tasks.nouns import parts, tensors
from .evaluate import mapped


def cached_features(
    net: Net,
    x: X,
    *,
    directory: str | Path | None = None,
    task: str | None = None,
    transform: str = "",
    batch: int = 128,
    progress: bool | None = None,
) -> Tensor:
    """Compute the features of a frozen backbone once, to train heads on them.

    What comes back equals ``net.features(x, task)`` in every later step, because the backbone is
    frozen and at rest; where it is not, the call is refused. With ``directory`` the features are
    kept in a file named by the hash of weights, buffers, architecture, rows, task and transform,
    so that a change of any of them computes anew.

    Args:
        net: with a frozen backbone (``headstart.models.freeze(net.backbone)``).
        x: rows ``(n, *)``, already transformed, without random augmentation.
        directory: where features are kept; ``None`` keeps nothing on disk.
        task: for a trunk whose features depend on the task.
        transform: names how ``x`` was made, where the rows alone do not tell.
        batch: rows at a time.
        progress: as in ``fit``.

    Shape:
        ``(n, D)``, on the device of ``x``.

    Raises:
        ValueError: if the backbone has trainable parameters, dropout that is on, or batch statistics
            that move.
        OSError: if ``directory`` cannot be written.

    Example:
        >>> from headstart.models import freeze
        >>> net = Net(nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4)), {"coins": nn.Linear(4, 2)})
        >>> _ = freeze(net.backbone)
        >>> cached_features(net, torch.zeros(5, 2)).shape
        torch.Size([5, 4])
    """
    _check_constant(net.backbone)
    if directory is None:
        return _compute(net, x, task, batch, progress)
    path = Path(directory) / f"{fingerprint(net.backbone, x, task, transform)}.safetensors"
    features = _read(path)
    if features is None:
        features = _compute(net, x, task, batch, progress)
        _write(path, features)
    return features.to(tensors(x)[0].device)


def _compute(net: Net, x: X, task: str | None, batch: int, progress: bool | None) -> Tensor:
    return mapped(
        lambda part: net.features(part, task), net, x, batch=batch, progress=progress, title="features"
    )


def _check_constant(backbone: nn.Module) -> None:
    what, hint = "`net.backbone`", "call headstart.models.freeze(net.backbone)"
    trainable = [name for name, p in backbone.named_parameters() if p.requires_grad]
    if trainable:
        found = f"{len(trainable)} trainable parameters ({trainable[0]}), which change its features"
        raise wrong(what, expected="frozen", found=found, hint=hint)
    for name, part in backbone.named_modules():
        # A part with weights rests when it is frozen; one without them matters where it is random or counts.
        random, counts = isinstance(part, _DropoutNd), isinstance(part, _NormBase)
        if part.training and (random or counts or next(part.parameters(), None) is not None):
            reason = "dropout would draw anew" if random else "its batch statistics or dropout would be on"
            where = f"`{name}` in training mode, where {reason}" if name else f"training mode, where {reason}"
            raise wrong(what, expected="in eval mode", found=where, hint=hint)


def fingerprint(backbone: nn.Module, x: X, task: str | None = None, transform: str = "") -> str:
    """Hash everything that features depend on: weights, buffers, architecture, rows, task, transform.

    Example:
        >>> layer, x = nn.Linear(2, 2), torch.zeros(3, 2)
        >>> fingerprint(layer, x) == fingerprint(layer, x.clone())
        True
        >>> fingerprint(layer, x) == fingerprint(layer, x + 1)
        False
    """
    state = {**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}
    digest = hashlib.sha256(repr((str(backbone), task, transform)).encode())
    for name, tensor in [*state.items(), *parts(x).items()]:
        digest.update(repr((name, tuple(tensor.shape), str(tensor.dtype))).encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    return memoryview(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())  # type: ignore[arg-type]


def _read(path: Path) -> Tensor | None:
    """Read kept features; ``None``, with a warning where there is a file, if they are not whole."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            features = file.get_tensor("features")
            whole = file.metadata()["sha256"] == hashlib.sha256(_bytes(features)).hexdigest()
    except (OSError, SafetensorError, KeyError, TypeError):
        whole = False
    if not whole:
        warnings.warn(
            explain(f"kept features `{path}`", expected="whole", found="damaged", hint="computing anew"),
            stacklevel=3,
        )
        return None
    return features


def _write(path: Path, features: Tensor) -> None:
    from safetensors.torch import save

    features = features.detach().cpu().contiguous()
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, save({"features": features}, {"sha256": hashlib.sha256(_bytes(features)).hexdigest()}))
