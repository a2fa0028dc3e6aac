"""What judges a net for a target without labels: its settings are chosen by it, and what is recommended.

Each takes class probabilities of the target's bare rows, those of held-out source rows with their classes,
which part of the bare rows lie outside of the source's where the net's last layer reads them, and how many
times as common each class is in the target, or None where it is taken to be as common; higher is better.
``DEFAULT`` did best in ``benchmarks/quality/validators``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from ..measure import bnm, certainty, corr_c, information, snd, sound, source_risk

DEFAULT = "sound"
LABELS = "labels"  # the target's own ``valid`` rows: asked for by name alone
WEIGHTED = "weighted_risk"  # on held-out rows that are drawn as often as the target has rows like them
VALIDATORS: Mapping[str, Callable[[Tensor, Tensor, Tensor, float, Tensor | None], float]] = {
    "sound": sound,
    "source_risk": lambda bare, held, y, outside, ratio: source_risk(held, y),
    WEIGHTED: lambda bare, held, y, outside, ratio: source_risk(held, y),
    "information": lambda bare, held, y, outside, ratio: information(bare),
    "certainty": lambda bare, held, y, outside, ratio: certainty(bare),
    "bnm": lambda bare, held, y, outside, ratio: bnm(bare),
    "snd": lambda bare, held, y, outside, ratio: snd(bare),
    "corr_c": lambda bare, held, y, outside, ratio: corr_c(bare),
}
SEEING = ("sound", "source_risk", WEIGHTED)  # those that see what a net has lost of the source
LOOKING = ("sound",)  # those that ask which part of the bare rows lie outside of the source's
