# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Which checkpoints a run goes on from, and which it removes."""

import os

import pytest
from transformers import TrainingArguments

from trainers.common.checkpoints import find_checkpoint, remove_old_checkpoints


@pytest.fixture
def run(tmp_path):
    """Checkpoints 5, 10, 20 and 100, the clock having gone backwards; and what is none."""
    for age, step in enumerate((100, 20, 5, 10)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text("{}")
        os.utime(folder, (1000 + age, 1000 + age))
    for name in ("checkpoint-best", "checkpoint-7-replaced", "logs"):
        (tmp_path / name).mkdir()
    return tmp_path


def left(run) -> list[int]:
    names = [path.name.removeprefix("checkpoint-") for path in run.iterdir()]
    return sorted(int(name) for name in names if name.isdigit())


@pytest.mark.parametrize(
    ("limit", "kept", "expected"),
    [
        (2, {"checkpoint-100"}, [20, 100]),
        (1, {"checkpoint-100"}, [100]),
        (2, {"checkpoint-100", "checkpoint-5"}, [5, 100]),
        (1, {"checkpoint-100", "checkpoint-5"}, [5, 100]),
        (2, {"checkpoint-10"}, [10, 100]),  # written after a run was begun again from 5
        (None, {"checkpoint-100"}, [5, 10, 20, 100]),
        (9, {"checkpoint-100"}, [5, 10, 20, 100]),
    ],
)
def test_those_of_the_fewest_steps_go(run, limit, kept, expected):
    remove_old_checkpoints(run, limit, kept)
    assert left(run) == expected
    assert (run / "checkpoint-best").is_dir()
    assert (run / "checkpoint-7-replaced").is_dir()


def test_a_stray_folder_is_stepped_over(run):
    (run / "checkpoint-999").mkdir()
    assert find_checkpoint(TrainingArguments(output_dir=str(run))) == str(run / "checkpoint-100")


def test_no_checkpoint(tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    assert find_checkpoint(TrainingArguments(output_dir=str(tmp_path))) is None
