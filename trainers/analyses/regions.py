# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Cortical regions: what is left when one region alone is kept, and what is lost when one is taken away (Ye et al. 2025).

The whole evaluation runs again with a processor that sets all other voxels, or those of the region, to 0 after
standardisation, which is each voxel's mean: for the own brain, for those of other groups, and for every control alike.
A large region holds more by its size alone, so each is matched by as many voxels drawn at random from the whole brain.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from modeling_brainllm import BrainLlamaProcessor

from ..data.geometry import SubjectGeometry
from ..reports.charts import bar_chart
from ..reports.sections import Section
from ..statistics.resampling import Resampler, benjamini_hochberg
from .curves import SIGNIFICANCE
from .effects import Effects, Sample, brain_effects


NAME = "regions"
KEPT, REMOVED = "kept", "removed"
#: Subject → which of its voxels or features `(features,)` belong.
Masks = Mapping[str, np.ndarray]
COLUMNS = {
    "region": "region", "mode": "mode", "num_features": "voxels", "accuracy": "pairwise accuracy",
    "accuracy_low": "low", "accuracy_high": "high", "gain": "gain", "matched_accuracy": "random voxels",
    "difference": "more than random", "difference_low": "low ", "difference_high": "high ", "q": "q",
}  # fmt: skip


def atlas_regions(
    geometries: Mapping[str, SubjectGeometry], atlas: str, labels: Sequence[str] | None = None
) -> dict[str, Masks]:
    """
    The regions of an atlas in every subject.

    Args:
        geometries (`Mapping[str, SubjectGeometry]`):
            By name of the subject; see [`~trainers.data.geometry.read_geometries`].
        atlas (`str`):
            Name of the atlas.
        labels (`Sequence[str]`, *optional*):
            Regions by name; all that have a voxel in every subject by default.

    Returns:
        `dict[str, Masks]`: Region → its voxels in each subject.

    Raises:
        ValueError: If a subject lacks the atlas, or a region is unknown or without a voxel in some subject.
    """
    for subject, geometry in geometries.items():
        if atlas not in geometry.regions:
            raise ValueError(f"Subject '{subject}' has no atlas '{atlas}'; it has {sorted(geometry.regions)}.")
    names = dict.fromkeys(name for geometry in geometries.values() for name in geometry.region_names.get(atlas, ()))
    found: dict[str, Masks] = {
        name: {s: _labelled(geometry, atlas, name) for s, geometry in geometries.items()} for name in names
    }
    found = {name: masks for name, masks in found.items() if all(mask.any() for mask in masks.values())}
    unknown = [name for name in labels or () if name not in found]
    if unknown or not found:
        raise ValueError(
            f"Atlas '{atlas}' has no region {', '.join(unknown) or 'at all'} with a voxel in every subject; it has "
            f"{', '.join(found) or 'none'}."
        )
    return found if labels is None else {name: found[name] for name in labels}


def _labelled(geometry: SubjectGeometry, atlas: str, name: str) -> np.ndarray:
    """Voxels `(voxels,)` of the region of this name."""
    numbers = [i for i, other in enumerate(geometry.region_names[atlas], start=1) if other == name]
    return np.isin(geometry.regions[atlas], numbers)


def feature_regions(
    features: Mapping[str, Sequence[int]], num_features: int, subjects: Sequence[str]
) -> dict[str, Masks]:
    """
    Regions of frames, which all subjects share, from lists of features.

    Args:
        features (`Mapping[str, Sequence[int]]`):
            Name → numbers of its features, from 0.
        num_features (`int`), subjects (`Sequence[str]`):
            Features of a frame, and names of the subjects.

    Raises:
        ValueError: If a list is empty or names a feature that there is not.
    """
    found = {}
    for name, numbers in features.items():
        if not len(numbers) or min(numbers) < 0 or max(numbers) >= num_features:
            raise ValueError(
                f"`features` '{name}' must name features from 0 to {num_features - 1}; got {len(numbers)} numbers"
                + (f" from {min(numbers)} to {max(numbers)}." if len(numbers) else ".")
            )
        found[name] = {subject: np.isin(np.arange(num_features), numbers) for subject in subjects}
    return found


def ablate_voxels(processor: BrainLlamaProcessor, kept: Masks) -> BrainLlamaProcessor:
    """
    A processor for which all other voxels are 0 after standardisation; the one that is given stays as it was.

    A voxel whose standard deviation is infinite says nothing: `(x - mean) / inf = 0`. So lesions need no copy of the
    data, and hold in whatever reads brains through the processor.

    Args:
        processor ([`BrainLlamaProcessor`]):
            Of the model. If it does not standardise, the corpus did: then 0 is the mean in its rows.
        kept (`Masks`):
            For each subject the voxels that stay.

    Raises:
        ValueError: If a mask does not fit its subject.
    """
    extractor = copy.copy(processor.feature_extractor)
    subjects = dict(extractor.subjects)
    for subject, mask in kept.items():
        known = subjects.get(subject, {})
        mean, std = np.zeros(len(mask), np.float32), np.ones(len(mask), np.float32)
        if extractor.do_standardize:
            mean, std = known["mean"], known["std"]
        expected = len(known.get("coordinates", mean))
        if len(mask) != expected:
            raise ValueError(f"`kept` has {len(mask)} voxels for subject '{subject}', expected {expected}.")
        subjects[subject] = {**known, "mean": mean, "std": np.where(mask, std, np.float32(np.inf))}
    extractor.subjects, extractor.do_standardize = subjects, True
    ablated = copy.copy(processor)
    ablated.feature_extractor = extractor
    return ablated


def draw_matched(region: Masks, generator: np.random.Generator) -> Masks:
    """As many voxels of each subject as the region has, drawn from all of them."""
    return {
        subject: generator.permutation(mask)  # a permuted mask has equally many voxels
        for subject, mask in region.items()
    }


def compare_regions(
    evaluate: Callable[[BrainLlamaProcessor], Sequence[Sample]],
    processor: BrainLlamaProcessor,
    regions: Mapping[str, Masks],
    *,
    modes: Sequence[str] = (KEPT, REMOVED),
    num_matched: int = 3,
    task: str | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """
    Evaluates with each region kept alone, and taken away, beside random voxels that are equally many.

    Args:
        evaluate (`Callable`):
            Processor → samples, the same ones every time. For texts `lambda processor: evaluate(model, processor,
            dataset, value_controls=(), generate=False, ...).samples`; for captions with `tasks=["caption"]`.
        processor ([`BrainLlamaProcessor`]):
            Of the whole brain.
        regions (`Mapping[str, Masks]`):
            By [`atlas_regions`] or [`feature_regions`].
        modes (`Sequence[str]`, *optional*):
            `"kept"`: the region alone. `"removed"`: all but the region.
        num_matched (`int`, *optional*, defaults to 3):
            Draws of random voxels for each region and mode; their mean is compared.
        task (`str`, *optional*):
            Which task, where there are several; by default `sentence`.
        seed (`int`, *optional*, defaults to 0):
            Seed of the draws, bootstrap and sign flips.

    Returns:
        `list[dict]`: First the whole brain, then one row per region and mode: `region`, `mode`, `num_features` (mean
        over subjects), [`Effects.summary`], `matched_accuracy`, and `difference` with interval, `p` and `q`: how much
        more accuracy the region alone has than random voxels, or its removal costs than theirs. q is corrected over
        all rows.
    """

    def effects_with(kept: Masks) -> Effects:
        return brain_effects(evaluate(ablate_voxels(processor, kept)), task)

    whole = {subject: np.ones_like(mask) for subject, mask in next(iter(regions.values())).items()}
    rows: list[dict[str, Any]] = [
        {"region": "whole brain", "mode": "", "num_features": _size(whole)} | effects_with(whole).summary(seed)
    ]
    for name, region in regions.items():
        generator = np.random.default_rng(seed)
        matched = [draw_matched(region, generator) for _ in range(num_matched)]
        for mode in modes:
            own, *others = (effects_with(_kept(masks, mode)) for masks in (region, *matched))
            wins = np.mean([other.wins for other in others], axis=0)
            sign = 1 if mode == KEPT else -1
            found = Resampler(seed=seed).mean(sign * (own.wins - wins), own.groups.tolist())
            row = {"region": name, "mode": mode, "num_features": _size(region)} | own.summary(seed)
            row |= {"matched_accuracy": float(wins.mean()), "difference": found["value"], "p": found["p"]}
            rows.append(row | {"difference_low": found["ci_low"], "difference_high": found["ci_high"]})
    q_values = benjamini_hochberg([row["p"] for row in rows[1:]])
    return [rows[0], *(row | {"q": q} for row, q in zip(rows[1:], q_values, strict=True))]


def _kept(region: Masks, mode: str) -> Masks:
    return region if mode == KEPT else {subject: ~mask for subject, mask in region.items()}


def _size(region: Masks) -> float:
    return float(np.mean([mask.sum() for mask in region.values()]))


def regions_section(rows: Sequence[Mapping[str, Any]], title: str = "Cortical regions") -> Section:
    """The rows of [`compare_regions`] as a piece of evidence."""
    whole, found = rows[0], rows[1:]

    def names(mode: str) -> str:
        above = [row for row in found if row["mode"] == mode and row["q"] < SIGNIFICANCE and row["difference"] > 0]
        ordered = sorted(above, key=lambda row: -row["difference"])
        return ", ".join(f"{row['region']} ({row['difference']:+.3f})" for row in ordered) or "none"

    text = (
        f"Which regions carry what is decoded? With the whole brain the own brain beats another group's in "
        f"{whole['accuracy']:.3f} of pairs. More than equally many random voxels, and beyond what these samples would "
        f"show by chance (q < {SIGNIFICANCE}, over {len(found)} tests): regions that hold more when kept alone: "
        f"{names(KEPT)}; whose removal costs more: {names(REMOVED)}. The decoder was trained on the whole brain and "
        "is not trained again: a region that it did not learn to use may still hold information, and neighbours may "
        "stand in for one that is removed."
    )
    shown = [row for row in rows if row["mode"] != REMOVED]
    figure = bar_chart(
        [row["region"] for row in shown],
        [row["accuracy"] for row in shown],
        low=[row["accuracy_low"] for row in shown],
        high=[row["accuracy_high"] for row in shown],
        y_label="pairwise accuracy",
        title="One region kept",
        reference={"chance": 0.5},
    )
    return Section(NAME, title, text, COLUMNS, list(rows), figure)


__all__ = ["ablate_voxels", "atlas_regions", "compare_regions", "feature_regions", "regions_section"]
