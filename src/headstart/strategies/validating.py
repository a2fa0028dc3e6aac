"""What judges a net for a target without labels: its settings are chosen by it, and what is recommended.

Each takes class probabilities of the target's bare rows, and of held-out source rows with their classes;
higher is better. ``DEFAULT`` did best in ``benchmarks/quality/validators``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from ..measure import certainty, corr_c, information, snd, sound, source_risk

DEFAULT = "sound"
LABELS = "labels"  # the target's own ``valid`` rows: asked for by name alone
VALIDATORS: Mapping[str, Callable[[Tensor, Tensor, Tensor], float]] = {
    "sound": sound,
    "source_risk": lambda bare, held, y: source_risk(held, y),
    "information": lambda bare, held, y: information(bare),
    "certainty": lambda bare, held, y: certainty(bare),
    "snd": lambda bare, held, y: snd(bare),
    "corr_c": lambda bare, held, y: corr_c(bare),
}
SEEING = ("sound", "source_risk")  # those that see what a net has lost of the source; the others need a guard
