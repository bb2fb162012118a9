# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A table of samples with a known effect, as an evaluation of texts makes it, and its report."""

import copy

import numpy as np

from trainers.reports.report import EvaluationReport
from trainers.scoring.rules import TEXT_RULES
from trainers.scoring.texts import score_texts


__all__ = ["ALLOW", "RULES", "SETTINGS", "SPLIT", "make_report", "make_samples"]

SPLIT = {
    "corpus": "toy", "policy": "passage", "fold": 0, "num_folds": 5, "seed": 0, "sizes": {"train": 9, "test": 60},
    "leaks": [], "leak_allowed": False, "evaluated": "test",
}  # fmt: skip
SETTINGS = {
    "seed": 0, "num_permutations": 8, "tasks": {}, "num_twins": 2,
    "deaf_twin": {"sentence": "twin_1"},
}  # fmt: skip
RULES = {"sentence": TEXT_RULES}
# What the table of these tests lacks, and what may lack for their sake.
ALLOW = ["zero", "voxel_shuffle", "noise", "time_shift", "ridge", "retrieval", "matched", "mean_brain"]
TRUTHS = ["the red cat sleeps .", "a dog ran away .", "birds sing at dawn ."]


def make_samples(effect: float, fold: int = 0, num_groups: int = 20, seed: int = 0) -> list[dict]:
    """A table whose own brain lowers the loss by `effect`, and whose text is right as often as it says so."""
    generator = np.random.default_rng((seed, fold))
    samples = []
    for i in range(3 * num_groups):
        noise = generator.standard_normal(11) * 0.2
        truth, right = TRUTHS[i % 3], generator.random() < 0.3 + effect
        wrong = TRUTHS[(i + 1) % 3]
        samples.append(
            {
                "sample_id": f"toy/{fold}/{i}",
                "subject": "s1",
                "group": f"{fold}/{i // 3}",
                "brain_id": f"{fold}/{i}",
                "task": "sentence",
                "prompt": "",
                "references": [truth],
                "num_tokens": 5,
                "losses": {
                    "brain": 4 - effect + noise[0],
                    "permuted": (4 + noise[1:9]).tolist(),
                    "no_brain": 4.5 + noise[9],
                    "deaf_twin": 4 + noise[10],
                },
                "texts": {
                    "brain": truth if right else wrong, "permuted": [wrong, wrong], "no_brain": wrong,
                    "shuffled": wrong, "constant": TRUTHS[0],
                },
                "identification": {"brain": {"likelihood_gain": [1.0 if right else 30.0, 58.0]}},
            }
        )  # fmt: skip
    return samples


def make_report(effect: float, fold: int = 0, **split) -> EvaluationReport:
    return EvaluationReport.from_samples(
        score_texts(make_samples(effect, fold)),
        rules=RULES,
        split=copy.deepcopy(SPLIT) | {"fold": fold} | split,
        settings=SETTINGS,
        versions={"torch": "2"},
        fingerprint={"data": f"hash{fold}", "checkpoint": "c"},
    )
