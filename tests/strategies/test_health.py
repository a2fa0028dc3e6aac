"""What looks wrong in the losses of an aligned net."""

import math

import pytest

from headstart.report import words
from headstart.report.findings import Alarm
from headstart.strategies.recipes.health import troubles


def test_a_label_loss_that_falls_is_fine_and_one_that_rises_is_told_with_its_step():
    falls = [math.exp(-n / 50) + 0.02 * math.sin(n) for n in range(200)]
    assert troubles({"align: label": falls, "align: mmd": falls[::-1]}) == []
    (found,) = troubles({"align: label": falls + [min(0.7, n / 100) for n in range(100)]})
    assert found["alarm"] == "label loss rises"
    assert 150 <= found["step"] <= 230


@pytest.mark.parametrize(
    ("domain", "alarm", "step"),
    [
        ([0.69 - 0.01 * (n % 3) for n in range(100)], None, None),
        ([max(0.01, 0.7 - n / 60) for n in range(100)], "critic has won", 40),
        ([0.5] * 30 + [math.log(2)] * 70, "critic is lost", 30),
    ],
)
def test_a_critic_that_has_won_or_stands_still_is_told(domain, alarm, step):
    found = troubles({"align: domain": domain})
    assert [each["alarm"] for each in found] == ([alarm] if alarm else [])
    assert all(each["step"] == pytest.approx(step, abs=5) for each in found)


def test_of_a_short_run_nothing_is_said():
    assert troubles({"align: label": [0.1] * 10 + [9.0] * 10}) == []


def test_the_report_names_the_way_and_the_step():
    class Found:
        alarms = (Alarm("label loss rises", "mmd", 120.0),)

    (said,) = words.alarms(Found())
    assert said.startswith("Trouble in training mmd, from step 120 on: its loss on the source's labels rises")
