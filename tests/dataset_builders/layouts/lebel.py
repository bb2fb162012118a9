# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
ds003020 in small, written from a known truth with h5py and plain text; nothing here is shared with the reader.

The first voxels carry what a test wants to see again: voxel 0 the centre of its row in seconds of the TextGrid's
clock, voxel 1 the number of the row, voxel 2 the number of words that began in its two seconds. The others carry a
fixed random map of the words that began one to four rows earlier, and noise.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np


_STORY = "the old wolf carries a red lantern to that river and I know it well because we met there"
VOCABULARY = _STORY.split()
START = 0.0124716553288
TEST_STORY = "wheretheressmoke"


@dataclass
class LebelTruth:
    """What the files say. Word times are in seconds of the TextGrid's clock; words are as they should be read."""

    words: dict[str, list[tuple[str, float, float]]] = field(default_factory=dict)
    responses: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)  # subject, story: [frames, voxels]
    repeats: dict[str, np.ndarray] = field(default_factory=dict)  # subject: [repeats, frames, voxels]
    mask: np.ndarray | None = None  # [z, y, x], as pycortex holds it
    affine: np.ndarray | None = None  # of voxel indices (x, y, z)


def speak(seconds, seed):
    """Intervals (start, end, label as in the file, word or None) that follow one another from START to `seconds`."""
    generator = np.random.default_rng(seed)
    labels = {0: ("sp", None), 1: ("{LG}", None), 2: ("{NS}", None), 3: ("", None), 4: ("{BR}", None)}
    intervals, start = [], START
    while start < seconds - 1:
        end = round(start + float(generator.uniform(0.15, 0.7)), 3)
        draw = int(generator.integers(0, 40))
        word = VOCABULARY[draw % len(VOCABULARY)]
        intervals.append((start, end, *labels.get(draw, (word.upper(), word.lower()))))
        start = end
    return [*intervals, (start, seconds, "sp", None)]


def _tiers(intervals):
    """The tiers `phone` and `word`; a word's phones are two halves of its time."""
    phones = []
    for start, end, label, word in intervals:
        if word is None:
            phones.append((start, end, "sp"))
        else:
            middle = round((start + end) / 2, 4)
            phones += [(start, middle, f"{label[0]}1"), (middle, end, "X")]
    return {"phone": phones, "word": [(start, end, label) for start, end, label, _ in intervals]}


def long_textgrid(tiers, seconds):
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", f"xmin = {START} ", f"xmax = {seconds} "]
    lines += ["tiers? <exists> ", f"size = {len(tiers)} ", "item []: "]
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier" ', f'        name = "{name}" ']
        lines += [f"        xmin = {START} ", f"        xmax = {seconds} "]
        lines += [f"        intervals: size = {len(intervals)} "]
        for index, (start, end, label) in enumerate(intervals, 1):
            lines += [f"        intervals [{index}]:", f"            xmin = {start} ", f"            xmax = {end} "]
            lines += [f'            text = "{label}" ']
    return "\n".join(lines) + "\n"


def short_textgrid(tiers, seconds):
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", START, seconds, "<exists>", len(tiers)]
    for name, intervals in tiers.items():
        lines += ['"IntervalTier"', f'"{name}"', START, seconds, len(intervals)]
        for start, end, label in intervals:
            lines += [start, end, f'"{label}"']
    return "\n".join(map(str, lines)) + "\n"


def chronological_textgrid(tiers, seconds):
    lines = ['"Praat chronological TextGrid text file"', f"{START} {seconds}   ! Time domain."]
    lines += [f"{len(tiers)}   ! Number of tiers."]
    lines += [f'"IntervalTier" "{name}" {START} {seconds}' for name in tiers]
    entries = [
        (start, number, name, end, label)
        for number, (name, intervals) in enumerate(tiers.items(), 1)
        for start, end, label in intervals
    ]
    for start, number, name, end, label in sorted(entries):
        lines += ["", f"! {name}:", f"{number} {start} {end}", f'"{label}"']
    return "\n".join(lines) + "\n"


#: Forms of the files in turn; the third has the line ends of Windows.
FORMS = (
    long_textgrid,
    short_textgrid,
    lambda tiers, seconds: long_textgrid(tiers, seconds).replace("\n", "\r\n"),
    chronological_textgrid,
)


def write_textgrid(path, seconds, seed, form):
    """Writes a story and returns its words."""
    intervals = speak(seconds, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(form(_tiers(intervals), seconds).encode())
    return [(word, start, end) for start, end, _, word in intervals if word is not None]


def respond(words, num_frames, num_voxels, seed, first_centre=11.0):
    """Responses [frames, voxels], float64, to the words of a story."""
    generator = np.random.default_rng(seed)
    weights = np.random.default_rng(7).standard_normal((len(VOCABULARY), num_voxels))
    lower = [word.lower() for word in VOCABULARY]
    rows = np.arange(num_frames)
    values = generator.standard_normal((num_frames, num_voxels))
    counts = np.zeros(num_frames)
    for word, start, _ in words:
        row = int((start - first_centre + 1) // 2)
        if 0 <= row < num_frames:
            counts[row] += 1
        later = [row + delay for delay in (1, 2, 3, 4) if 0 <= row + delay < num_frames]
        values[later] += weights[lower.index(word)] / 2
    values[:, 0], values[:, 1], values[:, 2] = 2 * rows + first_centre, rows, counts
    return values


def _mask(num_voxels, seed):
    """A mask [z, y, x] of so many voxels, no two axes alike."""
    mask = np.zeros((5, 7, 6), bool)
    places = np.random.default_rng(seed).permutation(mask.size)[:num_voxels]
    mask.ravel()[places] = True
    return mask


def write_hf5(path, arrays):
    """One contiguous array for each name, as `file[name] = array` leaves them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def lebel(root, frames, voxels, num_repeats=3, num_nan=2) -> LebelTruth:
    """
    Writes the tree.

    Args:
        root: folder of the dataset.
        frames: frames of the responses of each story; the raw scan had 20 more.
        voxels: number of voxels of each subject.
        num_repeats: repeats of the test story.
        num_nan: the last so many voxels are NaN throughout.
    """
    root = Path(root)
    derivative, truth = root / "derivative", LebelTruth()
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").write_text('{"Name": "in small", "BIDSVersion": "1.2.1", "License": "CC0"}')
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\n" + "".join(f"sub-{s}\tn/a\tn/a\n" for s in voxels)
    )
    for number, (story, length) in enumerate(frames.items()):
        path = derivative / "TextGrids" / f"{story}.TextGrid"
        truth.words[story] = write_textgrid(path, 2.0 * (length + 20) - 20, number, FORMS[number % len(FORMS)])
    lengths = {story: length + 20 for story, length in frames.items()}
    (derivative / "respdict.json").write_text(json.dumps(lengths))
    (derivative / "subject_xfms.json").write_text(json.dumps({subject: f"{subject}_auto" for subject in voxels}))
    for index, (subject, num_voxels) in enumerate(voxels.items()):
        truth.responses[subject] = {}
        for number, (story, length) in enumerate(frames.items()):
            seed = 100 * index + 10 * number
            values = respond(truth.words[story], length, num_voxels, seed)
            arrays = {"data": values}
            if story == TEST_STORY:
                noise = np.random.default_rng(seed + 1).standard_normal((num_repeats, length, num_voxels))
                noise[:, :, :3] = 0
                repeats = values + noise
                repeats[:, :, num_voxels - num_nan :] = np.nan
                truth.repeats[subject] = repeats
                # 120 bytes that nobody has described, as in the published files.
                arrays = {"data": repeats.mean(0), "individual_repeats": repeats, "unknown": np.zeros(15)}
            arrays["data"][:, num_voxels - num_nan :] = np.nan
            truth.responses[subject][story] = arrays["data"]
            write_hf5(derivative / "preprocessed_data" / subject / f"{story}.hf5", arrays)
    first, num_voxels = next(iter(voxels.items()))
    truth.mask, truth.affine = _mask(num_voxels, 5), np.diag([-2.5, 2.5, 3.0, 1.0])
    truth.affine[:3, 3] = [90, -120, -60]
    write_mask(derivative / "pycortex-db" / first, f"{first}_auto", truth.mask, truth.affine)
    return truth


def write_mask(folder, transform, mask, affine):
    """`mask_thick.nii.gz` as pycortex saves it: the mask [z, y, x] transposed to [x, y, z]."""
    path = folder / "transforms" / transform / "mask_thick.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(mask.astype(np.uint8).T, affine), path)


def write_raw_names(root, subject, sessions):
    """Empty raw files, of which only the names are read: `sessions[session]` lists stories, or (story, run)."""
    for session, stories in sessions.items():
        folder = Path(root) / f"sub-{subject}" / f"ses-{session}" / "func"
        folder.mkdir(parents=True)
        for story in stories:
            task = story if isinstance(story, str) else f"{story[0]}_run-{story[1]}"
            (folder / f"sub-{subject}_ses-{session}_task-{task}_bold.json").write_text("{}")
