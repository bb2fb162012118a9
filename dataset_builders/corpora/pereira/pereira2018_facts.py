# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What the experiments of Pereira et al. (2018) are known to hold, and who took part: what a copy is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Experiment:
    """
    Published counts of an experiment.

    Args:
        images (`int`):
            One for each sentence or word.
        passages, topics (`int`):
            Of the sentences; each word counts as a passage, and words have no topics.
        participants (`frozenset[str]`):
            Who took part.
    """

    images: int
    passages: int
    topics: int
    participants: frozenset[str]


CONCEPTS = "180concepts"

_SIXTEEN = frozenset(["P01", *(f"M{number:02d}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17))])
_EIGHT = frozenset(["P01", "M02", "M04", "M07", "M08", "M09", "M14", "M15"])
_SIX = frozenset(["P01", "M02", "M03", "M04", "M07", "M15"])
#: By the names that the files bear. Software calls the first two experiments 2 and 3, in either order.
EXPERIMENTS = {
    "384sentences": Experiment(images=384, passages=96, topics=24, participants=_EIGHT),
    "243sentences": Experiment(images=243, passages=72, topics=24, participants=_SIX),
    f"{CONCEPTS}_sentences": Experiment(images=180, passages=180, topics=0, participants=_SIXTEEN),
    f"{CONCEPTS}_pictures": Experiment(images=180, passages=180, topics=0, participants=_SIXTEEN),
    f"{CONCEPTS}_wordclouds": Experiment(images=180, passages=180, topics=0, participants=_SIXTEEN),
}
# Words of the shortest sentence: none of up to five parts is empty.
_SHORTEST_SENTENCE = 5


def expected_facts(experiments: Sequence[str], num_parts: int) -> dict[str, dict[str, int]]:
    """
    What each participant should have of some experiments, by the names of the measured facts.

    Args:
        experiments (`Sequence[str]`):
            Names of [`EXPERIMENTS`].
        num_parts (`int`):
            Parts into which sentences are cut.
    """
    facts: dict[str, dict[str, int]] = {}
    for name in experiments:
        experiment = EXPERIMENTS[name]
        rows = 1 if name.startswith(CONCEPTS) else num_parts - 1
        for subject in experiment.participants:
            counts = facts.setdefault(subject, {"recordings": 0, "frames": 0, "samples": 0})
            counts["recordings"] += 1
            counts["frames"] += experiment.images
            counts["samples"] += experiment.images * rows
    if num_parts > _SHORTEST_SENTENCE:
        for counts in facts.values():
            del counts["samples"]  # some rows are empty, and dropped
    return facts


__all__ = ["CONCEPTS", "EXPERIMENTS", "Experiment", "expected_facts"]
