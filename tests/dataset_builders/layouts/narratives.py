# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
ds002345 with its derivatives and alignments in small, written from a known truth; nothing is shared with the reader.

The first vertices carry what a test wants to see again: left 0 the centre of its frame in seconds of the audio file,
left 1 the number of the frame, right 0 the number of words that begin during the frame. The others carry a fixed
random map of the words that began one to four frames earlier, and noise; the last ones are the medial wall.
"""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np


TR = 1.5
_STORY = "the old wolf carries Jared's red lantern to that river and I know it well because we met there"
VOCABULARY = _STORY.split()
#: Out of the aligner's vocabulary, though it has a time.
UNKNOWN = "Jared's"

#: Rows of events.tsv as published, onsets untouched and stories cut short: onset, duration, kind, audio file.
EVENTS = {
    "pieman": [(0.0, 13.0, "music", "pieman"), (15.0, 45.0, "story", "pieman")],
    "piemanpni": [(12.0, 45.0, "story", "piemanpni")],
    "lucy": [(3.0, 45.0, "story", "lucy")],
    "tunnel": [(3.0, 45.0, "story", "tunnel")],
    "sherlock": [(4.5, 25.0, "music", "sherlock"), (33.5, 45.0, "story", "sherlock")],
    "notthefalllongscram": [
        (4.5, 22.0, "music", "notthefalllongscram"),
        (29.5, 45.0, "story", "notthefalllongscram"),
    ],
    "milkyway": [(0.0, 18.0, "music", "milkyway{condition}"), (21.0, 45.0, "story", "milkyway{condition}")],
    "slumlordreach": [
        (4.5, 22.0, "music", "slumlordreach"),
        (29.5, 45.0, "story", "slumlordreach"),
        (944.5, 22.0, "music", "slumlordreach"),
        (969.5, 45.0, "story", "slumlordreach"),
    ],
    "schema": [
        (5.0, 20.0, "movie", None),
        (30.93, 30.0, "story", "friends"),
        (66.17, 15.0, "movie", None),
        (85.61, 30.0, "story", "bigbang"),
    ],
}
#: Second of the audio file at which the first story of each task begins; 0 where no music opens the file.
MUSIC = {"pieman": 15.0, "sherlock": 29.0, "milkyway": 21.0, "notthefalllongscram": 25.0, "slumlordreach": 25.0}


@dataclass
class NarrativesTruth:
    """What the files say."""

    values: dict[str, np.ndarray] = field(default_factory=dict)  # stem: [frames, vertices of both hemispheres]
    words: dict[str, list[tuple[str, float, float]]] = field(default_factory=dict)  # audio file: words with times
    audio_starts: dict[str, float] = field(default_factory=dict)  # stem: second of the scan


def events(task, condition=""):
    """Rows of the task's events.tsv."""
    return [
        (onset, duration, kind, audio and audio.format(condition=condition))
        for onset, duration, kind, audio in EVENTS[task]
    ]


def write_events(path, rows, header=("onset", "duration", "trial_type", "stim_file")):
    lines = [header]
    lines += [(o, d, kind, f"{audio}_audio.wav" if audio else "n/a") for o, d, kind, audio in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))


def speak(spans, seed):
    """Words (text, start, end) within spans (start, end) of an audio file; ends touch no next start."""
    generator, words = np.random.default_rng(seed), []
    for start, end in spans:
        time = start + 0.2
        while time < end - 1:
            length = round(float(generator.uniform(0.15, 0.45)), 2)
            text = VOCABULARY[int(generator.integers(len(VOCABULARY)))]
            words.append((text, round(time, 2), round(time + length, 2)))
            time += length + round(float(generator.uniform(0.05, 0.3)), 2)
    return words


def write_alignment(folder, words, unaligned_at=3):
    """align.csv, align.json and transcript.txt as gentle writes them, with one more word that was not found."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [(text, "<unk>" if text == UNKNOWN else text.lower(), start, end) for text, start, end in words]
    entries.insert(unaligned_at, ("um", None, None, None))
    with (folder / "align.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["" if part is None else part for part in entry] for entry in entries])
    transcript, found = "", []
    for text, aligned, start, end in entries:
        word = {"word": text, "case": "not-found-in-audio", "startOffset": len(transcript)}
        word["endOffset"] = len(transcript) + len(text)
        if aligned is not None:
            phones = [{"phone": "ah_S", "duration": round(end - start, 3)}]
            word |= {"case": "success", "alignedWord": aligned, "start": start, "end": end, "phones": phones}
        transcript += f"{text}, "
        found.append(word)
    content = {"transcript": transcript, "words": found}
    (folder / "align.json").write_text(json.dumps(content, sort_keys=True, indent=4))
    (folder / "transcript.txt").write_text(transcript)


def respond(words, num_frames, vertices, start, medial_wall, seed):
    """Responses [frames, 2 * vertices] to words whose clock began at second `start` of the scan."""
    generator = np.random.default_rng(seed)
    weights = np.random.default_rng(7).standard_normal((len(VOCABULARY), 2 * vertices))
    values = generator.standard_normal((num_frames, 2 * vertices))
    counts = np.zeros(num_frames)
    for text, onset, _ in words:
        frame = int((onset + start) // TR)
        if 0 <= frame < num_frames:
            counts[frame] += 1
        values[[frame + delay for delay in (1, 2, 3, 4) if 0 <= frame + delay < num_frames]] += weights[
            VOCABULARY.index(text)
        ]
    frames = np.arange(num_frames)
    values[:, 0], values[:, 1], values[:, vertices] = TR * (frames + 0.5) - start, frames, counts
    values[:, vertices - 3 : vertices] = medial_wall
    values[:, 2 * vertices - 2 :] = medial_wall
    return values.astype(np.float32)


def write_surface(path, values):
    """A GIFTI series as fMRIPrep writes it: one data array a frame."""
    arrays = [
        nib.gifti.GiftiDataArray(frame, intent="NIFTI_INTENT_TIME_SERIES", datatype="NIFTI_TYPE_FLOAT32")
        for frame in values
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.gifti.GiftiImage(darrays=arrays), path)


def write_volume(path, values, mask, affine):
    """A NIfTI series, float32, whose values [frames, voxels] lie in the mask [x, y, z] in C order."""
    series = np.zeros((*mask.shape, len(values)), np.float32)
    series[mask] = values.T
    image = nib.Nifti1Image(series, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((*image.header.get_zooms()[:3], TR))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)


def audio_names(task, condition):
    return sorted({audio for _, _, _, audio in events(task, condition) if audio})


def write_words(root, truth, task, condition):
    """Alignments of the audio files that a task plays."""
    rows = events(task, condition)
    offset = MUSIC.get(task, 0.0)
    for number, audio in enumerate(audio_names(task, condition)):
        stories = [row for row in rows if row[2] == "story" and row[3] == audio]
        first = stories[0][0]
        spans = [(onset - first + offset, onset - first + offset + length) for onset, length, _, _ in stories]
        truth.words[audio] = speak(spans, sum(map(ord, audio)) + number)
        write_alignment(root / "stimuli" / "gentle" / audio, truth.words[audio])


def narratives(root, scans, *, vertices=16, derivative="afni-nosmooth", desc="_desc-clean", medial_wall=0.0):
    """
    Writes the tree.

    Args:
        root: folder of the dataset.
        scans: for each stem, such as "sub-001_task-pieman_run-1", the condition of the subject ("" for none).
        vertices: of one hemisphere; fsaverage6 has 40,962.
        derivative, desc: where surfaces lie, and what their names hold beside space and hemisphere.
        medial_wall: value of the last vertices of each hemisphere; NaN in fMRIPrep's output.
    """
    root, truth = Path(root), NarrativesTruth()
    people: dict[str, list[tuple[str, str]]] = {}
    for stem, condition in scans.items():
        subject, task = stem.split("_")[0], stem.split("_task-")[1].split("_")[0]
        people.setdefault(subject, [])
        if (task, condition) not in people[subject]:
            people[subject].append((task, condition))
        rows = events(task, condition)
        write_events(root / subject / "func" / f"{stem}_events.tsv", rows)
        if any(audio not in truth.words for audio in audio_names(task, condition)):
            write_words(root, truth, task, condition)
        story = next(row for row in rows if row[2] == "story")
        start = story[0] - MUSIC.get(task, 0.0)
        num_frames = int(np.ceil((rows[-1][0] + rows[-1][1]) / TR)) + 8
        words = [] if task == "schema" else truth.words[story[3]]
        values = respond(words, num_frames, vertices, start, medial_wall, sum(map(ord, stem)))
        truth.values[stem], truth.audio_starts[stem] = values, start
        folder = root / "derivatives" / derivative / subject / "func"
        for side, part in (("L", values[:, :vertices]), ("R", values[:, vertices:])):
            write_surface(folder / f"{stem}_space-fsaverage6_hemi-{side}{desc}.func.gii", part)
    lines = ["participant_id\tage\tsex\ttask\tcondition\tcomprehension"]
    for subject, heard in people.items():
        several = len(heard)
        tasks, conditions = ",".join(t for t, _ in heard), ",".join(c or "n/a" for _, c in heard)
        lines.append(
            "\t".join([subject, ",".join(["20"] * several), ",".join(["F"] * several), tasks, conditions, "n/a"])
        )
    (root / "participants.tsv").write_text("\n".join(lines) + "\n")
    (root / "task-pieman_bold.json").write_text(json.dumps({"RepetitionTime": TR, "TaskName": "pieman"}))
    return truth


def write_cortex_mask(root, derivative, vertices):
    """`tpl-fsaverage6_hemi-L_desc-cortex_mask.gii`: 1 in the cortex, 0 in the medial wall."""
    for side, wall in (("L", 3), ("R", 2)):
        mask = np.ones(vertices, np.float32)
        mask[vertices - wall :] = 0
        folder = root / "derivatives" / derivative / "tpl-fsaverage6"
        write_surface(folder / f"tpl-fsaverage6_hemi-{side}_desc-cortex_mask.gii", mask[None])
