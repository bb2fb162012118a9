# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Recordings that are computed from others: the same values, and each source is read once a pass."""

from collections import Counter
from functools import partial

import numpy as np
import pytest

from dataset_builders.config import BrainCorpusConfig
from dataset_builders.preparation.pipeline import Preparation
from dataset_builders.schema import Average, Recording, Sample


FRAMES, VOXELS, RUNS = 6, 20, 4


def read_and_log(values, log, name):
    with log.open("a") as file:
        file.write(f"{name}\n")
    return values


def first_two(values):
    return values[:2]


def mean(parts):
    return np.mean(list(parts), axis=0, dtype=np.float32)


def recordings_of(log, seed=0):
    """Runs of noise, and the mean of their first two frames."""
    generator = np.random.default_rng(seed)
    runs = []
    for number in range(RUNS):
        name, values = f"s/run{number}", generator.standard_normal((FRAMES, VOXELS), dtype=np.float32)
        runs.append(Recording(name, "s", FRAMES, VOXELS, partial(read_and_log, values, log, name)))
    made_of = Average(tuple(runs), (first_two,) * RUNS, mean)
    return [*runs, Recording("s/mean", "s", 2, VOXELS, made_of.read, made_of=made_of)]


def sample_of(recording, frame):
    name = f"c/{recording}/{frame}"
    return Sample(name, "c", "s", name, name, name, name, "a", "b", "a b", recording, (frame,))


def prepare(folder, recordings, num_proc=None):
    names = {recording.recording_id: recording.num_frames for recording in recordings}
    fitting = [sample_of(name, frame) for name in names if name != "s/mean" for frame in range(names[name])]
    config = BrainCorpusConfig(dtype="float32", num_components=3)
    return Preparation(recordings, fitting, {"s": None}, config, folder, num_proc)


def reads(log):
    return Counter(log.read_text().split()) if log.exists() else Counter()


@pytest.mark.parametrize("num_proc", [None, 2])
def test_each_source_is_read_once_a_pass(tmp_path, num_proc):
    log = tmp_path / "log"
    recordings = recordings_of(log)
    expected = recordings[-1].read()
    log.unlink()
    preparation = prepare(tmp_path / "out", recordings, num_proc)
    digests = preparation.digests
    assert reads(log) == {f"s/run{n}": 1 for n in range(RUNS)}
    assert preparation.preprocessings["s"].width == 3
    assert reads(log) == {f"s/run{n}": 2 for n in range(RUNS)}, "components take a pass of their own"
    values = preparation.write()
    assert reads(log) == {f"s/run{n}": 3 for n in range(RUNS)}
    fitted = preparation.preprocessings["s"]
    for frame in range(2):
        np.testing.assert_array_equal(values(sample_of("s/mean", frame))[0], fitted(expected, "")[frame])
    assert len(digests["s/mean"]) == 2


def test_sources_that_have_no_rows_are_read_once_in_all(tmp_path):
    """Trials of a held-out subject that only its averages need."""
    log = tmp_path / "log"
    *runs, average = recordings_of(log)
    preparation = prepare(tmp_path / "out", [runs[1], average])
    preparation.write()
    assert reads(log) == {"s/run0": 1, "s/run1": 3, "s/run2": 1, "s/run3": 1}


def test_parts_that_were_lost_are_made_again(tmp_path):
    log, folder = tmp_path / "log", tmp_path / "out"
    first = prepare(folder, recordings_of(log)).write()(sample_of("s/mean", 1))
    (folder / "recording_statistics/s/mean.parts/0002.safetensors").unlink()
    (folder / "recordings/s/mean.arrow").unlink()
    log.unlink()
    again = prepare(folder, recordings_of(log)).write()(sample_of("s/mean", 1))
    np.testing.assert_array_equal(again, first)
    assert reads(log) == {"s/run2": 1}


def test_a_source_of_another_shape_is_named(tmp_path):
    *runs, average = recordings_of(tmp_path / "log")
    preparation = prepare(tmp_path / "out", [average])
    broken = Recording("s/run0", "s", FRAMES + 1, VOXELS, runs[0].read)
    made_of = Average((broken, *runs[1:]), (first_two,) * RUNS, mean)
    preparation = prepare(tmp_path / "out", [Recording("s/mean", "s", 2, VOXELS, made_of.read, made_of=made_of)])
    with pytest.raises(ValueError, match=r"s/run0: expected values of shape \(7, 20\)"):
        preparation.write()
