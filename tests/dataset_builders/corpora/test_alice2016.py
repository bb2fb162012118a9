# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The chapter of Alice against its files, read by other means: words, clock, values, who is left out."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from dataset_builders import prepare_corpus


@pytest.fixture(scope="module")
def folder() -> Path:
    shared = Path(os.environ.get("BRAINLLM_SHARED", Path(__file__).parents[4] / "shared"))
    path = shared / "data" / "alice2016"
    if not path.is_dir():
        pytest.skip(f"ALICE 2016 IS NOT TESTED: {path} is absent; set BRAINLLM_SHARED to the data folder")
    return path


@pytest.fixture(scope="module")
def prepared(folder, tmp_path_factory):
    return prepare_corpus(
        "alice2016", folder, tmp_path_factory.mktemp("cache"), standardize="none", dtype="float32", store="rows"
    )


def words_of(folder: Path) -> list[tuple[float, float, str]]:
    """Intervals of the long form, by a regular expression."""
    (path,) = folder.glob("stimuli/*.TextGrid")
    found = re.findall(r'xmin = ([\d.]+)\s+xmax = ([\d.]+)\s+text = "([^"]*)"', path.read_text(encoding="utf-8"))
    return [(float(a), float(b), word.strip()) for a, b, word in found if word.strip() not in ("", "sp")]


class TestAgainstTheFiles:
    def test_people_and_volumes(self, folder, prepared):
        rows = [row for split in prepared.as_dataset_dict().values() for row in split]
        signals = {path.name[:3]: np.loadtxt(path) for path in folder.glob("fmri/10mm/*-timecourses.txt")}
        assert {row["subject"] for row in rows} == {name for name, values in signals.items() if values.any()}
        assert len({row["subject"] for row in rows}) == 27

    def test_clock_words_and_values_of_each_row(self, folder, prepared):
        truth = words_of(folder)
        signals = {path.name[:3]: np.loadtxt(path) for path in folder.glob("fmri/10mm/*-timecourses.txt")}
        for split in prepared.as_dataset_dict().values():
            for row in split.select(range(0, len(split), 40)):
                # Volume 0 begins at 20 s and lasts 2: its middle is second 21.
                frames = np.round((np.array(row["frame_times"]) - 21) / 2).astype(int)
                np.testing.assert_allclose(row["frame_times"], 21 + 2 * frames)
                np.testing.assert_allclose(row["brain_values"], signals[row["subject"]][frames], rtol=2e-3, atol=2e-3)
                onsets = row["word_onsets"]
                expected = [word for start, _, word in truth if onsets[0] - 1e-3 <= start <= onsets[-1] + 1e-3]
                assert row["words"] == expected
                # The brain is read after the words, by the haemodynamic delay.
                assert onsets[0] < row["frame_times"][0] < onsets[0] + 6
                assert row["num_words"] == len(row["completion"].split())

    def test_splits_are_in_time_with_a_gap(self, prepared):
        times = {
            name: np.array([[row["frame_times"][0], row["frame_times"][-1]] for row in rows])
            for name, rows in prepared.as_dataset_dict().items()
        }
        for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
            apart = np.maximum(
                times[one][:, None, 0] - times[other][None, :, 1], times[other][None, :, 0] - times[one][:, None, 1]
            )
            assert apart.min() > 0


class TestConfounds:
    def test_what_is_regressed_out_is_gone_from_training_frames(self, folder, tmp_path):
        options = {"standardize": "none", "dtype": "float32", "store": "rows", "subjects": ["s18"], "split": "passage"}
        plain, clean = (
            prepare_corpus("alice2016", folder, tmp_path / str(i), confounds=names, **options)
            for i, names in enumerate((None, ["trend", "word_rate"]))
        )
        rate = np.loadtxt(folder / "fmri" / "s18-rate.txt")
        found = []
        for splits in (builder.as_dataset_dict() for builder in (plain, clean)):
            values = {}
            for row in splits["train"]:
                frames = np.round((np.array(row["frame_times"]) - 21) / 2).astype(int)
                values |= dict(zip(frames.tolist(), np.asarray(row["brain_values"]), strict=True))
            frames = sorted(values)
            signal = np.array([values[frame] for frame in frames])
            found.append(max(abs(np.corrcoef(rate[frames], region)[0, 1]) for region in signal.T))
        assert found[1] < 0.03 < found[0]

    def test_unknown_names(self, folder, tmp_path):
        with pytest.raises(ValueError, match="choose from trend, movement, word_rate, sound_power"):
            prepare_corpus("alice2016", folder, tmp_path, confounds=["heart"])
