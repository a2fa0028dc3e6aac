"""How long things may train: the same for every strategy, which is what makes a comparison fair."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import wrong

LEAST, MOST = 200, 2000  # steps, where the budget names none
PASSES = 10  # over the labelled rows


@dataclass(frozen=True)
class Budget:
    """Say how long things may train. Every strategy gets the same numbers.

    A comparison of ways of reuse is only as fair as its budget. So the steps on the target's own rows
    are counted over all phases of a strategy together, whatever it did before; what is spent on the
    sources (``pretrain``, ``meta``) is the same for all strategies that spend it; and every strategy
    may choose among equally many settings, judged on the same stand-ins for the test rows.

    What is not in the budget is the same for all as well, and stands in ``Trial.train``: AdamW, whose
    decay does not depend on the rate; its decay of 0.01, PyTorch's own default; and a one-cycle rate,
    which rises and falls to zero over the phase, so that no schedule has to be made for each length.
    Pretraining on the sources takes 64 rows a step at 3e-3, the rate that ``scratch`` states as its own.

    Args:
        steps: optimizer steps on the target's rows, over all phases of a strategy together. ``None`` takes
            ten passes over the trial's labelled rows, at least 200 steps and at most 2000 (``of``). 200
            steps of 32 rows pass over 100 rows sixty times. Where a target then has 2000 rows, a tenth of
            them is held out and the weights that did best on it are kept.
        pretrain: steps of supervised training on the sources, where no pretrained backbone is given;
            also those of a strategy that learns from the sources' labels alone.
        meta: steps of episodic training on the sources.
        episodes: episodes per such step.
        batch: rows per task and step.
        options: settings that each strategy may choose from, at most (its stated default is the first).
        repeats: pseudo-targets, or validation splits, that the settings are judged on.
        looks: times that a net which learns for a target without labels is looked at along the way. The
            ``validator`` of the problem then says which weights are left: the last, unless it trusted others
            more, by more than the standard error over eight folds. It must see the source (``"sound"``,
            ``"source_risk"``, ``"weighted_risk"``) or be ``"labels"``. A tenth of the source's labelled rows
            is held out for it, where every class has 20. 0 leaves the last weights: rates fall to 0 over the
            steps, and early weights are seldom better.

    Raises:
        ValueError: if a number is below 1, or ``looks`` below 0.

    Example:
        >>> Budget(steps=50).pretrain
        1000
    """

    steps: int | None = None
    pretrain: int = 1000
    meta: int = 100
    episodes: int = 8
    batch: int = 32
    options: int = 3
    repeats: int = 2
    looks: int = 0

    def of(self, rows: int) -> int:
        """Say how many steps a trial with so many labelled rows takes.

        Few rows are seen often in 200 steps; many rows hold more than 200 steps take in. Small nets have
        learned most of what they will after ten passes; after 2000 steps a comparison of many trials would
        take days.

        Example:
            >>> [Budget().of(rows) for rows in (100, 640, 1600, 50_000)], Budget(steps=50).of(1600)
            ([200, 200, 500, 2000], 50)
        """
        if self.steps is not None:
            return self.steps
        return min(max(LEAST, PASSES * rows // self.batch), MOST)

    def facts(self) -> dict[str, int]:
        """Say how many steps a trial takes: the number that was given, or the rule."""
        if self.steps is not None:
            return {"given": self.steps}
        return {"passes": PASSES, "least": LEAST, "most": MOST}

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = int(name != "looks")
            if value is not None and value < least:
                raise wrong(f"`{name}` of the budget", expected=f"at least {least}", found=value)
