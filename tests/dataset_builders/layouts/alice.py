# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The files of Alice 2016 in small, from a known truth; no code of the reader's.

Time courses are noise. The last of the people is all zeros, as s33 is.
"""

from dataclasses import dataclass, field

import numpy as np

from .lebel import START, long_textgrid


REGIONS, DISCARDED, SILENCE = 6, 10, 20.0


@dataclass
class AliceTruth:
    """Words with their times; for each person time courses, movement (published volumes), rate and power."""

    words: list[tuple[str, float, float]]
    courses: dict[str, np.ndarray] = field(default_factory=dict)
    movement: dict[str, np.ndarray] = field(default_factory=dict)
    rate: dict[str, np.ndarray] = field(default_factory=dict)
    power: dict[str, np.ndarray] = field(default_factory=dict)


def alice(root, num_people=3, num_volumes=150, seed=0):
    """Writes the tree and returns what is in it."""
    generator = np.random.default_rng(seed)
    end = SILENCE + 2 * num_volumes - 10
    intervals, words, start = [(START, SILENCE + 0.05, "sp")], [], SILENCE + 0.05
    while start < end - 1:
        stop = round(start + float(generator.uniform(0.2, 0.7)), 3)
        spoken = generator.uniform() > 0.15
        label = f"Word{len(words)}'s" if spoken else "sp"
        intervals.append((start, stop, label))
        if spoken:
            words.append((label, start, stop))
        start = stop
    truth = AliceTruth(words)
    (root / "stimuli").mkdir(parents=True)
    text = long_textgrid({"word": intervals}, start)
    (root / "stimuli" / "chapter.TextGrid").write_text(text)
    for number in range(num_people):
        person = f"s{18 + number}"
        moved = np.cumsum(generator.normal(0, 0.01, (num_volumes + DISCARDED, 6)), axis=0)
        truth.movement[person] = moved[DISCARDED:]
        truth.rate[person], truth.power[person] = generator.normal(size=(2, num_volumes))
        values = generator.normal(size=(num_volumes, REGIONS)) * (number + 1 < num_people)
        truth.courses[person] = values
        tables = {"rp_run05": moved, "rate": truth.rate[person][:, None], "sndpwr": truth.power[person][:, None]}
        for radius in ("6mm", "10mm"):
            (root / "fmri" / radius).mkdir(parents=True, exist_ok=True)
            _write(root / "fmri" / radius / f"{person}-timecourses.txt", values)
        for name, table in tables.items():
            _write(root / "fmri" / f"{person}-{name}.txt", table)
    return truth


def _write(path, table):
    path.write_text("".join("   " + "   ".join(f"{value:.7e}" for value in row) + "\n" for row in table))
