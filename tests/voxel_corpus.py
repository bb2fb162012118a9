# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A tiny prepared corpus of voxels: three people with voxels of their own, tuned by place."""

import json
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict
from safetensors.numpy import save_file


VOXELS = {"s1": 40, "s2": 34, "s3": 37}
WIDTH = 6
ATLASES = {"streams": ["front", "back"], "areas": ["one", "two", "three"]}


def write_voxel_corpus(
    folder: Path,
    images: int = 30,
    repeats: int = 1,
    noise: float = 0.3,
    seed: int = 0,
    subjects: tuple = tuple(VOXELS),
) -> Path:
    """
    Writes the folder that a corpus builder would have written: all people see all images of a split.

    Rows carry `text_embedding`, to which the voxels of every brain respond linearly.
    """
    generator = np.random.default_rng(seed)
    brains = {subject: _Brain(subject) for subject in subjects}
    splits = {}
    for split, count in (("train", images), ("validation", max(4, images // 3)), ("test", max(4, images // 3))):
        embeddings = generator.standard_normal((count, WIDTH)).astype(np.float32)
        splits[split] = Dataset.from_list(
            [
                _row(subject, split, image, repeat, brain.respond(embeddings[image], noise, generator), embeddings)
                for subject, brain in brains.items()
                for image in range(count)
                for repeat in range(repeats)
            ]
        )
    DatasetDict(splits).save_to_disk(folder)
    for subject, brain in brains.items():
        brain.save(folder / "subjects" / f"{subject}.safetensors")
    (folder / "corpus.json").write_text("{}")
    return folder


class _Brain:
    """Where the voxels of one person lie (millimetres), and to what each responds."""

    def __init__(self, subject: str):
        generator = np.random.default_rng([7, list(VOXELS).index(subject)])
        count = VOXELS[subject]
        self.places = (40 * generator.uniform(-1, 1, (count, 3))).astype(np.float32)
        self.labels = {name: generator.integers(-1, len(names) + 1, count) for name, names in ATLASES.items()}
        common = np.random.default_rng(8)  # the same function of the place in all brains
        waves, phases = common.standard_normal((3, 64)) / 25, common.uniform(0, 2 * np.pi, 64)
        self.tuning = np.cos(self.places @ waves + phases) @ common.standard_normal((64, WIDTH)) / 6

    def respond(self, embedding: np.ndarray, noise: float, generator: np.random.Generator) -> np.ndarray:
        return self.tuning @ embedding + noise * generator.standard_normal(len(self.tuning))

    def save(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        state = {"kept": np.arange(len(self.places)), "unusable": np.zeros(len(self.places), bool)}
        state |= {"geometry/coordinates": self.places}
        state |= {f"geometry/roi/{name}": labels.astype(np.int16) for name, labels in self.labels.items()}
        words = {"dtype": "float32", "space": "common", "roi_names": ATLASES}
        save_file(state, path, {"brainllm": json.dumps(words)})


def _row(
    subject: str, split: str, image: int, repeat: int, values: np.ndarray, embeddings: np.ndarray
) -> dict[str, object]:
    name, caption = f"tiny/{subject}/{split}/{image}/{repeat}", f"the cat is number {image} ."
    return {
        "sample_id": name,
        "corpus": "tiny",
        "subject": subject,
        "stimulus": f"{split}/{image}",
        "group": f"{split}/{image}",
        "topic": "t",
        "brain_id": name,
        "prompt": "",
        "completion": caption,
        "text": caption,
        "references": [caption, f"a {image} ."],
        "brain_values": [values.astype(np.float32).tolist()],
        "text_embedding": embeddings[image].tolist(),
    }
