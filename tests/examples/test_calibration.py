# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The calibration benchmark in small: it resumes, it counts, and it tells a planted effect from noise."""

import json
import math
import sys

import pytest
from repository import REPOSITORY


sys.path.insert(0, str(REPOSITORY / "examples" / "benchmarks"))
import calibration


def write_runs(file, p_values) -> None:
    lines = [json.dumps({"seed": seed, "p": {"test": p}}) for seed, p in enumerate(p_values)]
    file.write_text("\n".join(lines) + "\n")


def test_rejections_and_their_wilson_interval(tmp_path):
    write_runs(tmp_path / "runs.jsonl", [0.01, -0.03, 0.05, -0.051] + [0.5] * 36)
    (row,) = calibration.rejections(tmp_path / "runs.jsonl")
    rejected, number, z = 3 / 40, 40, 1.959963984540054
    middle = (rejected + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * math.sqrt(rejected * (1 - rejected) / number + z**2 / (4 * number**2))
    assert (row["runs"], row["rejected"]) == (40, rejected)
    assert (row["low"], row["high"]) == pytest.approx((middle - half, middle + half))
    assert row["right"] == pytest.approx(2 / 3)


@pytest.mark.slow
def test_runs_resume_where_they_stopped(tmp_path):
    file = tmp_path / "noise.jsonl"
    calibration.run(file, 0.0, 16, range(2))
    whole = file.read_text().splitlines()
    file.write_text(whole[0] + "\n")
    calibration.run(file, 0.0, 16, range(2))
    assert file.read_text().splitlines() == whole
    assert set(json.loads(whole[0])["p"]) == {f"{control} {metric}" for control, metric in calibration.TESTS}


@pytest.mark.slow
def test_noise_is_seldom_rejected_and_an_effect_always(tmp_path):
    for name, effect, runs in (("noise", 0.0, 20), ("planted", 3.0, 3)):
        calibration.run(tmp_path / f"{name}.jsonl", effect, 16, range(runs))
    noise = {row["test"]: row for row in calibration.rejections(tmp_path / "noise.jsonl")}
    planted = {row["test"]: row for row in calibration.rejections(tmp_path / "planted.jsonl")}
    for control, metric in calibration.TESTS:
        assert noise[f"{control} {metric}"]["rejected"] <= 5 / 20  # more: three times in ten thousand, at 5 %
    for metric in ("loss_gain", "pairwise_accuracy"):
        assert planted[f"permuted {metric}"]["rejected"] == 1
