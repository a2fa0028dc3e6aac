"""Tables of which most numbers are 0, held by the others alone: counts of words.

Shapes: ``B`` rows, ``D`` columns, ``Z`` numbers that are held.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ..errors import wrong

aten = torch.ops.aten
SAME = (aten.detach.default, aten.alias.default, aten.clone.default, aten.lift_fresh.default)


class Thin(Tensor):
    """Hold a table by its numbers other than 0; a batch of it becomes dense when something reckons with it.

    It is a tensor of shape ``(B, D)``. Rows that are taken, slices, joined tables and copies of another type
    or to another device stay thin; whatever else PyTorch does with one, it does with a dense copy of its
    rows. So a net is given the dense rows of one batch at a time. ``Labelled`` and ``Inputs`` make it of a
    sparse matrix, whose memory it shares; it is never written to.

    Raises:
        RuntimeError: if something would write to it.

    Args:
        starts: place in ``columns`` where each row begins, and where the last ends, ``(B + 1,)``.
        columns: of each number, ``(Z,)``, each at most once in a row.
        values: the numbers, ``(Z,)``.
        width: ``D``.

    Example:
        >>> from scipy.sparse import csr_matrix
        >>> rows = thin(csr_matrix([[0, 2.0], [1, 0], [0, 0]]))
        >>> rows.shape, type(rows[:2]).__name__, rows @ torch.eye(2, dtype=torch.float64)[0]
        (torch.Size([3, 2]), 'Thin', tensor([0., 1., 0.], dtype=torch.float64))
    """

    starts: Tensor
    columns: Tensor
    numbers: Tensor

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __new__(cls, starts: Tensor, columns: Tensor, values: Tensor, width: int) -> Self:
        """Make a tensor without memory of its own."""
        size = (len(starts) - 1, width)
        made = Tensor._make_wrapper_subclass(cls, size, dtype=values.dtype, device=values.device)
        made.starts, made.columns, made.numbers = starts, columns, values
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do what keeps rows thin with them as they are, and all else with dense ones."""
        kwargs, first = kwargs or {}, args[0] if args else None
        if isinstance(first, Thin):
            if func in SAME:
                return first._with(first.numbers)
            if func is aten._to_copy.default:
                return first._copied(**kwargs)
            if func is aten.index.Tensor and len(args[1]) == 1 and args[1][0].ndim == 1:
                return first.gathered(args[1][0])
            if func is aten.index_select.default and args[1] in (0, -2):
                return first.gathered(args[2])
            if func is aten.slice.Tensor and (len(args) < 2 or args[1] == 0):
                return first._slice(*args[2:])
            if func is aten.split.Tensor and (len(args) < 3 or args[2] == 0):
                return [first._slice(i, i + args[1]) for i in range(0, len(first), args[1])]
            if func is aten.sum.default and not kwargs:
                return first.numbers.sum()
            if func._schema.is_mutable:
                raise _read_alone(str(func))
        if func is aten.cat.default and (len(args) < 2 or args[1] == 0) and _alike(some := args[0]):
            return _joined(some)
        return func(*_dense(args), **_dense(kwargs))

    def _with(self, values: Tensor) -> Thin:
        return Thin(self.starts, self.columns, values, self.shape[1])

    def _copied(self, *, dtype: Any = None, device: Any = None, **other: Any) -> Thin:
        starts, columns = self.starts.to(device), self.columns.to(device)
        return Thin(starts, columns, self.numbers.to(device=device, dtype=dtype), self.shape[1])

    def _slice(self, start: int | None = None, end: int | None = None, step: int = 1) -> Thin:
        first, last, _ = slice(start, end).indices(len(self))
        if step != 1:
            return self.gathered(torch.arange(first, last, step, device=self.device))
        starts = self.starts[first : max(first, last) + 1]
        at = slice(int(starts[0]), int(starts[-1]))
        return Thin(starts - starts[0], self.columns[at], self.numbers[at], self.shape[1])

    def gathered(self, index: Tensor) -> Thin:
        """Gather rows ``index (b,)``, numbers or a mask."""
        index = index.to(self.starts.device)
        if index.dtype == torch.bool:
            index = index.nonzero().flatten()
        index = torch.where(index < 0, index + len(self), index)
        first, counts = self.starts[index], self.starts[index + 1] - self.starts[index]
        starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        at = torch.arange(int(starts[-1]), device=counts.device)
        at = at + torch.repeat_interleave(first - starts[:-1], counts)
        return Thin(starts, self.columns[at], self.numbers[at], self.shape[1])

    def to_dense(self, *args: Any, **kwargs: Any) -> Tensor:
        """Write all numbers out, ``(B, D)``."""
        counts = self.starts.diff()
        row = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
        out = self.numbers.new_zeros(self.shape)
        out[row, self.columns] = self.numbers
        return out

    def numpy(self, *args: Any, **kwargs: Any) -> np.ndarray:
        """Write all numbers out as an array."""
        return self.to_dense().numpy(*args, **kwargs)

    def tolist(self) -> Any:
        """Write all numbers out as lists."""
        return self.to_dense().tolist()

    @property
    def nbytes(self) -> int:  # type: ignore[override]
        """Bytes that are held."""
        return sum(part.nbytes for part in (self.starts, self.columns, self.numbers))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise _read_alone("set items")

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return self.to_dense().__array__(*args, **kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Thin, (self.starts, self.columns, self.numbers, self.shape[1])

    def __deepcopy__(self, memo: Any) -> Thin:
        return Thin(self.starts, self.columns, self.numbers.clone(), self.shape[1])

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"Thin({len(self)} rows of {self.shape[1]} numbers, {len(self.numbers)} of them held)"


def _read_alone(found: str) -> Exception:
    hint = "write to `x.to_dense()`"
    return wrong("thin rows", expected="only read", found=found, hint=hint, error=RuntimeError)


def _dense(value: Any) -> Any:
    """Write out what is thin, within lists and mappings too."""
    if isinstance(value, Thin):
        return value.to_dense()
    if isinstance(value, list | tuple):
        return type(value)(_dense(one) for one in value)
    return {key: _dense(one) for key, one in value.items()} if isinstance(value, dict) else value


def _alike(some: Sequence[Tensor]) -> bool:
    return all(isinstance(one, Thin) for one in some) and len({one.shape[1] for one in some}) == 1


def _joined(some: Sequence[Thin]) -> Thin:
    ends = torch.tensor([0, *(len(one.columns) for one in some)]).cumsum(0).tolist()
    starts = [one.starts[i > 0 :] + ends[i] for i, one in enumerate(some)]
    columns, values = (
        torch.cat(parts) for parts in zip(*((o.columns, o.numbers) for o in some), strict=True)
    )
    return Thin(torch.cat(starts), columns, values, some[0].shape[1])


def thin(matrix: Any, what: str = "`x`") -> Thin:
    """Take a sparse matrix of SciPy or PyTorch, of two axes, as rows; memory is shared where it can be.

    Whole numbers become float32: counts of words, which are no numbers of words.

    Raises:
        TypeError: if the numbers are complex, or there are other axes than two.

    Example:
        >>> thin(torch.eye(3).to_sparse()).shape
        torch.Size([3, 3])
    """
    if len(matrix.shape) != 2 or "complex" in str(matrix.dtype):
        expected, found = "a table of real numbers", f"{matrix.dtype} of shape {tuple(matrix.shape)}"
        raise wrong(what, expected=expected, found=found, error=TypeError)
    if isinstance(matrix, Tensor):
        if matrix.layout == torch.sparse_csr:
            starts, columns, values = matrix.crow_indices(), matrix.col_indices(), matrix.values()
        else:
            coo = matrix.detach().to_sparse_coo().coalesce()
            (row, columns), values = coo.indices(), coo.values()
            starts = torch.searchsorted(row.contiguous(), torch.arange(len(matrix) + 1, device=row.device))
        return Thin(starts.long(), columns, _floats(values.detach()), matrix.shape[1])
    found = matrix.tocsr()
    if not found.has_canonical_format:
        found = found.copy()
        found.sum_duplicates()
    starts, columns, values = (
        torch.from_numpy(part if part.flags.writeable else part.copy())
        for part in (found.indptr, found.indices, found.data)
    )
    return Thin(starts.long(), columns, _floats(values), found.shape[1])


def _floats(values: Tensor) -> Tensor:
    return values if values.is_floating_point() else values.float()


def is_sparse(value: Any) -> bool:
    """Tell whether a value is a sparse matrix of SciPy or PyTorch."""
    if isinstance(value, Tensor):
        return value.layout != torch.strided
    return hasattr(value, "tocsr") and hasattr(value, "nnz")
