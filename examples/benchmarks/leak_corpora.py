# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Corpora of three shapes, without any leak, and their divisions: what `leak_table.py` plants leaks in."""

from dataclasses import dataclass, field, replace

import numpy as np

from dataset_builders.schema import TEST, TRAIN, Sample
from dataset_builders.splitting.leaks import digest_frames, find_leaks
from dataset_builders.splitting.policies import assign_splits


NUM_FEATURES, TR = 96, 2.0
SUBJECTS = ("S1", "S2", "S3")


@dataclass
class Corpus:
    """Rows and brain values, their division, and what was fitted or chosen on them."""

    shape: str
    samples: list[Sample]
    values: dict[str, np.ndarray]
    splits: np.ndarray
    policy: str = "passage"
    fitted_on: dict = field(default_factory=dict)
    tuned_on: dict = field(default_factory=dict)

    def rows(self, split: str) -> np.ndarray:
        return np.flatnonzero(self.splits == split)

    def change(self, row: int, **changes: object) -> None:
        self.samples[row] = replace(self.samples[row], **changes)

    def append(self, sample: Sample, split: str) -> None:
        self.samples.append(sample)
        self.splits = np.append(self.splits, split)

    def findings(self) -> list[dict]:
        digests = {name: digest_frames(values) for name, values in self.values.items()}
        evidence = {"fitted_on": self.fitted_on, "tuned_on": self.tuned_on}
        return find_leaks(self.samples, self.splits, digests, policy=self.policy, **evidence)


class Speech:
    """Words as frequent as in a language (Zipf), so that short phrases recur by chance."""

    def __init__(self, generator: np.random.Generator, vocabulary: int = 600):
        syllables = ("ba", "to", "mi", "ru", "ne", "ka", "lo", "si", "du", "pe", "an", "ol")
        self.generator = generator
        self.words = np.array(
            ["".join(generator.choice(syllables, 1 + n % 3)) + "xyz"[n % 3] for n in range(vocabulary)]
        )
        self.odds = 1 / np.arange(1, vocabulary + 1)
        self.odds /= self.odds.sum()

    def say(self, count: int) -> list[str]:
        return self.generator.choice(self.words, count, p=self.odds).tolist()


def sentences(generator: np.random.Generator) -> tuple[list[Sample], dict[str, np.ndarray]]:
    """Passages of four sentences, each read once and cut in three; components of falling variance; no clock."""
    speech, samples = Speech(generator), []
    texts = [[speech.say(int(generator.integers(9, 14))) for _ in range(4)] for _ in range(36)]
    scale = 800 / np.sqrt(1 + np.arange(NUM_FEATURES))
    values = {f"{s}/run": (scale * generator.standard_normal((144, NUM_FEATURES))).astype("f4") for s in SUBJECTS}
    for subject in SUBJECTS:
        for passage, lines in enumerate(texts):
            for index, words in enumerate(lines):
                for k, cut in ((1, slice(3, 6)), (2, slice(6, None))):
                    name = f"sentences/{subject}/{passage:03d}/{index}"
                    samples.append(
                        Sample(
                            sample_id=f"{name}/{k}", corpus="sentences", subject=subject, stimulus=f"{passage:03d}",
                            group=f"{passage:03d}", topic=f"topic{passage // 3}", brain_id=name,
                            prompt=" ".join(words[: 3 * k]), completion=" ".join(words[cut]), text=" ".join(words),
                            recording=f"{subject}/run", frames=(4 * passage + index,),
                        )
                    )  # fmt: skip
    return samples, values


def windows(generator: np.random.Generator) -> tuple[list[Sample], dict[str, np.ndarray]]:
    """Stories heard by all: the words of a volume, frames that follow, a prompt that looks back; slow raw values."""
    speech, samples, values = Speech(generator), [], {}
    baseline = generator.normal(1000, 300, NUM_FEATURES)
    for story in (f"story{number:02d}" for number in range(10)):
        heard = [speech.say(int(generator.integers(3, 8))) for _ in range(60)]
        for subject in SUBJECTS:
            drift = np.cumsum(generator.normal(0, 2, (66, NUM_FEATURES)), axis=0)
            values[f"{subject}/{story}"] = (baseline + drift + generator.normal(0, 5, drift.shape)).astype("f4")
            for volume in range(4, 60):
                frames = tuple(range(volume + 1, volume + 5))
                words, name = heard[volume], f"windows/{subject}/{story}/{volume}"
                onsets = tuple(TR * (volume + place / len(words)) for place in range(len(words)))
                prompt = " ".join(word for part in heard[volume - 4 : volume] for word in part)
                samples.append(
                    Sample(
                        sample_id=name, corpus="windows", subject=subject, stimulus=story, group=story, topic=story,
                        brain_id=name, prompt=prompt, completion=" ".join(words), text=f"{prompt} {' '.join(words)}",
                        recording=f"{subject}/{story}", frames=frames, words=tuple(words), word_onsets=onsets,
                        word_offsets=tuple(onset + 0.2 for onset in onsets),
                        frame_times=tuple(TR * (frame + 0.5) for frame in frames),
                        official_split=TEST if story == "story03" else TRAIN,
                    )
                )  # fmt: skip
    return samples, values


def images(generator: np.random.Generator) -> tuple[list[Sample], dict[str, np.ndarray]]:
    """Images with five captions, some of them common ones, seen three times; a third is shared by all subjects."""
    speech, samples, values = Speech(generator), [], {}
    common = [f"A {word} riding a wave." for word in speech.say(6)]

    def captions() -> tuple[str, ...]:
        usual = generator.choice(common, int(generator.integers(0, 3)), replace=False).tolist()
        return (*usual, *(f"A {' '.join(speech.say(7))}." for _ in range(5 - len(usual))))

    shared = {f"nsd/{number}": captions() for number in range(40)}
    for offset, subject in enumerate(SUBJECTS, 1):
        seen = shared | {f"nsd/{1000 * offset + number}": captions() for number in range(80)}
        trials = generator.permutation(np.repeat(sorted(seen), 3)).tolist()
        betas = np.rint(generator.normal(0, 300, (len(trials), NUM_FEATURES)))
        values[f"{subject}/session01"] = (betas / 300).astype("f4")
        for trial, image in enumerate(trials):
            name = f"images/{subject}/session01/{trial}"
            samples.append(
                Sample(
                    sample_id=name, corpus="images", subject=subject, stimulus=image, group=image, topic=image,
                    brain_id=name, prompt="", completion=seen[image][0], text=seen[image][0],
                    recording=f"{subject}/session01", frames=(trial,), references=seen[image],
                    official_split=TEST if image in shared else TRAIN,
                )
            )  # fmt: skip
    return samples, values


SHAPES = {"sentences": sentences, "windows": windows, "images": images}
# Shape → the policies that suit it, with their options.
POLICIES = {
    "sentences": (("passage", {}), ("topic", {}), ("subject", {"fold": 1})),
    "windows": (
        ("passage", {}),
        ("official", {}),
        ("subject", {"test_subjects": ["S3"]}),
        ("time", {"num_folds": 4, "gap_frames": 4}),
    ),
    "images": (("passage", {}), ("official", {}), ("subject", {"test_subjects": ["S3"]})),
}


def make(shape: str, seed: int, policy: str = "passage", **options: object) -> Corpus:
    """A clean corpus, divided."""
    samples, values = SHAPES[shape](np.random.default_rng(seed))
    return Corpus(shape, samples, values, assign_splits(samples, policy, seed=seed, **options), policy)
