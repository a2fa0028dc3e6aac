"""Gradient steps on all episodes of a step at once, for nets that are chains of known layers.

Where ``torch.func.vmap`` rewrites every operation, here the task axis is part of the layout: rows are
``(T, N, D)`` and maps ``(T, N, H, W, C)``. So a layer with a weight for each task is a batched product, of
windows where it is a convolution, and batch norm adds up over what lies between tasks and channels.
"""

from .descent import Folded, folded

__all__ = ["Folded", "folded"]
