# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
A BIDS dataset with words in events.tsv and an fMRIPrep derivative, in small; nothing is shared with the reader.

Voxel 0 of the brain carries the centre of its frame in seconds of the scan, voxel 1 the number of the frame, the
others a fixed random map of the words that began one to four frames earlier, and noise.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np


TR = 2.0
#: Frames are resampled to this second after the beginning of their volume, as fMRIPrep's StartTime says.
START_TIME = 0.9
SHAPE = (5, 4, 3)
SLOPE = 0.03125
SPACE = "space-MNI152NLin2009cAsym_res-2"
_STORY = "a young wolf paints the silver clock beside her garden while seven quiet judges follow him home"
VOCABULARY = _STORY.split()


@dataclass
class BidsTruth:
    """What the files say."""

    values: dict[str, np.ndarray] = field(default_factory=dict)  # stem: [frames, voxels of its own mask]
    masks: dict[str, np.ndarray] = field(default_factory=dict)  # stem: [x, y, z]
    words: dict[str, list[tuple[str, float, float]]] = field(default_factory=dict)  # stem: in order of onset
    confounds: dict[str, np.ndarray] = field(default_factory=dict)  # stem: [frames, 3]


def affine():
    """Voxels of 2 x 2.5 x 3 mm, the first axis running from right to left."""
    matrix = np.diag([-2.0, 2.5, 3.0, 1.0])
    matrix[:3, 3] = [90, -126, -72]
    return matrix


def speak(seconds, seed):
    """Words (text, start, end) of a story that begins 4 s after the scan."""
    generator, words, time = np.random.default_rng(seed), [], 4.0
    while time < seconds - 1:
        length = round(float(generator.uniform(0.2, 0.5)), 3)
        words.append((VOCABULARY[int(generator.integers(len(VOCABULARY)))], round(time, 3), round(time + length, 3)))
        time += length + round(float(generator.uniform(0.05, 0.4)), 3)
    return words


def write_words(path, words, column="word", shuffle=True):
    """events.tsv with rows out of order and rows that are no words."""
    rows = [(onset, round(end - onset, 3), "word", text) for text, onset, end in words]
    rows += [(0.0, 4.0, "fixation", "n/a"), (-1.5, 0, "trigger", "n/a")]
    if shuffle:
        rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    lines = [("onset", "duration", "trial_type", column), *rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))


def respond(words, num_frames, num_voxels, seed):
    """Responses [frames, voxels], exact in steps of SLOPE."""
    weights = np.random.default_rng(7).standard_normal((len(VOCABULARY), num_voxels))
    values = np.random.default_rng(seed).standard_normal((num_frames, num_voxels))
    for text, onset, _ in words:
        frame = int(onset // TR)
        values[[frame + delay for delay in (1, 2, 3, 4) if frame + delay < num_frames]] += weights[
            VOCABULARY.index(text)
        ]
    frames = np.arange(num_frames)
    values = np.round(values / SLOPE) * SLOPE
    values[:, 0], values[:, 1] = np.round((START_TIME + TR * frames) / SLOPE) * SLOPE, frames
    return values


def write_series(path, values, mask, unit="sec", scaled=True):
    """A 4-D NIfTI whose values [frames, voxels] lie in the mask in C order; int16 with a slope, or float32."""
    series = np.zeros((*mask.shape, len(values)), np.float32)
    series[mask] = values.T
    stored = np.round(series / SLOPE).astype(np.int16) if scaled else series
    image = nib.Nifti1Image(stored, affine())
    if scaled:
        image.header.set_slope_inter(SLOPE, 0)
    image.header.set_xyzt_units("mm", unit)
    image.header.set_zooms((2, 2.5, 3, TR * 1000 if unit == "msec" else TR))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)


def write_mask(path, mask, matrix=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine() if matrix is None else matrix), path)


def write_confounds(path, confounds):
    """fMRIPrep's table: derivatives have no value in the first frame."""
    lines = [("trans_x", "trans_x_derivative1", "rot_z")]
    lines += [(a, "n/a" if row == 0 else b, c) for row, (a, b, c) in enumerate(confounds)]
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))


def bids(root, runs, *, num_frames=40, derivative="derivatives/fmriprep", json_fields=None) -> BidsTruth:
    """
    Writes the tree of one subject or more.

    Args:
        root: folder of the dataset.
        runs: for each raw stem, such as "sub-01_task-story_run-1", the seed of its story: equal seeds, equal words. In
            the derivative, runs are written with two digits.
        num_frames: of every run.
        derivative: folder of the derivative below the root.
        json_fields: what the sidecar of each series says beside its TR.
    """
    root, truth = Path(root), BidsTruth()
    fields = {"SliceTimingCorrected": True, "StartTime": START_TIME} if json_fields is None else json_fields
    generator = np.random.default_rng(1)
    for number, (stem, seed) in enumerate(runs.items()):
        parts = stem.split("_")
        place = Path(*[part for part in parts if part.startswith(("sub-", "ses-"))], "func")
        truth.words[stem] = speak(num_frames * TR, seed)
        write_words(root / place / f"{stem}_events.tsv", truth.words[stem])
        mask = np.zeros(SHAPE, bool)
        mask[1:, 1:, :2] = True
        mask[4, 2 + number % 2, 2] = True  # a voxel that other runs may not have
        truth.masks[stem] = mask
        values = respond(truth.words[stem], num_frames, int(mask.sum()), 100 + number)
        truth.values[stem] = values
        padded = "_".join(f"run-0{part[4:]}" if part.startswith("run-") else part for part in parts)
        folder = root / derivative / place
        write_series(folder / f"{padded}_{SPACE}_desc-preproc_bold.nii.gz", values, mask)
        (folder / f"{padded}_{SPACE}_desc-preproc_bold.json").write_text(json.dumps({"RepetitionTime": TR, **fields}))
        write_mask(folder / f"{padded}_{SPACE}_desc-brain_mask.nii.gz", mask)
        truth.confounds[stem] = generator.standard_normal((num_frames, 3)).round(6)
        write_confounds(folder / f"{padded}_desc-confounds_timeseries.tsv", truth.confounds[stem])
    (root / "dataset_description.json").write_text(json.dumps({"Name": "in small", "BIDSVersion": "1.8.0"}))
    return truth
