"""Gradient steps on all episodes of a step at once, for nets that are chains of known layers.

Where ``torch.func.vmap`` rewrites every operation, here the task axis is part of the layout: rows are
``(T, N, D)`` and images ``(N, T*C, H, W)``. So a layer with a weight for each task is one batched product or
one grouped convolution, and batch norm over tasks and channels is the plain one.
"""

from .descent import Folded, folded

__all__ = ["Folded", "folded"]
