# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A curve: what the brain adds against something else, with intervals, a wrong brain's curve and a test of a trend."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..reports.charts import Series, line_chart
from ..reports.sections import Section
from ..statistics.resampling import benjamini_hochberg, cluster_bootstrap_ci, sign_flip_test
from .effects import Effects


SIGNIFICANCE = 0.05
METRICS = {"accuracy": "pairwise accuracy", "gain": "gain"}
COLUMNS = {
    "x": "mean", "x_low": "from", "x_high": "to", "num_samples": "n", "num_groups": "groups",
    "accuracy": "pairwise accuracy", "accuracy_low": "low", "accuracy_high": "high",
    "null_accuracy": "a wrong brain's", "gain": "gain", "gain_low": "low ", "gain_high": "high ",
}  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """
    What the brain adds, against one other quantity.

    Args:
        quantity (`str`), x_unit (`str`):
            Name of that quantity, and its unit.
        unit (`str`):
            Unit of the gains.
        rows (`list[dict]`):
            One row per bin, in order: `x` (mean), `x_low`, `x_high`, and [`Effects.summary`].
        trends (`dict[str, dict]`):
            For `"accuracy"` and `"gain"` what [`trend`] finds over single samples, and `q`, corrected over the two.
        log_x (`bool`, *optional*, defaults to `False`):
            Whether trends are per tenfold of `x`, and the picture has a logarithmic axis.
    """

    quantity: str
    x_unit: str
    unit: str
    rows: list[dict[str, Any]]
    trends: dict[str, dict[str, float]]
    log_x: bool = False

    def describe_trend(self) -> str:
        """Whether the effect grows with x, in words and figures: a sentence for each metric."""
        sentences = []
        for metric, found in self.trends.items():
            verdict = "shows no trend that these samples can tell from chance"
            if found["q"] < SIGNIFICANCE:
                verdict = "grows" if found["slope"] > 0 else "falls"
            step = f"tenfold of {self.quantity}" if self.log_x else self.x_unit
            unit = f" ({self.unit})" if metric == "gain" else ""
            sentences.append(
                f"{METRICS[metric].capitalize()}{unit} {verdict}: {found['slope']:+.4f} [{found['ci_low']:+.4f}, "
                f"{found['ci_high']:+.4f}] per {step} (q = {found['q']:.3g})."
            )
        return " ".join(sentences)

    def section(self, name: str, title: str, text: str) -> Section:
        """
        The curve as a piece of evidence.

        Args:
            name (`str`), title (`str`), text (`str`):
                Of the section.
        """
        columns = {key: title for key, title in COLUMNS.items() if any(key in row for row in self.rows)}
        columns["gain"] = f"gain ({self.unit})"
        return Section(name, title, text, columns, self.rows, self.figure(title))

    def figure(self, title: str) -> str:
        """Pairwise accuracy as SVG, beside that of a wrong brain where it is known."""
        # Means of bins are named on the axis, where more than one decimal would run into the next.
        x = [row["x"] if self.log_x else round(row["x"], 1) for row in self.rows]
        ends = {end: [row[f"accuracy_{end}"] for row in self.rows] for end in ("low", "high")}
        lines = [Series("own brain", x, [row["accuracy"] for row in self.rows], **ends)]
        if all("null_accuracy" in row for row in self.rows):
            lines.append(Series("a wrong brain", x, [row["null_accuracy"] for row in self.rows]))
        return line_chart(
            lines,
            x_label=f"{self.quantity} ({self.x_unit})",
            y_label="pairwise accuracy",
            title=title,
            chance=0.5,
            log_x=self.log_x,
        )


def make_curve(
    effects: Effects,
    x: np.ndarray,
    bins: Sequence[np.ndarray],
    quantity: str,
    x_unit: str,
    *,
    log_x: bool = False,
    trend_bins: Sequence[np.ndarray] | None = None,
    seed: int = 0,
) -> Curve:
    """
    Effects in bins of `x`, and their trend over the samples of these bins.

    Args:
        effects ([`Effects`]):
            Of the samples.
        x (`np.ndarray` of shape `(samples,)`):
            The other quantity.
        bins (`Sequence[np.ndarray]`):
            Numbers of the samples in each bin.
        quantity (`str`), x_unit (`str`), log_x (`bool`, *optional*, defaults to `False`):
            See [`Curve`].
        trend_bins (`Sequence[np.ndarray]`, *optional*):
            The bins over whose samples the trend runs; all by default.
        seed (`int`, *optional*, defaults to 0):
            Seed of bootstrap and sign flips.

    Raises:
        ValueError: If a bin holds samples of a single group.
    """
    rows = []
    for chosen in bins:
        ends = {"x": float(x[chosen].mean()), "x_low": float(x[chosen].min()), "x_high": float(x[chosen].max())}
        rows.append(ends | effects.take(chosen).summary(seed))
    inside = np.concatenate(list(trend_bins or bins))
    steps, within = (np.log10(x) if log_x else x)[inside], effects.take(inside)
    values = {"accuracy": within.wins, "gain": within.gains}
    trends = {metric: trend(steps, found, within.groups, seed) for metric, found in values.items()}
    for found, q in zip(trends.values(), benjamini_hochberg([row["p"] for row in trends.values()]), strict=True):
        found["q"] = q
    return Curve(quantity, x_unit, effects.unit, rows, trends, log_x)


def trend(x: np.ndarray, values: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict[str, float]:
    r"""
    Slope of least squares of single samples, with interval and test clustered by group.

    `b = sum_i (x_i - mean x)(y_i - mean y) / sum_i (x_i - mean x)^2`. The interval bootstraps groups over the slope's
    influence values. The test of `b = 0` flips the sign of each group's part of the numerator: the score bootstrap of
    Kline and Santos (2012), with the slope at 0. Unlike a test over the means of bins it does not depend on the bins.

    Args:
        x (`np.ndarray` of shape `(samples,)`), values (`np.ndarray` of shape `(samples,)`):
            Where the samples lie, and their values.
        groups (`np.ndarray` of shape `(samples,)`):
            Group of each sample.
        seed (`int`, *optional*, defaults to 0):
            Seed of bootstrap and sign flips.

    Returns:
        `dict`: `slope`, `ci_low`, `ci_high`, and the two-sided `p`.

    Raises:
        ValueError: If all samples lie at one place, or belong to one group.
    """
    centred, residuals = x - x.mean(), values - values.mean()
    spread = (centred**2).mean()
    if spread == 0:
        raise ValueError(f"All {len(x)} samples lie at {x[0]:g}: a trend needs two different places or more.")
    slope = (centred * residuals).mean() / spread
    influence = centred * (residuals - slope * centred) / spread
    low, high = cluster_bootstrap_ci(slope + influence, groups.tolist(), seed=seed)
    p = sign_flip_test(centred * residuals, groups.tolist(), seed=seed)
    return {"slope": float(slope), "ci_low": low, "ci_high": high, "p": p}


__all__ = ["Curve", "make_curve", "trend"]
