# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Voxels are chosen by repeats in training: planted ones are found, and test rows have no say."""

import shutil
from dataclasses import replace
from functools import partial

import nibabel as nib
import numpy as np
import pytest
from layouts.nsd import BETAS, write_nsd
from layouts.nsd_builders import ANY, SmallNSD
from safetensors.numpy import load_file
from scipy.stats import f_oneway

from dataset_builders.preparation.fitting import fit_preprocessing
from dataset_builders.preparation.noise_ceiling import signal_to_noise_of_trials
from dataset_builders.preparation.recording_statistics import compute_recording_statistics
from dataset_builders.preparation.voxel_selection import most_reliable, repeated_frames
from dataset_builders.schema import Recording, Sample


def simulate(ratios, repeats, seed=0):
    """Trials [trials, features] of stimuli that are repeated so often, shuffled, and the stimulus of each."""
    generator = np.random.default_rng(seed)
    stimuli = generator.permutation(np.repeat(np.arange(len(repeats)), repeats))
    signal = generator.standard_normal((len(repeats), len(ratios)))[stimuli] * ratios
    return (signal + generator.standard_normal(signal.shape)).astype(np.float32), stimuli


class TestRatio:
    RATIOS = np.array([0.0, 0.3, 1.0, 2.0])

    def test_planted_ratios_are_found_from_unequal_repeats(self):
        repeats = np.random.default_rng(1).integers(1, 5, 6000)
        values, stimuli = simulate(self.RATIOS, repeats)
        found = signal_to_noise_of_trials([(values, stimuli)], len(repeats))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[1:], self.RATIOS[1:], atol=0.05)
        assert found[0] < 0.15

    def test_it_is_an_analysis_of_variance(self):
        repeats = np.array([2, 3, 3, 1, 4, 2])
        values, stimuli = simulate(self.RATIOS + 1, repeats)
        groups = [values[stimuli == n].astype(np.float64) for n in range(6)]
        between_to_within = f_oneway(*groups).statistic
        average = (repeats.sum() - (repeats**2).sum() / repeats.sum()) / 5
        expected = np.sqrt(np.maximum(between_to_within - 1, 0) / average)
        np.testing.assert_allclose(signal_to_noise_of_trials([(values, stimuli)], 6), expected, rtol=1e-4)

    def test_it_does_not_matter_in_which_session_a_trial_stands(self):
        values, stimuli = simulate(self.RATIOS, np.full(50, 3))
        parts = [(values[rows], stimuli[rows]) for rows in np.array_split(np.arange(150), 7)]
        whole = signal_to_noise_of_trials([(values, stimuli)], 50)
        np.testing.assert_allclose(signal_to_noise_of_trials(parts, 50), whole, rtol=1e-4)

    @pytest.mark.parametrize("stimuli", [[0, 0, 0], [0, 1, 2]])
    def test_too_little_to_tell(self, stimuli):
        count = len(set(stimuli))
        with pytest.raises(ValueError, match=f"3 trials of {count} stimuli: a noise ceiling needs repeats"):
            signal_to_noise_of_trials([(np.ones((3, 2), np.float32), np.array(stimuli))], count)

    def test_the_first_of_equals(self):
        values, stimuli = simulate(np.array([0.5, 2.0, 1.0]), np.full(40, 3))
        trials = [(values[:, [2, 1, 0, 1, 1]], stimuli)]
        assert most_reliable(iter(trials), 40, 2).tolist() == [1, 3]


def row(recording, frames, story, text="seen", times=()):
    name = f"c/{recording}/{frames[0]}"
    subject = recording.split("/")[0]
    return Sample(name, "c", subject, story, story, story, name, "", text, text, recording, frames, frame_times=times)


class TestRepeats:
    def test_images_of_a_subject(self):
        samples = [
            row("a/1", (0,), "x"),
            row("a/1", (1,), "y"),
            row("a/2", (0,), "x"),
            row("a/2", (3,), "z"),
            row("b/1", (0,), "y"),
            row("b/1", (2,), "z"),
            row("b/1", (1,), "z"),
        ]
        found = repeated_frames(samples)
        assert {name: table.tolist() for name, table in found.items()} == {
            "a/1": [[0, 0]],
            "a/2": [[0, 0]],
            "b/1": [[1, 0], [2, 0]],
        }

    def test_rows_of_one_frame_are_no_repeat(self):
        """Two cuts of a sentence share its brain, and overlapping windows share frames."""
        assert repeated_frames([row("a/1", (0,), "x"), row("a/1", (0,), "x")]) == {}
        windows = [row("a/1", (n, n + 1), "x", f"w{n}", (2.0 * n, 2.0 * n + 2)) for n in range(5)]
        assert repeated_frames(windows) == {}
        again = [replace(window, recording="a/2") for window in windows]
        found = repeated_frames(windows + again)
        assert found["a/1"].tolist() == found["a/2"].tolist() == [[n, n] for n in range(6)]

    def test_so_many_stimuli_at_most(self):
        samples = [row(f"a/{run}", (n,), str(n)) for run in (1, 2) for n in range(100)]
        found = repeated_frames(samples, most=10)
        assert found["a/1"][:, 0].tolist() == found["a/2"][:, 0].tolist() == list(range(0, 100, 11))
        assert found["a/1"][:, 1].tolist() == list(range(10))


def fit(values, stimuli, tmp_path, **options):
    """Three sessions of one subject, of levels and scales of their own."""
    recordings = [
        Recording(f"s/run{i}", "s", *part.shape, partial(np.asarray, part), session=f"{i}")
        for i, part in enumerate(values)
    ]
    training = {recording.recording_id: np.arange(recording.num_frames) for recording in recordings}
    recording_statistics = [
        compute_recording_statistics(r, training[r.recording_id], folder=tmp_path) for r in recordings
    ]
    repeats = {f"s/run{i}": np.stack([np.arange(len(part)), part], axis=1) for i, part in enumerate(stimuli)}
    options = {"standardize": "session", "bad_voxels": "drop", "dtype": "float32", "repeats": repeats, **options}
    return fit_preprocessing(recordings, recording_statistics, training, **options)


class TestChoice:
    RATIOS = np.where(np.isin(np.arange(30), [3, 4, 11, 19, 28]), 1.0, 0.1)

    def planted(self):
        values, stimuli = simulate(self.RATIOS, np.full(60, 3))
        parts = [part * (1 + n) + 10 * n for n, part in enumerate(np.array_split(values, 3))]
        return parts, np.array_split(stimuli, 3)

    def test_planted_voxels_are_found(self, tmp_path):
        values, stimuli = self.planted()
        values[1][3, 0] = np.nan  # useless voxels do not shift the numbers
        fitted = fit(values, stimuli, tmp_path, num_reliable_voxels=5)
        assert fitted.kept.tolist() == [3, 4, 11, 19, 28]
        assert fitted.width == 5
        plain = fit(values, stimuli, tmp_path)
        np.testing.assert_array_equal(fitted(values[2], "s/2"), plain(values[2], "s/2")[:, fitted.kept - 1])

    def test_components_are_those_of_the_chosen(self, tmp_path):
        fitted = fit(*self.planted(), tmp_path, num_reliable_voxels=5, num_components=2)
        assert fitted.components.shape == (2, 5)

    def test_more_than_there_are(self, tmp_path):
        with pytest.raises(ValueError, match="num_reliable_voxels=31, and s has 30 usable voxels; lower it"):
            fit(*self.planted(), tmp_path, num_reliable_voxels=31)

    def test_nothing_is_repeated(self, tmp_path):
        with pytest.raises(ValueError, match="num_reliable_voxels=5 for s: it perceived 0 training stimuli more than"):
            fit(*self.planted(), tmp_path, num_reliable_voxels=5, repeats={})


class ReleaseWithSignal:
    """A small NSD in which four voxels of subj02 answer to images."""

    PLANTED = (1, 4, 5, 9)

    def __init__(self, root):
        self.truth = write_nsd(root)

    def write(self, test_scale=1.0):
        """Betas again; what test images evoke is scaled."""
        truth, subject = self.truth, "subj02"
        mask = truth.regions[subject, "nsdgeneral"] > 0
        answers = np.random.default_rng(5).normal(0, 300, (1401, len(self.PLANTED)))
        for session in range(1, truth.num_sessions[subject] + 1):
            shown, steps = truth.shown(subject, session), truth.betas[subject, session].astype(float)
            values = steps[:, mask]
            values[:, list(self.PLANTED)] += answers[shown]
            values[np.isin(shown, truth.shared)] *= test_scale
            steps[:, mask] = values
            image = nib.Nifti1Image(np.moveaxis(np.rint(steps).astype(np.int16), 0, -1), np.eye(4))
            folder = truth.root / "nsddata_betas/ppdata" / subject / "func1pt8mm" / BETAS
            nib.save(image, folder / f"betas_session{session:02d}.nii.gz")


def chosen(root, cache, **options):
    builder = SmallNSD(
        data_dir=root, cache_dir=str(cache), subjects=["subj02"], num_reliable_voxels=4, **ANY, **options
    )
    builder.download_and_prepare()
    return builder, load_file(builder.prepared_dir / "subjects/subj02.safetensors")


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return ReleaseWithSignal(tmp_path_factory.mktemp("release") / "nsd")


class TestCorpus:
    def test_planted_voxels_are_chosen_with_their_places(self, release, tmp_path):
        release.write()
        builder, state = chosen(release.truth.root, tmp_path)
        assert state["kept"].tolist() == list(release.PLANTED)
        mask = release.truth.regions["subj02", "nsdgeneral"] > 0
        places = release.truth.places["subj02"][mask][list(release.PLANTED)]
        np.testing.assert_allclose(state["geometry/coordinates"], places, atol=1e-4)
        assert builder.corpus_info.preprocessing["num_reliable_voxels"] == 4
        assert builder.corpus_info.preprocessing["features"] == {"subj02": 4}
        assert np.shape(builder.as_dataset_dict()["test"][0]["brain_values"]) == (1, 4)

    def test_test_rows_have_no_say(self, release, tmp_path):
        """Whatever test images evoke, choice and statistics are the same bit for bit."""
        release.write()
        _, first = chosen(release.truth.root, tmp_path / "a")
        release.write(test_scale=-3.0)
        _, second = chosen(release.truth.root, tmp_path / "b")
        for name in ("kept", *(name for name in first if name.startswith(("mean", "deviation")))):
            np.testing.assert_array_equal(first[name], second[name])

    def test_the_leak_checker_knows_on_what_it_was_fitted(self, release, tmp_path):
        release.write()
        root = shutil.copytree(release.truth.root, tmp_path / "nsd")

        class Peeking(SmallNSD):
            def _divide(self, samples):
                kept, splits, _ = super()._divide(samples)
                return kept, splits, kept  # looks at all rows

        builder = Peeking(
            data_dir=root, cache_dir=str(tmp_path / "c"), num_reliable_voxels=2, test_repeats="single", **ANY
        )
        with pytest.raises(ValueError, match="choice of voxels"):
            builder.download_and_prepare()
