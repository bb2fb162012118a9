# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
A BIDS dataset whose events name stimuli, in small, with series and with betas; nothing is shared with the reader.

As in [`layouts.bids`], voxel 0 carries the centre of its frame in seconds of the scan and voxel 1 its number. In betas
voxel 0 carries the number of the trial.
"""

import json
from pathlib import Path

import numpy as np
from layouts.bids import SHAPE, SLOPE, SPACE, START_TIME, TR, write_mask, write_series


#: Sentences about which nothing is alike.
SENTENCES = {
    "s1": "Seven quiet judges follow the wolf through a frozen orchard at noon.",
    "s2": "My aunt repairs broken clocks in a cellar below the old harbor.",
    "s3": "Nobody had told the pianist that her audience was made of stone.",
    "s4": "Trains from the north bring salt, letters and one tired giraffe.",
    "s5": "We painted both doors yellow because the storm had taken the roof.",
    "s6": "Under this bridge a boy once sold maps of cities that never were.",
    "s7": "A careful baker counts every raisin before the town wakes up.",
    "s8": "The last lighthouse keeper writes poems about his three goats.",
}


def write_stimuli(path, rows, columns=("stimulus_id", "text")):
    """The table of stimuli from its cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in [columns, *rows]))


def write_trials(path, trials, column="stim_id"):
    """events.tsv with rows out of order and rows that are no trials."""
    rows = [(onset, 2.0, "sentence", name) for onset, name in trials]
    rows += [(0.0, 2.0, "fixation", "n/a"), (trials[0][0] + 3, 0.1, "button", "n/a")]
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [("onset", "duration", "trial_type", column), *rows]
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))


def trial_dataset(root, runs, stimuli=None, num_frames=60):
    """
    Writes the dataset.

    Args:
        root: its folder.
        runs: for each raw stem its trials (onset, name of the stimulus) in order.
        stimuli: texts by name; [`SENTENCES`] by default.
        num_frames: of every series.
    """
    root, mask = Path(root), np.zeros(SHAPE, bool)
    mask[1:, 1:, :2] = True
    write_stimuli(root / "stimuli" / "stimuli.tsv", (stimuli or SENTENCES).items())
    (root / "dataset_description.json").write_text(json.dumps({"Name": "trials", "BIDSVersion": "1.10.0"}))
    for number, (stem, trials) in enumerate(runs.items()):
        place = Path(*[part for part in stem.split("_") if part.startswith(("sub-", "ses-"))], "func")
        write_trials(root / place / f"{stem}_events.tsv", trials)
        generator, folder = np.random.default_rng(number), root / "derivatives/fmriprep" / place
        values = np.round(generator.standard_normal((num_frames, mask.sum())) / SLOPE) * SLOPE
        values[:, 0] = np.round((START_TIME + TR * np.arange(num_frames)) / SLOPE) * SLOPE
        values[:, 1] = np.arange(num_frames)
        write_series(folder / f"{stem}_{SPACE}_desc-preproc_bold.nii.gz", values, mask)
        said = json.dumps({"RepetitionTime": TR, "StartTime": START_TIME})
        (folder / f"{stem}_{SPACE}_desc-preproc_bold.json").write_text(said)
        write_mask(folder / f"{stem}_{SPACE}_desc-brain_mask.nii.gz", mask)
        betas = np.round(generator.standard_normal((len(trials), mask.sum())) / SLOPE) * SLOPE
        betas[:, 0] = np.arange(len(trials))
        write_series(folder / f"{stem}_{SPACE}_desc-trials_betaseries.nii.gz", betas, mask)
