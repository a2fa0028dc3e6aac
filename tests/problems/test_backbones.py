"""Several backbones in a problem file."""

from pathlib import Path

import pytest
import torch

from headstart.problems import load_problem, load_run

HEAD = '[target]\ndata = "digits:5-9"\nshots = 1\n[[sources]]\ndata = "digits:0-4"\n'
TWO = '[[backbones]]\nname = "small"\nuse = "conv4"\nwidth = 4\n[[backbones]]\nname = "flat"\nuse = "mlp"\n'


def written(path: Path, text: str) -> Path:
    file = path / "problem.toml"
    file.write_text(text)
    return file


def test_each_is_read_with_its_own_settings(tmp_path: Path) -> None:
    problem = load_problem(written(tmp_path, HEAD + TWO)).problem()
    told = {name: (one.use, dict(one.settings)) for name, one in problem.backbones.items()}
    assert told == {"small": ("conv4", {"width": 4}), "flat": ("mlp", {})}
    changed = load_problem(written(tmp_path, HEAD + TWO), ["backbones.small.width=8"]).problem()
    assert changed.backbones["small"].settings == {"width": 8}


def test_a_single_run_names_its_backbone(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + TWO + '[fit]\nstrategy = "finetune@flat"\n')
    assert load_run(path).strategy().backbone == "flat"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + TWO + '[backbone]\nuse = "mlp"\n', "`backbone` of .* left out beside"),
        (HEAD + TWO.replace("flat", "small"), "names of `backbones` of .* should be distinct"),
        (HEAD + TWO.replace("flat", "a@b"), "`backbones.1.name` of .* letters, digits and"),
        (HEAD + '[[backbones]]\nuse = "mlp"\n', "`backbones.0.name`"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        load_problem(written(tmp_path, text))


def test_an_unknown_backbone_of_several_is_told_before_anything_runs(tmp_path: Path) -> None:
    file = load_problem(written(tmp_path, HEAD + TWO.replace("conv4", "conv5")))
    with pytest.raises(ValueError, match='found "conv5"; did you mean "conv4"'):
        file.problem()


@pytest.mark.parametrize("key", ["name", "model"])
def test_a_backbone_that_is_not_named_by_use_is_told_so(tmp_path: Path, key: str) -> None:
    file = load_problem(written(tmp_path, HEAD + f'[backbone]\n{key} = "wheel:minilm"\n'))
    with pytest.raises(ValueError, match=f'named by `use`; found {key} = "wheel:minilm"; write `use = "w'):
        file.problem()


def test_backbones_that_cut_texts_in_other_ways_are_told_apart(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    from tokenizers import Tokenizer, models

    rows = "".join(f"red fish {k},a\nblue bird {k},b\n" for k in range(10))
    (tmp_path / "rows.csv").write_text("text,label\n" + rows)
    Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]")).save(
        str(tmp_path / "tokenizer.json")
    )
    torch.save({"embedding.weight": torch.zeros(2, 3)}, tmp_path / "table.pth")
    text = '[target]\ndata = "text:rows.csv#label"\n[[backbones]]\nname = "own"\nuse = "textcnn"\n'
    text += '[[backbones]]\nname = "words"\nuse = "words:table.pth"\n'
    with pytest.raises(ValueError, match="of one tokenizer"):
        load_problem(written(tmp_path, text)).problem()
