# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The section of a report on membership inference, and its sentence on a card."""

from collections.abc import Mapping, Sequence
from typing import Any

from .sections import Section


NAME = "membership"
CHANCE = 0.5
COLUMNS = {
    "task": "task", "attack": "told by", "auc": "AUC", "auc_low": "low", "auc_high": "high",
    "num_samples": "trained on", "num_others": "held out",
}  # fmt: skip
#: What is told from which losses; more of it speaks for a member.
ATTACKS = {
    "loss": "low loss of the text",
    "calibrated loss": "low loss, against that of the language model alone",
    "text": "low loss under another's brain, against that of the language model alone",
    "brain": "what the own brain adds over another's",
}


def membership_section(rows: Sequence[Mapping[str, Any]]) -> Section:
    """
    What was found as a section of a report.

    Args:
        rows (`Sequence[Mapping]`):
            By [`~trainers.evaluation.membership.measure_membership`].
    """
    text = (
        "Can training data be told from held-out data by the model's losses? AUC: the probability that a row which "
        "was trained on looks more like one than a held-out row; .5 is not at all, 1 always. Groups (passages, "
        f"images) are resampled. {describe_membership(rows)} An AUC near .5 does not prove that nothing can be "
        "told: stronger attacks train models of their own. The plain loss also differs where held-out texts are "
        "harder."
    )
    shown = [dict(row) | {"attack": ATTACKS[row["attack"]]} for row in rows]
    return Section(NAME, "Membership inference", text, COLUMNS, shown)


def describe_membership(rows: Sequence[Mapping[str, Any]]) -> str:
    """The strongest attack in one sentence."""
    row = max(rows, key=lambda row: row["auc"])
    told = "can be told" if row["auc_low"] > CHANCE else "could not be told"
    by = ATTACKS.get(row["attack"], row["attack"])
    return (
        f"Training data {told} from held-out data: AUC {row['auc']:.3f} [{row['auc_low']:.3f}, "
        f"{row['auc_high']:.3f}] by the strongest of {len(rows)} attacks ({by}, task {row['task']})."
    )


__all__ = ["ATTACKS", "NAME", "describe_membership", "membership_section"]
