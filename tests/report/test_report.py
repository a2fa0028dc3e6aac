"""The page and the table say what `result.json` holds, whatever names and holes are in it."""

import base64
import json
import math
import re
from html.parser import HTMLParser

import pytest
from rich.cells import cell_len

from headstart.report import page, table, write

pytestmark = pytest.mark.usefixtures("drawn")
VOID = {"meta", "link", "br", "wbr", "img", "hr", "input"}
EVIL = '<script>alert("1")</script>'


def row(strategy, shots=1, mean=0.7, gain=0.05, half=0.02, seeds=5, **changes):
    scores = [mean + 0.01 * (i - seeds // 2) for i in range(seeds)]
    value = {
        "strategy": strategy,
        "shots": shots,
        "mean": mean,
        "ci95": [mean - half, mean + half],
        "gain": gain,
        "gain_ci95": None if gain is None else [gain - half, gain + half],
        "harmed": gain is not None and gain + half < 0,
        "seconds": 1.5,
        "trained_parameters": 1234,
        "seeds": scores,
    }
    return value | changes


def result(rows, **changes):
    value = {"task": "digits:5-9", "metric": "accuracy", "higher_is_better": True, "rows": rows}
    return (
        value | {"recommended": rows[-1]["strategy"] if rows else None, "reasons": ["highest mean"]} | changes
    )


def plain(shots=(1, 5)):
    rows = []
    for n in shots:
        rows += [row("scratch", n, 0.6, None), row("dann", n, 0.5, -0.1), row("finetune", n, 0.75, 0.15)]
    return result(rows)


DETAILS = {
    "title": "Digits",
    "command": 'headstart compare "problem.toml" --seeds 5',
    "target": {"name": "digits:5-9", "classes": ["five", EVIL], "train_rows": 10, "test_rows": 20},
    "sources": [{"name": "digits:0-4", "rows": 901, "classes": 5}],
    "backbone": "conv4",
    "pretrained": "on the sources",
    "strategies": {
        "finetune": {"summary": "Go on training.", "reused": "the backbone", "settings": {"lr": 0.1}}
    },
    "skipped": {"adda": "no unlabelled rows"},
    "curves": {
        "finetune": {"shots": 1, "seed": 0, "losses": {"label": [1.0, 0.1, float("nan"), None, 0.01]}},
        "dann": {"shots": 1, "seed": 0, "losses": {"label": [2.0], "domain": []}},
        "maml": {"losses": {"query": [float("nan")]}},
    },
    "confusion": {"strategy": "finetune", "shots": 5, "classes": ["five", EVIL], "matrix": [[9, 1], [2, 8]]},
    "recommended_by_shots": {"1": {"strategy": "finetune", "reason": "nothing is better"}},
    "budget": {"seconds": 400, "workers": 2, "trials": 30, "failed": ["dann, seed 3"]},
    "environment": {"torch": "2.13.0"},
    "baseline": "scratch",
    "partial": True,
}


class Strict(HTMLParser):
    """Check that tags close in order, and keep what a reader sees and what the page refers to."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.links, self.ids, self.tags = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.words))


def check(result, details=None):
    text = page(result, details or {})
    read = Strict(text)
    assert "script" not in {tag for tag, _ in read.tags}
    assert all(link.startswith("#") or link == "data:," for link in read.links)
    assert len(read.ids) == len(set(read.ids))
    assert {link[1:] for link in read.links if link.startswith("#")} <= set(read.ids)
    assert not re.search(r"url\((?!#)|@import", text)
    assert not re.search(r"\bnan\b|\bNone\b", read.text)
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in read.tags if tag == "th")
    pictures = [attrs for tag, attrs in read.tags if tag == "svg"]
    assert all(attrs.get("aria-hidden") or attrs["aria-label"] for attrs in pictures)
    return read


def test_page_says_the_answer_first():
    text = check(plain(), DETAILS).text
    assert "With 1 labelled row per class" in text
    assert "▲ betterfinetuneabout +15.0 points (at least +13.0) over scratch" in text
    assert "It reached 75.0 % accuracy (73.0 to 77.0), over 5 seeds and 20 test rows." in text
    assert "Did harm: dann (−8.0 points or worse)." in text
    assert "Next: use finetune." in text
    assert re.search("How it was chosen ?Nothing is better.", text)
    assert text.index("The answer") < text.index("Leaderboard") < text.index("To repeat this")
    assert "Not all trials are done" in text
    assert 'headstart compare "problem.toml" --seeds 5' in text
    assert "adda: no unlabelled rows" in text
    assert "Failed trials: dann, seed 3" in text


def test_page_has_language_policy_and_both_schemes():
    text = page(plain(), DETAILS)
    tags = dict(Strict(text).tags)
    assert tags["html"]["lang"] == "en"
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert "#0101" not in text  # every stand-in colour became a variable
    assert "DejaVu Sans'" not in text.split("</style>", 1)[1]


def test_page_escapes_every_string():
    rows = [row("scratch", 1, 0.6, None), row(EVIL, 1, 0.8, 0.2)]
    evil = {
        "title": EVIL,
        "command": EVIL,
        "target": {"name": EVIL, "classes": [EVIL], "train_rows": EVIL},
        "sources": [{"name": EVIL, "rows": EVIL, "classes": EVIL}],
        "backbone": EVIL,
        "pretrained": EVIL,
        "strategies": {EVIL: {"summary": EVIL, "reused": EVIL, "settings": {EVIL: EVIL}, "chosen_on": EVIL}},
        "skipped": {EVIL: EVIL},
        "curves": {EVIL: {"shots": EVIL, "losses": {EVIL: [1.0, 2.0]}}},
        "confusion": {"strategy": EVIL, "shots": EVIL, "classes": [EVIL], "matrix": [[1]]},
        "recommended_by_shots": {"1": {"strategy": EVIL, "reason": EVIL}},
        "budget": {"seconds": 1, "workers": EVIL, "trials": EVIL, "failed": [EVIL]},
        "environment": {EVIL: EVIL},
        "baseline": "scratch",
    }
    read = check(result(rows, task=EVIL, metric=EVIL, reasons=[EVIL], recommended=EVIL), evil)
    assert EVIL in read.text


def test_page_without_a_gain_says_so():
    rows = [row("scratch", mean=0.6, gain=None), row("probe", mean=0.61, gain=0.01)]
    text = check(result(rows, recommended="scratch")).text
    assert "○ not known yet" in text
    assert "Next: run it with more seeds. Until then use scratch." in text


def test_lower_is_better_turns_the_verdict():
    rows = [row("scratch", mean=3.0, gain=None), row("probe", mean=2.0, gain=-1.0, harmed=False)]
    rows.append(row("dann", mean=4.0, gain=1.0, harmed=True))
    text = check(result(rows, metric="rmse", higher_is_better=False, recommended="probe")).text
    assert "about +1.000 (at least +0.980) over scratch" in text
    assert "It reached 2.000 RMSE" in text
    assert "Did harm: dann (−0.980 or worse)" in text
    assert "RMSE, lower is better" in text


def test_the_answer_says_for_how_many_labels_the_model_is():
    details = {"recommended_by_shots": {str(n): {"strategy": "finetune"} for n in (1, 5)}}
    text = check(plain() | {"recommended": "finetune"}, details).text
    said = "Recommended model: finetune, learned from 5 labelled rows per class"
    assert f"{said}, the most that were compared." in text
    details["recommended_by_shots"]["5"]["strategy"] = None
    text = check(plain() | {"recommended": "finetune"}, details).text
    assert "Recommended model: finetune, learned from" in text
    assert "Recommended model" not in check(plain(shots=(1,)), details).text


def test_what_compare_writes_is_shown_once_and_readably():
    details = {
        "strategies": {
            "probe": {"settings": {"1": {"lr": 1e-3}, "5": {"lr": 1e-3}}},
            "finetune": {"settings": {"1": {"lr": 0.1}, "5": {"lr": 0.01}}},
            "l2sp": {"settings": {"1": "each trial its own", "all": {}}},
        },
        "budget": {
            "failed": [{"strategy": "maml", "shots": None, "seed": 3, "error": "loss `query` is NaN"}]
        },
        "recommended_by_shots": {"1": {"strategy": "finetune", "reason": "finetune gains; no harm."}},
        "seeds": [3, 4],
    }
    reasons = ["With 1 labelled row per class: finetune gains; no harm.", "3 trials did not run."]
    text = check(plain() | {"reasons": reasons}, details).text
    assert text.count("inetune gains; no harm.") == 1
    assert "3 trials did not run." in text
    assert "Failed trials: maml, seed 3 (loss `query` is NaN)" in text
    assert "Settings lr=0.001" in text.replace("Settingslr", "Settings lr")
    assert "1 per class: lr=0.1" in text
    assert "5 per class: lr=0.01" in text
    assert "all labels: no settings" in text
    assert re.search(r"Seeds ?3, 4", text)


def test_no_labels_on_the_target():
    rows = [row("source-only", None, 0.6, None), row("dann", None, 0.8, 0.2)]
    text = check(result(rows)).text
    assert "Without labels of the target" in text
    assert "about +20.0 points (at least +18.0) over source-only" in text
    assert "\nno labelled rows\n" in table(result(rows), width=80)
    assert "gain: over source-only" in table(result(rows), width=80)


def test_one_seed_decides_nothing():
    rows = [row("scratch", gain=None, seeds=1, ci95=None)]
    rows.append(row("probe", gain=0.1, seeds=1, ci95=None, gain_ci95=None))
    text = check(result(rows)).text
    assert "Next: run it with at least 3 seeds." in text
    assert "no interval" in text


@pytest.mark.parametrize("hole", [None, math.nan, math.inf, "?"])
def test_page_and_table_cope_with_holes(hole):
    rows = [row("scratch", gain=None)]
    rows.append(
        row("a") | {"mean": hole, "ci95": [hole, 1], "gain": hole, "gain_ci95": [hole, hole], "seconds": hole}
    )
    rows.append(row("b", gain=0.1, gain_ci95=hole, trained_parameters=hole) | {"seeds": [hole, 0.5]})
    rows.append({"strategy": "c"})
    check(result(rows), DETAILS | {"budget": {"seconds": hole, "trials": hole}})
    assert "nan" not in table(result(rows), width=80)


@pytest.mark.parametrize("key", list(DETAILS))
def test_page_copes_with_each_missing_detail(key):
    check(plain((1,)), {name: value for name, value in DETAILS.items() if name != key and name != "curves"})
    check(plain((1,)), {key: None})


def test_page_copes_with_nothing():
    check(result([]))
    check({"metric": "accuracy", "rows": []})


def test_no_trial_is_done():
    rows = [{"strategy": name, "shots": 1, "mean": None, "seeds": []} for name in ("scratch", "probe")]
    value = result(rows, recommended=None)
    text = check(
        value, {"recommended_by_shots": {"1": {"strategy": None, "reason": "no trial succeeded."}}}
    ).text
    assert "No recommendation" in text
    assert "No trial has a result yet." in text
    assert "no trial" not in table(value, width=80)


def test_all_rows_come_after_counts():
    rows = [
        row("scratch", None, gain=None),
        row("probe", None),
        row("scratch", 5, gain=None),
        row("probe", 5),
    ]
    text = check(result(rows), {"recommended_by_shots": {"all": {"strategy": "probe"}}}).text
    assert text.index("With 5 labelled rows") < text.index("With all labelled rows")
    assert "Accuracy by number of labels" in text


def test_thirty_strategies_and_long_names():
    rows = [row("scratch", n, 0.6, None) for n in (1, 5, 20)]
    for i in range(30):
        name = f"strategy_{'very_' * (i % 12)}long_{i}" if i % 2 else f"长名字$_{i}$"
        rows += [row(name, n, 0.6 + 0.01 * i, 0.01 * (i - 5)) for n in (1, 5, 20)]
    text = page(result(rows), {"baseline": "scratch"})
    Strict(text)
    assert len(text) < 1_000_000
    for width in (100, 80, 40):
        assert max(cell_len(line) for line in table(result(rows), width=width).splitlines()) <= width


def test_large_confusion_becomes_a_list():
    classes = [f"class {i}" for i in range(40)]
    matrix = [[5 if i == j else int(j == i + 1) for j in range(40)] for i in range(40)]
    text = check(plain((1,)), {"confusion": {"classes": classes, "matrix": matrix}}).text
    assert "class 0 taken for class 1 (1 of 6)" in text


def test_without_classes_shots_are_labelled_rows():
    settings = {"finetune": {"settings": {"1": {"lr": 0.1}, "5": {"lr": 0.2}}}}
    details = {"target": {"per_class": False}, "strategies": settings}
    text = check(plain(), details).text
    assert "per class" not in page(plain(), details) + table(plain(), details)
    assert "With 1 labelled row▲" in text
    assert "With 5 labelled rows▲" in text
    assert "time, 5 rows" in text
    assert "5 rows: lr=0.2" in text
    assert "\n1 labelled row\n" in table(plain(), details)


@pytest.mark.parametrize("confusion", [{"classes": ["a"], "matrix": [[1, 2]]}, {"classes": ["a"]}, {}])
def test_broken_confusion_is_left_out(confusion):
    assert "What is taken for what" not in check(plain((1,)), {"confusion": confusion}).text


@pytest.mark.parametrize("width", [1, 5, 12, 24, 40, 60, 80, 100, 200])
def test_table_never_exceeds_the_width(width):
    value = plain()
    value["rows"].append(row("pretrain+multitask+fewshot\x1b[31m\nx", 5))
    value["task"] = "数字" * 30
    lines = table(value, width=width).splitlines()
    assert max(cell_len(line) for line in lines) <= width
    assert all(line.isprintable() for line in lines)


def test_table_shows_whole_names_and_marks_at_80():
    value = plain((1,))
    value["rows"].append(row("pretrain+multitask+fewshot", 1, 0.8, 0.2))
    text = table(value, width=80)
    assert re.search(
        r"^\+   pretrain\+multitask\+fewshot +80\.0 \[78\.0, 82\.0\] +\+20\.0 \[", text, re.MULTILINE
    )
    assert re.search(r"^!   dann +50\.0", text, re.MULTILINE)
    assert "Recommended: finetune" in text


def test_table_names_what_did_not_run():
    assert "Not run" not in table(plain(), {})
    few = {"adda": "x", "dann": "x"}
    assert table(plain(), {"skipped": few}, width=100).endswith("(the report says why): adda, dann")
    many = {f"way{k}": "x" for k in range(11)}
    assert table(plain(), {"skipped": many}, width=100).endswith("way7, 3 others")


def test_table_follows_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    assert table(plain()) == table(plain(), width=50)


def test_missing_keys_are_named():
    with pytest.raises(ValueError, match='"metric" and "rows"; found no metric and no rows'):
        table({})


def files(directory, value, details=None):
    (directory / "result.json").write_text(json.dumps(value), encoding="utf-8")
    if details is not None:
        (directory / "details.json").write_text(json.dumps(details), encoding="utf-8")
    return directory


def test_write_gives_the_same_bytes(tmp_path):
    first = write(files(tmp_path, plain(), DETAILS)).read_bytes()
    assert write(str(tmp_path)).read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["details.json", "report.html", "result.json"]


def test_write_keeps_the_old_page_when_it_fails(tmp_path, monkeypatch):
    write(files(tmp_path, plain((1,))))
    old = (tmp_path / "report.html").read_bytes()

    def fail(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space"):
        write(files(tmp_path, plain((5,))))
    assert (tmp_path / "report.html").read_bytes() == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "result.json"]


def test_write_names_what_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found no result\.json in it"):
        write(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(ValueError, match="should be JSON"):
        write(tmp_path)
    (tmp_path / "result.json").write_text("[]")
    with pytest.raises(ValueError, match="should be an object of JSON; found list"):
        write(tmp_path)


def test_how_tasks_pull_is_a_table_of_heat_with_its_groups():
    told = {
        "strategy": "multitask+groups", "shots": None, "what": "affinity", "tasks": ["a<b", "c"],
        "values": [[0.2, -0.1], [None, 0.4]], "groups": {"a<b | c": 2},
    }  # fmt: skip
    row = {"strategy": "scratch", "shots": None, "mean": 0.5, "seeds": [0.5]}
    text = page({"task": "a", "metric": "accuracy", "rows": [row]}, {"pulls": [told, told | {"values": []}]})
    assert '<td class="harms" style="--share: 0.250">-0.10</td>' in text
    assert '<td class="helps" style="--share: 1.000">+0.40</td>' in text
    assert "<td></td>" in text
    assert "a&lt;b | c (2)" in text


def test_what_is_handed_over_is_shown_at_work_as_an_image():
    drawn = f'<svg xmlns="http://www.w3.org/2000/svg">{EVIL}</svg>'
    model = {"strategy": "finetune", "picture": drawn}
    text = page(plain() | {"model": {"digits:5-9": model}}, {})
    source = re.search(r'<img class="work" src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]+)">', text)
    assert base64.b64decode(source[1]).decode() == drawn
    assert source[2] == "finetune at work in digits:5-9"
    assert "<script" not in text
    assert 'id="work"' not in page(plain() | {"model": {"digits:5-9": {"strategy": "finetune"}}}, {})
