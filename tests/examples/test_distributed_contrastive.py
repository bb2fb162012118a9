# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Alignment by two processes, each way of sharing the work, takes the steps of one with the whole batch."""

from pathlib import Path

import pytest
from distributed_runs import SHARED, assert_equal_weights, launch_arguments, logged


@pytest.fixture(scope="module")
def runs(launch_forked, corpus, text_model, tmp_path_factory) -> Path:
    """Folder of the runs: one process, and two of each kind; any model that reads text embeds captions well enough."""
    folder = tmp_path_factory.mktemp("runs")
    data = ("--dataset", corpus, "--sentence_encoder", text_model)
    rates = ("--encoder_dropout", 0, "--learning_rate", 3e-2, "--max_grad_norm", 0.5, "--max_steps", 3)
    jobs = {}
    for kind in ("single_gpu", *SHARED):
        options = (*data, *rates, "--output_dir", folder / kind)
        jobs[kind] = launch_arguments(kind, "train_contrastive.py", 32, *options)
    launch_forked(folder, jobs)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHARED)
def test_two_processes_equal_one_large_batch(runs, kind):
    expected = logged(runs / "single_gpu")
    assert logged(runs / kind) == pytest.approx(expected, rel=1e-5)
    assert expected[-1] < expected[0] - 0.01
    for name in ("eval_text_recall_at_10", "eval_text_median_rank"):
        assert logged(runs / kind, name) == logged(runs / "single_gpu", name)
    for name in ("", "checkpoint-3"):
        assert_equal_weights(runs / kind / name, runs / "single_gpu" / name)
        found, alone = ((runs / k / name / "config.json").read_text() for k in (kind, "single_gpu"))
        assert found == alone
