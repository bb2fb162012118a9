# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Do six regions of 27 people say which ten seconds of a story they hear? Ridge regression against circular shifts.

    python examples/benchmarks/alice_ridge.py --data_dir alice2016 \
        --sentence_encoder sentence-transformers/all-MiniLM-L6-v2 --output examples/benchmarks/results/alice2016.md

The brain of a window is the mean of the volumes 4 to 14 seconds after it begins. A ridge map to embeddings of the
words is fitted on the other parts of the story, without the window on either side of the part that is left out, and
each window is told from every other by its prediction. The null rotates the time courses of all people by the same
number of volumes: whatever people share stays shared, and only the moment is wrong. There are no more shifts than
volumes, so all that are far enough from none are taken. Each analysis is run on raw time courses, and with confounds
regressed out of each person's; word rate and sound power come as published and one volume earlier and later.
"""

import argparse
from pathlib import Path

import numpy as np

from dataset_builders.corpora.alice2016 import CONFOUNDS, Alice2016, nuisance
from dataset_builders.preparation.confounds import regress_out
from dataset_builders.schema import Sample, with_positions
from trainers.embedders.text_encoders import load_text_encoder
from trainers.metrics.retrieval import two_way_identification
from trainers.statistics.resampling import cluster_bootstrap_ci


#: What is regressed out in each analysis.
ANALYSES = {"raw": (), "cubic trend": ("trend",), "trend, movement, word rate, sound power": CONFOUNDS}
NUM_FOLDS = 10
#: Of the seven volumes of a row, those 4 to 14 s after its window begins.
ANSWER = slice(1, 6)
#: Volumes that a shift is from none at least: 30 s.
LEAST_SHIFT = 15


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data_dir", required=True, help="folder with fmri and stimuli")
    parser.add_argument("--sentence_encoder", required=True, help="folder or Hub id of a sentence encoder")
    parser.add_argument("--radius", default="10mm", help="of the regions")
    parser.add_argument("--alphas", nargs="+", type=float, default=[30, 10, 3], help="penalties for each feature")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    return parser.parse_args()


def read(data_dir: str, radius: str) -> tuple[dict[str, np.ndarray], list[Sample]]:
    """Time courses `[volumes, regions]` of each person, and the windows, which all people share."""
    builder = Alice2016(data_dir=data_dir, radius=radius)
    recordings = builder.list_recordings()
    windows = with_positions(builder.list_samples(recordings[:1]))
    return {recording.subject: recording.read() for recording in recordings}, windows


def clean(courses: dict[str, np.ndarray], data_dir: str, confounds: tuple[str, ...]) -> np.ndarray:
    """Time courses `[people, volumes, regions]` without what confounds explain, standardised."""
    found = []
    for subject, values in courses.items():
        columns = [nuisance(Path(data_dir) / "fmri", subject, name, len(values)) for name in confounds]
        found.append(regress_out(values, np.hstack(columns) if columns else None))
    result = np.array(found, float)
    result -= result.mean(axis=1, keepdims=True)
    return result / result.std(axis=1, keepdims=True)


def identify(features: np.ndarray, targets: np.ndarray, alpha: float) -> np.ndarray:
    """
    How often each window is told from another, `[windows]`.

    Args:
        features (`np.ndarray`):
            `[windows, features]`.
        targets (`np.ndarray`):
            Embeddings `[windows, embedding]`.
        alpha (`float`):
            Penalty for each feature, where features vary by 1.
    """
    num_windows, num_features = features.shape
    predicted = np.empty_like(targets)
    for held_out in np.array_split(np.arange(num_windows), NUM_FOLDS):
        far = np.ones(num_windows, bool)
        far[max(held_out[0] - 1, 0) : held_out[-1] + 2] = False
        mean, spread = features[far].mean(axis=0), features[far].std(axis=0)
        seen, unseen = (features[far] - mean) / spread, (features[held_out] - mean) / spread
        kernel = seen @ seen.T + alpha * num_features * np.eye(len(seen))
        predicted[held_out] = unseen @ seen.T @ np.linalg.solve(kernel, targets[far] - targets[far].mean(axis=0))
    return two_way_identification(predicted, targets - targets.mean(axis=0)).wins


def all_people(courses: np.ndarray, frames: np.ndarray, shift: int) -> np.ndarray:
    """Regions of all people side by side, `[1, windows, people * regions]`."""
    answers = np.roll(courses, shift, axis=1)[:, frames].mean(axis=2)
    return answers.transpose(1, 0, 2).reshape(1, len(frames), -1)


def each_person(courses: np.ndarray, frames: np.ndarray, shift: int) -> np.ndarray:
    """Regions of each person alone, `[people, windows, regions]`."""
    return np.roll(courses, shift, axis=1)[:, frames].mean(axis=2)


def compare(courses: np.ndarray, frames: np.ndarray, targets: np.ndarray, alpha: float, lay_out) -> dict[str, float]:
    """Identification beside that under every shift; p counts the shifts that do as well, and the truth itself."""
    own = np.array([identify(features, targets, alpha).mean() for features in lay_out(courses, frames, 0)])
    shifts = range(LEAST_SHIFT, courses.shape[1] - LEAST_SHIFT + 1)
    null = np.array(
        [np.mean([identify(f, targets, alpha).mean() for f in lay_out(courses, frames, shift)]) for shift in shifts]
    )
    p_value = (1 + (null >= own.mean()).sum()) / (1 + len(null))
    found = {"value": own.mean(), "null": null.mean(), "deviation": null.std(), "largest": null.max(), "p": p_value}
    interval = cluster_bootstrap_ci(own, np.arange(len(own))) if len(own) > 1 else (np.nan, np.nan)
    return found | {"shifts": len(null), "low": interval[0], "high": interval[1]}


def main() -> None:
    args = parse_arguments()
    courses, windows = read(args.data_dir, args.radius)
    frames = np.array([window.frames[ANSWER] for window in windows])
    targets = np.asarray(load_text_encoder(args.sentence_encoder)([window.completion for window in windows]), float)
    structure = np.array([[w.num_words, w.num_characters, w.position] for w in windows], float)
    alone = identify(structure, targets, args.alphas[0]).mean()
    lines = [
        f"{len(courses)} people, {len(windows)} windows of ten seconds, regions of {args.radius}; chance .5.",
        f"Words, characters and position alone, without a brain: {alone:.3f}.",
        "",
        "| brains | regressed out | alpha | identification | all shifts | largest | shifts | p |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for title, lay_out, alphas in (
        ("all people", all_people, args.alphas),
        ("one person (mean of people, 95 % interval over people)", each_person, args.alphas[:1]),
    ):
        for name, confounds in ANALYSES.items():
            values = clean(courses, args.data_dir, confounds)
            for alpha in alphas:
                s = compare(values, frames, targets, alpha, lay_out)
                interval = "" if np.isnan(s["low"]) else f" [{s['low']:.3f}, {s['high']:.3f}]"
                lines.append(
                    f"| {title} | {name} | {alpha:g} | {s['value']:.3f}{interval} | {s['null']:.3f} ± "
                    f"{s['deviation']:.3f} | {s['largest']:.3f} | {s['shifts']} | {s['p']:.3f} |"
                )
                print(lines[-1], flush=True)
    args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
