"""Frozen features, each distinct row computed once.

Shapes: ``n`` rows, ``D`` features.
"""

from __future__ import annotations

import hashlib
import math
import warnings
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from ..atomic import write_atomic, writing
from ..errors import explain, wrong
from ..models import Net, device_of, sealed
from ..models.hashing import as_bytes, module_hash
from ..models.net import task_dependent
from ..records import sha256
from ..tasks import X
from ..tasks.arrays import lengths
from ..tasks.nouns import rows, take, tensors
from . import devices
from .evaluate import bounds, mapped

LIMIT = 4 * 2**30  # bytes
FEWEST = 8  # rows forwarded at a time; below 4, products of matrices are summed in another order


def cached_features(
    net: Net,
    x: X,
    *,
    directory: str | Path | None = None,
    task: str | None = None,
    transform: str = "",
    batch: int = 128,
    precision: str = "float32",
    progress: bool | None = None,
) -> Tensor:
    """Compute the features of a frozen backbone once, to train heads on them.

    What comes back equals ``net.features(x, task)`` in every later step, because the backbone is
    frozen and at rest; where it is not, the call is refused. With ``directory`` the features are
    kept there, as a ``FeatureStore`` does it, so that a change of weights, buffers, architecture,
    rows or transform computes anew what it must.

    Args:
        net: with a frozen backbone (``headstart.models.freeze(net.backbone)``).
        x: rows ``(n, *)``, already transformed, without random augmentation.
        directory: where features are kept; ``None`` keeps nothing on disk.
        task: for a trunk whose features depend on the task.
        transform: names how ``x`` was made, where the rows alone do not tell.
        batch: rows at a time.
        precision: as in ``fit``.
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
    check_frozen(net.backbone)
    if directory is None:
        return _forward(net, x, bounds(rows(x), batch), task, precision, progress)
    store = FeatureStore(directory)
    key = store.key(net.backbone, transform)
    return store.features(net, key, x, task=task, batch=batch, precision=precision, progress=progress)


class FeatureStore:
    """Keep features of frozen backbones: each distinct row is forwarded once per set of weights.

    That holds over all calls, whatever rows they ask for, and over all processes that use one
    directory: one that needs rows waits while another computes for the same weights. Rows are told
    apart by the hash of their bytes; features lie in files that are mapped into memory, each named
    by its hash, so that a damaged one is found and its rows are computed anew, with a warning.

    *Floating point.* A row that is kept is the same to the last bit in every call. On the CPU with one
    thread it is also the same whatever rows it was first computed with: measured for mlp, conv4, textcnn
    and ResNet-18, in groups of 4 to 400 rows and in any order. In groups of 1 to 3 rows kernels sum in
    another order, and features differ by up to 1.5e-6 of the largest; so rows are computed in groups of
    nearly equal size, and of at least 8, filled up with copies of a row. On a GPU the group's size may
    matter in the last bits.

    *Tokens.* Features at the tokens of texts are computed and kept without most of the padding, texts of like
    length together, where a row shows that the backbone gives the same without it, and zeros behind.

    Args:
        directory: where features are kept, made on first use; ``None`` keeps them in memory.
        limit: bytes that may be kept in the directory, or in memory without one. Beyond, features are
            computed but not kept, with one warning.

    Attributes:
        forwarded: rows that this process computed; copies that fill up a group are not counted.

    Example:
        >>> from headstart.models import freeze
        >>> store, net = FeatureStore(), Net(nn.Linear(2, 4), {})
        >>> _ = freeze(net.backbone)
        >>> key = store.key(net.backbone)
        >>> x = torch.arange(12.0).view(6, 2)
        >>> store.features(net, key, x[:4]).shape, store.features(net, key, x[2:]).shape
        (torch.Size([4, 4]), torch.Size([4, 4]))
        >>> store.forwarded
        6
    """

    def __init__(self, directory: str | Path | None = None, *, limit: int = LIMIT) -> None:
        if limit < 0:
            raise wrong("`limit`", expected="at least 0 bytes", found=limit)
        self.directory = None if directory is None else Path(directory)
        self.limit, self.forwarded = limit, 0
        self._kept: dict[str, _Kept] = {}
        self._hashes = _Hashes()
        self._warned = False

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Path | None], dict[str, int]]:
        """Send the directory and the limit alone to another process."""
        return FeatureStore, (self.directory,), {"limit": self.limit}

    def key(self, backbone: nn.Module, transform: str = "") -> str:
        """Hash weights, buffers and architecture of a backbone; once, as long as they stay.

        Args:
            backbone: whose features are kept.
            transform: names how rows are made, where they do not tell themselves.

        Example:
            >>> store, layer = FeatureStore(), nn.Linear(2, 2)
            >>> store.key(layer) == store.key(layer), store.key(layer) == store.key(nn.Linear(2, 2))
            (True, False)
        """
        return module_hash(backbone, transform)

    def features(
        self,
        net: Net,
        key: str,
        x: X,
        *,
        task: str | None = None,
        batch: int = 128,
        precision: str = "float32",
        progress: bool | None = None,
    ) -> Tensor:
        """Return the features of rows; those that are not kept yet are computed and kept.

        Args:
            net: with a frozen backbone.
            key: what ``store.key(net.backbone)`` gave for these very weights.
            x: rows ``(n, *)`` or a mapping of tensors; not to be changed but by operations of PyTorch.
            task: for a trunk whose features depend on the task.
            batch: most rows at a time.
            precision: as in ``fit``.
            progress: as in ``fit``.

        Shape:
            ``(n, D)``, on the device of ``x``.

        Raises:
            ValueError: if the backbone is not frozen.
            OSError: if the directory cannot be written.
        """
        check_frozen(net.backbone)
        task = task if task_dependent(net.backbone) or net.at_places(task) else None
        if not rows(x):
            return _forward(net, x, [0, 0], task, precision, progress)
        parts = tensors(x)
        kept = self._open(key, task, net, precision, parts)
        hashes = self._hashes.of(parts)
        if kept.missing(hashes):
            with kept.locked():
                kept.read()  # what other processes have computed since
                if new := kept.missing(hashes):
                    part = take(x, torch.tensor(list(new.values()), device=parts[0].device))
                    for at, some in _narrowed(net, part, task, precision):
                        features = _forward_alike(net, some, batch, task, precision, progress).cpu()
                        self.forwarded += len(at)
                        named = [list(new)[i] for i in at.tolist()]
                        kept = kept.add(named, features, room=self._has_room(features.nbytes))
        return kept.gather(hashes, parts[0].shape[1:2]).to(parts[0].device)

    def _open(self, key: str, task: str | None, net: Net, precision: str, parts: Sequence[Tensor]) -> _Kept:
        """Find the features of one set of weights, in one precision, for rows of one form."""
        device = device_of(net)
        form = [(str(part.dtype), tuple(part.shape[1:])) for part in parts]
        alike = net.at_places(task) and not task_dependent(net.backbone)
        view = f"at {'words' if net.at_words(task) else 'places'}" if alike else task  # whatever the task
        made = repr((key, view, device.type, devices.precision(precision, device), form))
        name = hashlib.sha256(made.encode()).hexdigest()[:32]
        if name not in self._kept:
            self._kept[name] = _Kept(self.directory and self.directory / name)
        return self._kept[name]

    def _has_room(self, more: int) -> bool:
        """Tell whether so many bytes may be kept besides those that are; warn the first time they may not."""
        if self.directory is None:
            where, used = "memory", sum(b.nbytes for kept in self._kept.values() for b in kept.blocks)
        else:
            where = f"`{self.directory}`"
            used = sum(path.stat().st_size for path in self.directory.glob("*.safetensors"))
        room = used + more <= self.limit
        if not room and not self._warned:
            self._warned = True
            message = explain(
                f"features kept in {where}",
                expected=f"at most {_size(self.limit)}, the `limit`",
                found=f"{_size(used + more)}",
                hint="the rest is computed whenever it is needed; pass a larger `limit`",
            )
            warnings.warn(message, stacklevel=3)
        return room


class _Kept:
    """The features of one set of weights: blocks of rows, in memory or mapped from files.

    A file ``STEM-HASH.safetensors`` is never changed; it holds some rows' hashes and features, and is
    named by its own hash.
    """

    def __init__(self, stem: Path | None) -> None:
        self.stem = stem
        self.index: dict[bytes, int] = {}  # number of a row, counted over all blocks
        self.blocks: list[Tensor] = []
        self.files: set[str] = set()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from computing for these weights."""
        if self.stem is None:
            yield
            return
        from filelock import FileLock

        lock = FileLock(self.stem.with_suffix(".lock"))
        with writing(self.stem.parent):
            self.stem.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def missing(self, hashes: Sequence[bytes]) -> dict[bytes, int]:
        """Give the first place of every row that is not kept, in order."""
        first: dict[bytes, int] = {}
        for place, row in enumerate(hashes):
            if row not in self.index:
                first.setdefault(row, place)
        return first

    def read(self) -> None:
        """Read the files that came since; delete those that are damaged, with a warning."""
        if self.stem is None:
            return
        for path in sorted(self.stem.parent.glob(f"{self.stem.name}-*.safetensors")):
            if path.name in self.files:
                continue
            if found := _read(path):
                self._append(found["hashes"], found["features"], path)
                continue
            message = explain(
                f"kept features `{path}`", expected="whole", found="damaged", hint="computing anew"
            )
            warnings.warn(message, stacklevel=4)
            path.unlink(missing_ok=True)

    def add(self, hashes: Sequence[bytes], features: Tensor, *, room: bool) -> _Kept:
        """Keep features, on disk where there is one; without room return a copy that has them."""
        names = torch.frombuffer(bytearray(b"".join(hashes)), dtype=torch.uint8).view(len(hashes), -1)
        if not room:
            more = _Kept(None)
            more.index, more.blocks = dict(self.index), list(self.blocks)
            more._append(names, features)
            return more
        if self.stem is None:
            self._append(names, features)
            return self
        data = sealed.pack({"hashes": names, "features": features})
        path = self.stem.with_name(f"{self.stem.name}-{sha256(data)}.safetensors")
        write_atomic(path, data)
        self._append(names, _mapped(path)["features"], path)
        return self

    def _append(self, names: Tensor, features: Tensor, path: Path | None = None) -> None:
        first = sum(map(len, self.blocks))
        self.index |= {row.tobytes(): first + i for i, row in enumerate(names.numpy())}
        self.blocks.append(features)
        if path is not None:
            self.files.add(path.name)

    def gather(self, hashes: Sequence[bytes], length: Sequence[int]) -> Tensor:
        """Copy the features of rows that are kept; those at tokens with the padding of rows so long."""
        numbers = torch.tensor([self.index[row] for row in hashes])
        one, first = self.blocks[0][0], 0
        shape = (*length, one.shape[1]) if one.ndim == 2 else one.shape
        features = _zeros((len(hashes), *shape), one.dtype)
        for block in self.blocks:
            here = (numbers >= first) & (numbers < first + len(block))
            features[here, : block.shape[1]] = block[numbers[here] - first]
            first += len(block)
        return features


class _Hashes:
    """Remember the hashes of the rows of tensors while these are alive and unchanged."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], tuple[list[weakref.ref[Tensor]], list[int], list[bytes]]] = {}

    def of(self, parts: Sequence[Tensor]) -> list[bytes]:
        """Hash the rows of one or several tensors side by side."""
        if any(part.is_inference() for part in parts):  # whose changes are not counted
            return _hashes(parts)
        name, versions = tuple(map(id, parts)), [part._version for part in parts]
        if name in self._known:
            alive, then, hashes = self._known[name]
            if then == versions and all(ref() is part for ref, part in zip(alive, parts, strict=True)):
                return hashes
        hashes = _hashes(parts)
        alive = [weakref.ref(part, lambda _: self._known.pop(name, None)) for part in parts]
        self._known[name] = alive, versions, hashes
        return hashes


def _hashes(parts: Sequence[Tensor]) -> list[bytes]:
    table = [as_bytes(part.reshape(len(part), -1)) for part in parts]
    return [hashlib.sha256(row).digest() for row in torch.cat(table, 1).numpy()]


def _read(path: Path) -> dict[str, Tensor] | None:
    """Map a file of features into memory; ``None`` if it is not whole."""
    try:
        with open(path, "rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == path.stem.rpartition("-")[2]
        return _mapped(path) if whole else None
    except OSError:
        return None


def _mapped(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _size(count: int) -> str:
    """Write a number of bytes with its unit."""
    size, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.3g} {units[0]}"


def _forward(
    net: Net, x: X, bounds: Sequence[int], task: str | None, precision: str, progress: bool | None
) -> Tensor:
    def features(part: X) -> Tensor:
        return net.features(part, task)

    return mapped(features, net, x, bounds, precision=precision, progress=progress, title="features")


def _forward_alike(
    net: Net, x: X, batch: int, task: str | None, precision: str, progress: bool | None
) -> Tensor:
    """Forward rows in groups of nearly equal size, so that none is so small that its numbers differ."""
    count = rows(x)
    filled = max(count, FEWEST)
    groups = -(-filled // max(batch, FEWEST))
    places = [filled * i // groups for i in range(groups + 1)]
    if filled > count:
        x = take(x, torch.arange(filled).clamp(max=count - 1))
    return _forward(net, x, places, task, precision, progress)[:count]


def _narrowed(net: Net, x: X, task: str | None, precision: str) -> list[tuple[Tensor, X]]:
    """Divide rows whose features are at tokens by their length, doubling by doubling, and cut them to it.

    Returns:
        numbers of rows, and these; all rows as they are where their features are none of tokens.
    """
    count = lengths(x) if net.at_places(task) else None
    if count is None or not _minds_no_padding(net, x, count, task, precision):
        return [(torch.arange(rows(x)), x)]
    assert isinstance(x, Tensor)  # it has lengths
    doublings = count.clamp(min=1).double().log2().ceil()
    each = [(doublings == d).nonzero()[:, 0] for d in doublings.unique()]
    return [(at, x[at, : _used(x[at])]) for at in each]


def _minds_no_padding(net: Net, x: X, count: Tensor, task: str | None, precision: str) -> bool:
    """Tell, by the shortest row, whether features stay without the padding, and are 0 where it was."""
    row = take(x, count.argmin()[None])
    assert isinstance(row, Tensor)  # it has lengths
    used = _used(row)
    try:
        whole, short = (_forward(net, some, [0, 1], task, precision, False) for some in (row, row[:, :used]))
    except (RuntimeError, ValueError, IndexError):  # it wants rows of one length
        return False
    tolerance = 1e-4 * float(whole.abs().max())
    return not whole[:, used:].any() and torch.allclose(whole[:, :used], short, atol=tolerance)


def _used(x: Tensor) -> int:
    """Count the columns up to the last that is no padding in all rows; at least 1."""
    return 1 + int((x != 0).any(0).nonzero().max()) if x.any() else 1


def _zeros(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Make zeros that take no memory until something is written to them."""
    bytes_ = numpy.zeros(math.prod(shape) * dtype.itemsize, numpy.uint8)
    return torch.from_numpy(bytes_).view(dtype).view(*shape)


def check_frozen(backbone: nn.Module) -> None:
    """Raise ``ValueError`` where the features of a backbone may be others at the next call."""
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
