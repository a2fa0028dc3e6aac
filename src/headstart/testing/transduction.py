"""The check of methods that answer all query rows together."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from ..models import Net
from ..seams import Transduction
from ..tasks import Inputs, Labelled
from ._common import close, in_float64, name_of, pickled, require, require_type, same, untouched


def check_transduction(method: Transduction, net: Net, support: Labelled, query: Inputs) -> None:
    """Check that a method keeps the contract of its seam.

    It returns finite logits for the query rows, twice the same, without a graph and whatever the order of
    the rows; leaves the rows, the net's weights, buffers and mode, and every global random state alone; and
    works in float64 and through pickle.

    Args:
        method: any value of the signature ``(net, support, query)``.
        net: a net that fits it.
        support: rows to learn from.
        query: rows to answer.

    Raises:
        AssertionError: if the contract is broken; the message says how.

    Example:
        >>> from headstart.meta import TIM
        >>> rows = Labelled(torch.randn(6, 3), torch.arange(6) % 2)
        >>> net = Net(torch.nn.Linear(3, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> check_transduction(TIM("coins"), net, rows, rows.inputs())
    """
    name = name_of(method)
    require(method.transductive is True, f"{name} does not say that it is transductive")
    modes = [module.training for module in net.modules()]
    with untouched(name, support, query, net.state_dict()):
        logits = method(net, support, query)
    require(modes == [module.training for module in net.modules()], f"{name} changes the mode of the net")
    require_type(logits, Tensor, f"what {name} returns")
    require(len(logits) == len(query), f"{name} gives {len(logits)} rows for {len(query)}")
    require(logits.isfinite().all(), f"{name} gives logits that are not finite")
    require(not logits.requires_grad, f"{name} gives logits with a graph")
    require(same(logits, method(net, support, query)), f"{name} answers differently when called again")

    order = torch.arange(len(query)).flip(0)
    require(
        close(method(net, support, query.take(order)), logits[order]), f"{name} depends on the order of rows"
    )
    wide = method(copy.deepcopy(net).double(), in_float64(support), in_float64(query))
    require(wide.dtype == torch.float64, f"{name} gives {wide.dtype} in float64")
    require(close(wide, logits), f"{name} answers differently in float64")
    sent = pickled(name, method)
    require(close(sent(net, support, query), logits), f"{name} answers differently after pickling")
