"""What a problem file's data become: which columns are inputs, and what no data can be."""

from pathlib import Path

import pytest
import torch

from headstart.strategies.files import load_problem


def problem(path: Path, target: str, *sources: str):  # type: ignore[no-untyped-def]
    file = path / "problem.toml"
    tables = "".join(f'[[sources]]\ndata = "{s}"\n' for s in sources)
    file.write_text(f'[target]\ndata = "{target}"\n{tables}')
    return load_problem(file).problem()


def people(path: Path) -> None:
    rows = "".join(
        f"{20 + i},{['cook', 'clerk'][i % 2]},{'ny'[i % 3 == 0]},{'hl'[i % 2]}\n" for i in range(24)
    )
    (path / "two.csv").write_text(f"age,job,married,income\n{rows}")


@pytest.mark.parametrize("other", ["two.csv", "copy.csv"])
def test_no_label_of_a_reference_is_an_input_of_another(tmp_path: Path, other: str) -> None:
    people(tmp_path)
    (tmp_path / "copy.csv").write_text((tmp_path / "two.csv").read_text())
    posed = problem(tmp_path, "csv:two.csv#income", f"csv:{other}#married", f"csv:{other}#job,income")
    for task in (posed.target, *posed.sources):
        assert list(task.encoding["features"]) == ["age"]  # type: ignore[index]
        assert task.train.x.shape[1] == 1  # type: ignore[union-attr]


def test_other_columns_stay_inputs(tmp_path: Path) -> None:
    people(tmp_path)
    posed = problem(tmp_path, "csv:two.csv#income")
    assert list(posed.target.encoding["features"]) == ["age", "job", "married"]  # type: ignore[index,arg-type]
    assert torch.equal(posed.target.train.x[:, 3:].sum(1), torch.ones(len(posed.target.train)))
