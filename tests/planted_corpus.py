# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A corpus in the plainest layout, for tests of what all corpora share: one .npy file a run."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from dataset_builders.corpora.base import BrainCorpusBuilder
from dataset_builders.schema import Geometry, Recording, Sample


NUM_VOXELS, NUM_FRAMES = 40, 24
STORIES = [f"story{number}" for number in range(6)]


def write_planted(folder: Path, subjects=("s1", "s2"), seed: int = 0, num_voxels: int = NUM_VOXELS) -> dict:
    """Writes `<subject>/<story>.npy` and returns them; `s2` has three voxels more."""
    generator = np.random.default_rng(seed)
    truth = {}
    for number, subject in enumerate(subjects):
        for story in STORIES:
            shape = (NUM_FRAMES, num_voxels + 3 * number)
            values = generator.normal(generator.normal(0, 3, shape[1]), 2, shape).astype(np.float32)
            (folder / subject).mkdir(parents=True, exist_ok=True)
            np.save(folder / subject / f"{story}.npy", values)
            truth[f"{subject}/{story}"] = values
    return truth


class PlantedCorpus(BrainCorpusBuilder):
    """Stories of invented words; four frames follow each word."""

    SOURCE_PATTERNS = ("*/*.npy",)
    LICENCE = "CC0"
    CITATION = HOMEPAGE = ""
    REDISTRIBUTION = "Free."
    MAY_REDISTRIBUTE = True

    @property
    def corpus_name(self) -> str:
        return "planted"

    def list_recordings(self) -> list[Recording]:
        files = sorted(Path(str(self.config.data_dir)).glob("*/*.npy"))
        return [
            Recording(
                recording_id=f"{file.parent.name}/{file.stem}",
                subject=file.parent.name,
                num_frames=NUM_FRAMES,
                num_features=open_memmap(file, "r").shape[1],
                read=partial(open_memmap, file, "r"),
                session=f"session{int(file.stem[-1]) // 2}",
                sources=(file,),
            )
            for file in files
        ]

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        return [self._sample(recording, start) for recording in recordings for start in range(1, NUM_FRAMES - 4)]

    def _sample(self, recording: Recording, start: int) -> Sample:
        story = recording.recording_id.split("/")[1]
        name = f"planted/{recording.recording_id}/{start}"
        return Sample(
            sample_id=name,
            corpus="planted",
            subject=recording.subject,
            stimulus=story,
            group=story,
            topic=story,
            brain_id=name,
            prompt=" ".join(f"{story}word{n}" for n in range(start)),
            completion=f"{story}word{start}",
            text=f"{story}word{start}",
            recording=recording.recording_id,
            frames=tuple(range(start, start + 4)),
            session=recording.session,
        )

    def geometry(self, subject: str) -> Geometry:
        count = NUM_VOXELS + (3 if subject == "s2" else 0)
        labels = np.zeros(count, np.int16)
        labels[:5], labels[5:12] = 1, 2
        places = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
        return Geometry(places, "planted", {"atlas": labels}, {"atlas": ["front", "back"]})
