# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
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
