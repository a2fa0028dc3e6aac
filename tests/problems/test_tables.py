"""Tables of a problem that differ: the columns they share, labels of one kind, one division of one file."""

import random
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from headstart.cli import main
from headstart.comparison import Problem
from headstart.problems import load_problem
from headstart.strategies import STRATEGIES
from headstart.tasks import Labelled, Multiclass, Regression, Task

LABEL = ("a", "b")


def table(path: Path, *columns: str, rows: int = 40, seed: int = 0) -> None:
    """Write columns of noise, of which ``y`` and what begins with it are labels."""
    rng = random.Random(seed)
    lines = [
        ",".join(LABEL[i % 2] if c.startswith("y") else f"{rng.random():.6f}" for c in columns)
        for i in range(rows)
    ]
    path.write_text("\n".join([",".join(f'"{c}"' for c in columns), *lines]) + "\n")


def problem(folder: Path, text: str) -> Problem:
    (folder / "p.toml").write_text(text)
    return load_problem(folder / "p.toml").problem()


def two(folder: Path, target: str = "csv:t.csv#y", source: str = "csv:s.csv#y", more: str = "") -> Problem:
    return problem(folder, f'{more}\n[target]\ndata = "{target}"\n[[sources]]\ndata = "{source}"\n')


def features(task: Task) -> list[str]:
    return list(task.encoding.features)  # type: ignore[union-attr]


# Columns.


def test_tables_are_read_by_the_columns_that_they_share(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "Größe (cm)", "g", "y")
    table(tmp_path / "s.csv", "extra", "g", "f", "y", seed=1)
    with pytest.warns(UserWarning, match="left out of the other tables too") as told:
        posed = two(tmp_path)
    assert {str(w.message) for w in told} == {
        '`s.csv` has no column "Größe (cm)"; left out of the other tables too',
        '`t.csv` has no column "extra"; left out of the other tables too',
    }
    assert features(posed.target) == features(posed.sources[0]) == ["f", "g"]
    assert posed.target.train.x.shape[1] == posed.sources[0].train.x.shape[1] == 2  # type: ignore[union-attr]


def test_rows_do_not_depend_on_where_the_columns_that_are_left_out_stand(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "g", "y")
    table(tmp_path / "s.csv", "f", "g", "y", seed=1)
    plain = two(tmp_path)
    for name, extra in (("t.csv", "only here"), ("s.csv", "only there")):
        lines = (tmp_path / name).read_text().splitlines()
        wide = [f"{extra if i == 0 else i},{line}" for i, line in enumerate(lines)]
        (tmp_path / name).write_text("\n".join(wide))
    with pytest.warns(UserWarning, match="left out of the other tables too"):
        other = two(tmp_path)
    for ours, theirs in zip((plain.target, *plain.sources), (other.target, *other.sources), strict=True):
        assert torch.equal(ours.train.x, theirs.train.x)  # type: ignore[arg-type, union-attr]


OWN = 'target.data = "csv:t.csv#y"\nsources = [{data = "csv:s.csv#y", name = "s", columns = "own"}]\n'


def test_a_source_may_keep_columns_of_its_own(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "g", "y")
    table(tmp_path / "s.csv", "extra", "g", "id", "y", seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no column is left out
        posed = problem(tmp_path, OWN.replace('"own"', '"own", drop = ["id"]'))
    (source,) = posed.unlike
    assert posed.sources == ()
    assert (features(posed.target), features(source)) == (["f", "g"], ["g", "extra"])
    shared = [task.encoding.features["g"] for task in (posed.target, source)]  # type: ignore[union-attr]
    assert shared[0] == shared[1]  # in the target's units
    assert STRATEGIES["joint+space"].needs(posed) == STRATEGIES["shared+logreg"].needs(posed) == ""
    (tmp_path / "s.csv").write_text((tmp_path / "s.csv").read_text().replace("extra", "f"))
    alike = problem(tmp_path, OWN.replace('"own"', '"own", drop = ["id"]'))
    assert [task.name for task in alike.sources] == ["s"]  # it has the target's very columns
    assert features(alike.sources[0]) == ["f", "g"]


def test_columns_of_its_own_are_for_other_tables_alone(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "g", "y")
    with pytest.raises(ValueError, match=r'columns = "own"` should be left out for the target\'s own file'):
        problem(tmp_path, OWN.replace("s.csv", "t.csv"))
    with pytest.raises(ValueError, match='given for tables of files only; found beside "digits:0-4"'):
        problem(tmp_path, OWN.replace("csv:s.csv#y", "digits:0-4"))
    with pytest.raises(ValueError, match='should be "shared", or "own" to keep columns'):
        problem(tmp_path, OWN.replace('"own"', '"all"'))


def test_tables_without_a_common_column_are_told_of_it(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "y")
    table(tmp_path / "s.csv", "g", "y", seed=1)
    with pytest.raises(ValueError, match='or write columns = "own" beside the source'):
        problem(tmp_path, OWN.replace(', columns = "own"', ""))
    posed = problem(tmp_path, OWN)
    assert STRATEGIES["joint+space"].needs(posed) == ""
    assert STRATEGIES["shared+logreg"].needs(posed).startswith("no source with other columns shares one")
    with pytest.raises(ValueError, match="since no row of that has a label"):
        problem(tmp_path, OWN + 'target.labels = "none"')


def test_a_run_with_another_tables_columns_predicts_new_files(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "g", "y")
    table(tmp_path / "s.csv", "extra", "g", "y", seed=1)
    more = '[fit]\nstrategy = "joint+space"\n[budget]\nsteps = 2\n'
    (tmp_path / "p.toml").write_text(
        OWN.replace("target.data", "[target]\ndata")
        .replace("sources = [{", "[[sources]]\n")
        .replace("}]", "")
        .replace(", ", "\n")
        + more
    )
    assert main(["fit", str(tmp_path / "p.toml"), "--out", str(tmp_path / "run")]) == 0
    out = str(tmp_path / "said.csv")
    assert main(["predict", str(tmp_path / "run/model"), str(tmp_path / "t.csv"), "-o", out]) == 0
    assert len(Path(out).read_text().splitlines()) == 41


def test_of_three_tables_what_all_share_is_read(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "g", "h", "y")
    table(tmp_path / "s.csv", "f", "g", "y")
    table(tmp_path / "r.csv", "h", "f", "other", "yes")
    with pytest.warns(UserWarning, match="left out of the other tables too") as told:
        posed = problem(
            tmp_path,
            'sources = [{data = "csv:s.csv#y"}, {data = "csv:r.csv#yes"}]\ntarget.data = "csv:t.csv#y"',
        )
    assert {str(w.message).split(";")[0] for w in told} == {
        '`t.csv` has no column "other"',
        '`s.csv` has no columns "h", "other"',
        '`r.csv` has no column "g"',
    }
    assert [features(t) for t in (posed.target, *posed.sources)] == [["f"]] * 3


def test_tables_of_other_formats_share_columns_too(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "g", "y")
    lines = [f'{{"f": {i / 7}, "y": "{LABEL[i % 2]}"}}' for i in range(20)]
    (tmp_path / "s.jsonl").write_text("\n".join(lines))
    with pytest.warns(UserWarning, match='`s.jsonl` has no column "g"'):
        posed = two(tmp_path, source="jsonl:s.jsonl#y")
    assert features(posed.target) == features(posed.sources[0]) == ["f"]


def test_labels_groups_and_the_split_are_no_columns_to_share(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "yes", rows=40)
    lines = ["f,who,split,y", *(f"{i / 7},{i // 4},train,{LABEL[i % 2]}" for i in range(40))]
    (tmp_path / "s.csv").write_text("\n".join(lines))
    posed = problem(
        tmp_path,
        '[target]\ndata = "csv:t.csv#yes"\n[[sources]]\ndata = "csv:s.csv#y"\nsplit.group = "who"\n',
    )
    assert features(posed.target) == features(posed.sources[0]) == ["f"]
    lines = ["f,who,yes", *(f"{i / 7},{i // 4},{LABEL[i % 2]}" for i in range(40))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    assert features(load_problem(tmp_path / "p.toml").problem().target) == ["f"]


def test_tables_that_share_no_column_are_refused(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "g", "y")
    table(tmp_path / "s.csv", "F", "y")
    message = (
        "with at least one column in common beside labels; found `t.csv` with f, g; `s.csv` with F; give"
    )
    with pytest.raises(ValueError, match=message):
        two(tmp_path)


def test_a_table_beside_no_other_is_read_whole(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "g", "y")
    assert features(problem(tmp_path, 'target.data = "csv:t.csv#y"').target) == ["f", "g"]


def test_the_text_of_texts_need_not_have_one_name(tmp_path: Path) -> None:
    for name, column in (("t", "review"), ("s", "text")):
        lines = [f"{'good' if i % 2 else 'bad'} film {i},{LABEL[i % 2]}" for i in range(20)]
        (tmp_path / f"{name}.csv").write_text("\n".join([f"{column},y", *lines]))
    posed = two(tmp_path, "text:t.csv#y", "text:s.csv#y")
    assert posed.sources[0].encoding.column == "text"  # type: ignore[union-attr]


@pytest.mark.parametrize("where", ["target", "sources"])
def test_columns_may_be_dropped_from_all(tmp_path: Path, where: str) -> None:
    table(tmp_path / "t.csv", "id", "f", "g", "y")
    table(tmp_path / "s.csv", "id", "f", "g", "y", seed=1)
    drop = {"target": "", "sources": "", where: 'drop = ["id", "g"]'}
    posed = problem(
        tmp_path,
        f'[target]\ndata = "csv:t.csv#y"\n{drop["target"]}\n'
        f'[[sources]]\ndata = "csv:s.csv#y"\n{drop["sources"]}\n',
    )
    assert features(posed.target) == features(posed.sources[0]) == ["f"]


def test_a_column_to_drop_that_is_nowhere_is_named(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "customer_id", "f", "y")
    with pytest.raises(ValueError, match=r'found "costumer_id"; did you mean "customer_id"\?'):
        problem(tmp_path, '[target]\ndata = "csv:t.csv#y"\ndrop = ["costumer_id"]')
    with pytest.raises(
        ValueError, match=r'`drop` should be given for tables and text only; found .* "digits"'
    ):
        problem(tmp_path, '[target]\ndata = "digits"\ndrop = ["id"]')


# Scales.


def test_a_column_of_one_value_in_the_target_leaves_sources_of_order_one(tmp_path: Path) -> None:
    rng = random.Random(0)
    for name, age in (("t", lambda i: 30), ("s", lambda i: 30 + i % 60)):
        lines = [f"{age(i)},{rng.random():.6f},{LABEL[i % 2]}" for i in range(120)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["age,f,y", *lines]))
    with pytest.warns(UserWarning, match="`.*t.csv`: column `age` left out: one value in all training rows"):
        posed = two(tmp_path)
    assert float(posed.sources[0].train.x.abs().max()) < 5  # type: ignore[union-attr]


# Labels.


def numbers(path: Path, values: list[int]) -> None:
    path.write_text("\n".join(["f,y", *(f"{i / 7},{v}" for i, v in enumerate(values))]))


def test_sources_of_the_target_s_label_are_of_its_kind(tmp_path: Path) -> None:
    numbers(tmp_path / "t.csv", [i % 5 for i in range(50)])
    numbers(tmp_path / "s.csv", [i % 30 * 3 for i in range(90)])
    posed = two(tmp_path)  # no word: nothing is inferred of the source
    assert posed.target.kind == Multiclass(range(5))
    assert posed.sources[0].kind == Multiclass(range(0, 90, 3))
    with pytest.warns(UserWarning, match="30 different whole numbers, taken as numbers"):
        posed = two(tmp_path, "csv:s.csv#y", "csv:t.csv#y")
    assert posed.target.kind == posed.sources[0].kind == Regression()


def test_what_a_source_says_of_its_labels_holds(tmp_path: Path) -> None:
    numbers(tmp_path / "t.csv", [i % 5 for i in range(50)])
    numbers(tmp_path / "s.csv", [i % 5 for i in range(50)])
    posed = problem(
        tmp_path, '[target]\ndata = "csv:t.csv#y"\n[[sources]]\ndata = "csv:s.csv#y"\nkind = "numbers"\n'
    )
    assert posed.sources[0].kind == Regression()


# Parts.


def rows(part: Labelled | None) -> set[tuple[float, ...]]:
    return set() if part is None else {tuple(row) for row in part.x.tolist()}  # type: ignore[union-attr]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("split", ["", 'split.group = "who"', "split.stratify = false", "split.valid = 0.2"])
def test_one_file_is_divided_once(tmp_path: Path, seed: int, split: str) -> None:
    rng = random.Random(seed)
    names = ("f", "g", "who", "toxic", "flammable", "halflife")
    lines = [
        f"{rng.random():.9f},{rng.random():.9f},{i // 3},{rng.choice('ab')},"
        f"{rng.choice(['yes', 'no', ''])},{rng.choice([str(rng.random()), ''])}"
        for i in range(120)
    ]
    (tmp_path / "m.csv").write_text("\n".join([",".join(names), *lines]))
    (tmp_path / "sub").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # also that of test rows among the training rows of a source
        posed = problem(
            tmp_path,
            f'[target]\ndata = "csv:m.csv#toxic"\nsplit.seed = {seed}\n{split}\n'
            '[[sources]]\ndata = "csv:m.csv#flammable,halflife"\n'
            '[[sources]]\ndata = "csv:./sub/../m.csv#flammable"\nname = "again"\nsplit.seed = 7\n',
        )
        posed.check()
    held = rows(posed.target.test)  # type: ignore[arg-type]
    assert len(held) == 24 or "group" in split
    for source in posed.sources:
        assert not held & rows(source.train)  # type: ignore[arg-type]
        assert rows(source.test) == held  # type: ignore[arg-type]
        assert rows(source.train) == rows(posed.target.train)  # type: ignore[arg-type]


def test_targets_of_one_file_are_divided_alike(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "g", "y", "yes", rows=50)
    posed = problem(
        tmp_path,
        'targets = [{data = "csv:t.csv#y"}, {data = "csv:t.csv#yes", split = {seed = 5, test = 0.4}}]',
    )
    one, other = posed.targets
    assert torch.equal(one.test.x, other.test.x)  # type: ignore[arg-type, union-attr]


def test_one_archive_is_divided_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", x=rng.normal(size=(60, 3)), y=np.arange(60) % 3, z=rng.normal(size=60))
    posed = two(tmp_path, "npz:a.npz#x,y", "npz:a.npz#x,z")
    assert rows(posed.target.test) == rows(posed.sources[0].test)  # type: ignore[arg-type]
    assert not rows(posed.target.test) & rows(posed.sources[0].train)  # type: ignore[arg-type]


def test_a_source_keeps_all_of_its_rows_unless_it_says_otherwise(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "y")
    table(tmp_path / "s.csv", "f", "y", seed=1)
    (source,) = two(tmp_path).sources
    assert (len(source.train), source.test) == (40, None)
    for split, test in (("split.seed = 3", None), ("split.test = 0.25", 10), ("split.valid = 0.25", None)):
        text = f'[target]\ndata = "csv:t.csv#y"\n[[sources]]\ndata = "csv:s.csv#y"\n{split}\n'
        (source,) = problem(tmp_path, text).sources
        assert (len(source.test) if source.test else None) == test
        assert len(source.train) == (40 if "seed" in split else 30)


def test_a_set_that_comes_divided_stays_so(tmp_path: Path) -> None:
    posed = two(tmp_path, "digits:5-9", "digits:0-4")
    assert len(posed.sources[0].test) == 361  # type: ignore[arg-type]


def test_rows_of_a_division_have_to_be_those_of_the_data() -> None:
    from headstart.datasets.splits import SplitSpec, divide

    spec = SplitSpec(rows={"train": torch.arange(3), "test": torch.arange(3, 5)})
    assert divide(spec, 5) is spec.rows
    with pytest.raises(ValueError, match=re.escape("should be those of all 6 rows; found 5 rows")):
        divide(spec, 6)


BARE = 'target = {data = "csv:t.csv#y", labels = "none"}\nsources = [{data = "csv:s.csv#y"}]\n'


def test_where_labels_only_judge_every_labelled_row_is_a_test_row(tmp_path: Path) -> None:
    table(tmp_path / "s.csv", "f", "y", seed=1)
    rows = [f"{k / 30:.3f},{LABEL[k % 2] if k < 8 else ''}" for k in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["f,y", *rows]) + "\n")
    posed = problem(tmp_path, BARE)
    assert posed.target.test is not None
    assert posed.target.unlabelled is not None
    assert (len(posed.target.test), len(posed.target.unlabelled), len(posed.target.train)) == (8, 22, 0)
    asked = problem(tmp_path, BARE.replace('"none"}', '"none", split = {test = 0.5}}'))
    assert asked.target.test is not None
    assert len(asked.target.test) == 15  # as the file says


def test_a_table_without_the_label_says_where_it_goes(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "f", "g")
    table(tmp_path / "s.csv", "f", "g", "y", seed=1)
    with pytest.raises(
        ValueError, match='column "y", the label, which is empty where a row has none; found no'
    ):
        problem(tmp_path, BARE)
