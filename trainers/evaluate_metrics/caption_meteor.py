# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""METEOR 1.5 of captions for the library `evaluate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainers.evaluate_metrics.base import CaptionMetric, with_samples
from trainers.metrics import Meteor, MeteorData, meteor_from_statistics


class CaptionMeteor(CaptionMetric):
    """METEOR 1.5 of captions; see [`~trainers.metrics.Meteor`].

    `compute` takes `data`, a [`~trainers.metrics.MeteorData`] or the folder of one; by default that of the installed
    package `pycocoevalcap`.
    """

    def score(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        data: MeteorData | str | Path | None = None,
    ) -> dict[str, Any]:
        known = data if isinstance(data, MeteorData) else MeteorData.load(data)
        statistics = Meteor(known).statistics(predictions, references)
        corpus = float(meteor_from_statistics(statistics.sum(axis=0)))
        return with_samples({"meteor": meteor_from_statistics(statistics)}, {"meteor": corpus})


__all__ = ["CaptionMeteor"]
