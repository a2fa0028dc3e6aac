"""What the Gramian weighings share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import wrong


def array(gramian: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Copy a Gramian to the processor in float64, or say what is wrong with it.

    K x K solvers take microseconds there and would wait for the device at every branch elsewhere.
    """
    if gramian.ndim != 2 or gramian.shape[0] != gramian.shape[1] or not len(gramian):
        raise wrong("`gramian`", expected="shape (K, K), K at least 1", found=tuple(gramian.shape))
    values = gramian.detach().to("cpu", torch.float64).numpy().copy()
    if not np.isfinite(values).all():
        raise wrong(
            "Gramian of the task gradients",
            expected="finite",
            found="infinity or NaN",
            hint="lower the step size",
            error=FloatingPointError,
        )
    return values
