# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from datasets import load_from_disk
from planted_corpus import NUM_VOXELS, PlantedCorpus, write_planted
from safetensors.numpy import load_file

from dataset_builders import save_corpus
from dataset_builders.preparation.storage import read_recording


def _prepare(folder, cache, num_proc=None, **config):
    builder = PlantedCorpus(cache_dir=str(cache), data_dir=folder, **config)
    builder.download_and_prepare(num_proc=num_proc)
    return builder


def _hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture
def planted(tmp_path):
    return tmp_path / "data", write_planted(tmp_path / "data")


class TestValues:
    def test_rows_hold_what_was_recorded(self, planted, tmp_path):
        folder, truth = planted
        builder = _prepare(folder, tmp_path / "cache", dtype="float32")
        rows = [row for split in builder.as_dataset_dict().values() for row in split]
        assert len(rows) == builder.corpus_info.facts["subjects"]["s1"]["samples"] * 2
        for row in rows[::17]:
            recording, start = row["sample_id"].removeprefix("planted/").rsplit("/", 1)
            expected = truth[recording][int(start) : int(start) + 4]
            np.testing.assert_array_equal(np.array(row["brain_values"], np.float32), expected)

    def test_stored_once_rows_say_the_same(self, planted, tmp_path):
        folder, _ = planted
        options = {"standardize": "session", "num_components": 5}
        within = _prepare(folder, tmp_path / "cache", **options).as_dataset_dict()
        apart = _prepare(folder, tmp_path / "cache", store="recordings", **options)
        for split, rows in apart.as_dataset_dict().items():
            for row, same in zip(rows, within[split], strict=True):
                place = row["brain_values"]
                recording = read_recording(apart.prepared_dir / "recordings" / f"{place['recording']}.arrow")
                values = np.array(same["brain_values"], np.float16)
                np.testing.assert_array_equal(recording[place["frames"]], values)

    def test_streamed_rows_say_the_same(self, planted, tmp_path):
        folder, _ = planted
        options = {"standardize": "recording", "rois": ["atlas:back"]}
        prepared = _prepare(folder, tmp_path / "cache", **options).as_dataset_dict()["test"]
        builder = PlantedCorpus(cache_dir=str(tmp_path / "other"), data_dir=folder, **options)
        for row, same in zip(builder.as_streaming_dataset(split="test"), prepared, strict=True):
            assert row == same
        assert not list((tmp_path / "other").rglob("*.arrow"))

    def test_recordings_open_with_datasets_alone(self, planted, tmp_path):
        folder, truth = planted
        builder = _prepare(folder, tmp_path / "cache", store="recordings")
        save_corpus(builder, tmp_path / "out")
        recordings = load_from_disk(str(tmp_path / "out" / "recordings"))
        assert len(recordings) == sum(map(len, truth.values()))
        first = recordings[0]
        expected = truth[first["recording"]][0].astype(np.float16)
        np.testing.assert_array_equal(np.array(first["values"], np.float16), expected)

    def test_processes_change_nothing(self, planted, tmp_path):
        folder, _ = planted
        options = {"standardize": "train", "num_components": 4, "store": "recordings"}
        alone = _prepare(folder, tmp_path / "one", **options)
        several = _prepare(folder, tmp_path / "two", num_proc=2, **options)
        for builder, name in ((alone, "a"), (several, "b")):
            save_corpus(builder, tmp_path / name)
        assert _hashes(tmp_path / "a") == _hashes(tmp_path / "b")


class TestRegions:
    def test_kept_with_their_places(self, planted, tmp_path):
        folder, truth = planted
        builder = _prepare(folder, tmp_path / "cache", rois=["atlas:back"], store="recordings", dtype="float32")
        state = load_file(builder.prepared_dir / "subjects" / "s1.safetensors")
        np.testing.assert_array_equal(state["kept"], np.arange(5, 12))
        np.testing.assert_array_equal(state["geometry/coordinates"][:, 0], 3 * np.arange(5, 12))
        recording = read_recording(builder.prepared_dir / "recordings" / "s1" / "story0.arrow")
        np.testing.assert_array_equal(recording, truth["s1/story0"][:, 5:12])

    def test_set_alone_is_all_that_it_labels(self, planted, tmp_path):
        builder = _prepare(planted[0], tmp_path / "cache", rois=["atlas"])
        assert builder.corpus_info.preprocessing["features"] == {"s1": 12, "s2": 12}

    def test_unknown(self, planted, tmp_path):
        with pytest.raises(ValueError, match=r"rois='atlas:top' is no region of s1.*atlas:\{front,back\}"):
            _prepare(planted[0], tmp_path / "cache", rois=["atlas:top"])


class TestErrors:
    def test_unknown_subject(self, planted, tmp_path):
        with pytest.raises(ValueError, match=r"subjects=\['s7'\] are not in .*: choose from s1, s2"):
            _prepare(planted[0], tmp_path / "cache", subjects=["s7"])

    def test_widths_that_differ_within_a_subject(self, planted, tmp_path):
        np.save(planted[0] / "s1" / "story3.npy", np.zeros((24, NUM_VOXELS + 1), np.float32))
        with pytest.raises(ValueError, match=r"recordings of s1 differ in features \(\[40, 41\]\)"):
            _prepare(planted[0], tmp_path / "cache")

    def test_another_shape_than_announced(self, planted, tmp_path):
        np.save(planted[0] / "s1" / "story3.npy", np.zeros((20, NUM_VOXELS), np.float32))
        with pytest.raises(ValueError, match=r"story3.npy: expected values of shape \(24, 40\) \[frames, features\]"):
            _prepare(planted[0], tmp_path / "cache")

    def test_changed_files_are_read_again(self, planted, tmp_path):
        folder, _ = planted
        before = _prepare(folder, tmp_path / "cache").corpus_info.fingerprint
        assert _prepare(folder, tmp_path / "cache").corpus_info.fingerprint == before
        write_planted(folder, seed=1)
        assert _prepare(folder, tmp_path / "cache").corpus_info.fingerprint != before


PREPARE = """
import sys
root = sys.argv.pop(1)
sys.path += [root, f"{root}/tests"]  # last, and ours first: folders of tests bear the names of our packages
from planted_corpus import PlantedCorpus
from dataset_builders import save_corpus
data, cache, out = sys.argv[1:]
builder = PlantedCorpus(
    cache_dir=cache, data_dir=data, store="recordings", standardize="train", num_components=4
)
print("ready", flush=True)
builder.download_and_prepare(num_proc=2)
save_corpus(builder, out)
"""


@pytest.mark.slow
def test_killed_preparation_is_taken_up(planted, tmp_path):
    """Killed at eight moments, then left alone: every file equals that of an undisturbed run, bit for bit."""
    folder, _ = planted
    _prepare_in_process(folder, tmp_path / "calm-cache", tmp_path / "calm", None)
    for part in range(8):
        _prepare_in_process(folder, tmp_path / "cache", tmp_path / "out", 0.15 * part)
    _prepare_in_process(folder, tmp_path / "cache", tmp_path / "out", None)
    assert _hashes(tmp_path / "out") == _hashes(tmp_path / "calm")


def _prepare_in_process(data, cache, out, seconds):
    command = [sys.executable, "-c", PREPARE, *map(str, (Path(__file__).parents[3], data, cache, out))]
    process = subprocess.Popen(command, cwd=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if seconds is None:
        _, errors = process.communicate(timeout=1800)
        assert process.returncode == 0, errors.decode()
        return
    assert process.stdout.readline() == b"ready\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()
