# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
How much of what ridge regression knows is which session? BrainLLM's published participant, five passage-grouped folds.

    python examples/benchmarks/session_ridge.py --data_dir pereira_example \
        --sentence_encoder sentence-transformers/all-MiniLM-L6-v2 --output examples/benchmarks/results/sessions.md

Each test sentence is told from sentences of other passages by the prediction of its brain: from all, from those of
the same session, from those of the same place in the passage too, and from those of nearly the same number of words.
Brains are standardised over all training sentences or within each session; components keep the trust that their
variance deserves. Below them stands what the structure alone identifies: session, words, characters and position.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from datasets import Dataset

from dataset_builders import load_corpus
from trainers.embedders.text_encoders import load_text_encoder
from trainers.statistics.resampling import cluster_bootstrap_ci
from trainers.statistics.ridge import fit_ridge


NUM_FOLDS = 5
#: Power of a component's deviation by which it is scaled after it was standardised.
VARIANCE_EXPONENT = 0.6
#: Words by which texts of matched length may differ.
LENGTH_TOLERANCE = 1
CANDIDATES = ("all", "same session", "and position", "and length")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data_dir", required=True, help="folder with example.wq.pkl and example.pca1000.wq.pkl.dic")
    parser.add_argument("--sentence_encoder", required=True, help="folder or Hub id of a sentence encoder")
    parser.add_argument("--cache_dir", help="where Arrow files are kept")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    return parser.parse_args()


def sentences(rows: Dataset) -> Dataset:
    """One row for each brain."""
    return rows.select(sorted({brain_id: i for i, brain_id in enumerate(rows["brain_id"])}.values()))


def folds(args: argparse.Namespace, standardize: str) -> Iterator[tuple[Dataset, Dataset]]:
    for fold in range(NUM_FOLDS):
        splits = load_corpus(
            "brainllm2025", args.data_dir, args.cache_dir, fold=fold, standardize=standardize, validation_fraction=0.0
        )
        yield sentences(splits["train"]), sentences(splits["test"])


def brains(rows: Dataset) -> np.ndarray:
    return np.array(rows["brain_values"], np.float32)[:, 0].astype(float)


def structure(rows: Dataset) -> np.ndarray:
    """What is known of a sentence without a brain, `[sentences, 4]`."""
    session = np.array(rows["session"]) == "243sentences"
    return np.column_stack([session, rows["num_words"], rows["num_characters"], rows["position"]]).astype(float)


def identify(predicted: np.ndarray, targets: np.ndarray, rows: Dataset) -> np.ndarray:
    """Share of candidates beaten by each sentence, `[sentences, candidates]`; NaN where there is none."""
    unit = [values / np.linalg.norm(values, axis=1, keepdims=True) for values in (predicted, targets)]
    scores = unit[0] @ unit[1].T
    beaten = (scores.diagonal()[:, None] > scores) + 0.5 * (scores.diagonal()[:, None] == scores)

    def alike(name: str) -> np.ndarray:
        values = np.array(rows[name])
        return values[:, None] == values

    words = np.array(rows["num_words"])
    allowed, found = ~alike("group"), []
    near = np.abs(words[:, None] - words) <= LENGTH_TOLERANCE
    for more in (True, alike("session"), alike("position"), near):
        allowed = allowed & more
        counts = allowed.sum(axis=1)
        found.append(np.where(counts, (beaten * allowed).sum(axis=1) / np.maximum(counts, 1), np.nan))
    return np.stack(found, axis=1)


def run(args: argparse.Namespace, standardize: str, features: Callable, embed: Callable, weighted: bool) -> str:
    """Cells of one line: identification among each set of candidates, with its interval over passages."""
    wins, groups = [], []
    raw = folds(args, "none")
    for (train, test), (unscaled, _) in zip(folds(args, standardize), raw, strict=True):
        seen, unseen = features(train), features(test)
        mean, spread = seen.mean(axis=0), np.where(seen.std(axis=0) > 0, seen.std(axis=0), 1)
        scales = brains(unscaled).std(axis=0) ** VARIANCE_EXPONENT if weighted else np.ones(seen.shape[1])
        scales /= np.sqrt((scales**2).mean())
        targets = embed(train["text"])
        # Only where the corpus has not standardised them already.
        seen, unseen = ((seen - mean) / spread, (unseen - mean) / spread) if standardize == "none" else (seen, unseen)
        ridge = fit_ridge(seen, targets, train["group"], feature_scales=scales)
        wins.append(identify(ridge(unseen), embed(test["text"]) - targets.mean(axis=0), test))
        groups += test["group"]
    cells = []
    for column in np.concatenate(wins).T:
        known = np.isfinite(column)
        low, high = cluster_bootstrap_ci(column[known], np.array(groups)[known])
        cells.append(f"{column[known].mean():.3f} [{low:.3f}, {high:.3f}]")
    return " | ".join(cells)


def main() -> None:
    args = parse_arguments()
    encoder, known = load_text_encoder(args.sentence_encoder), {}

    def embed(texts: list[str]) -> np.ndarray:
        new = sorted(set(texts) - known.keys())
        known.update(zip(new, np.asarray(encoder(new), float), strict=True) if new else ())
        return np.array([known[text] for text in texts])

    lines = [f"| standardised | {' | '.join(CANDIDATES)} |", "|---" * (len(CANDIDATES) + 1) + "|"]
    for name, arguments in {
        "over all training sentences": ("train", brains, embed, True),
        "within session": ("session", brains, embed, True),
        "no brain: structure": ("none", structure, embed, False),
    }.items():
        lines.append(f"| {name} | {run(args, *arguments)} |")
        print(lines[-1], flush=True)
    args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
