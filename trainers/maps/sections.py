# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A map as a piece of evidence: what was asked, how much of the brain answers, region by region, and a picture."""

from collections.abc import Mapping

import numpy as np

from ..data.geometry import SubjectGeometry
from ..reports.sections import Section
from .statistics import Recovery, VoxelMap


LEVEL = 0.05
COLUMNS = {
    "region": "region",
    "voxels": "voxels",
    "mean": "mean score",
    "share": "share of the sum",
    "null_mean": "mean score, shuffled brains",
    "found": f"voxels at q < {LEVEL}",
    "found_strictly": f"voxels at family-wise p < {LEVEL}",
}
EVERYTHING = "all"
_SHOWS = {
    "gradient": "Each voxel's own part of what the brain adds; not whether other voxels could take over.",
    "attention": "Where the encoder looks, weighted by whether what it reads there counts; not which of these voxels "
    "said it.",
    "occlusion": "What the decoder cannot make up for from other voxels; regions that say the same hide each other.",
    "exchange": "Where another brain's values talk the decoder out of its text; as fine as the groups of voxels.",
}


def map_section(
    found: VoxelMap,
    geometry: SubjectGeometry | None = None,
    atlas: str | None = None,
    recoveries: Mapping[str, Recovery] | None = None,
    figure: str = "",
) -> Section:
    """
    A section about one map.

    Args:
        found ([`~trainers.maps.statistics.VoxelMap`]):
            The map.
        geometry ([`~trainers.data.geometry.SubjectGeometry`], *optional*):
            Of the subject; without it the map is one of features, and the section says so.
        atlas (`str`, *optional*):
            Atlas whose regions make rows of the table.
        recoveries (`Mapping[str, Recovery]`, *optional*):
            For names of voxels that ought to count how well the map finds them.
        figure (`str`, *optional*, defaults to `""`):
            Picture, as SVG.

    Raises:
        ValueError: If the subject lacks the atlas.
    """
    title = f"Where in the brain: {found.subject}, {found.method}"
    rows = [_row(found, name, inside) for name, inside in _regions(found, geometry, atlas).items()]
    name = f"map_{found.method}_{found.subject}"
    return Section(name, title, _describe(found, geometry, recoveries or {}), COLUMNS, rows, figure)


def _regions(found: VoxelMap, geometry: SubjectGeometry | None, atlas: str | None) -> dict[str, np.ndarray]:
    """Masks `(voxels,)` by name: everything, and the regions of an atlas that the brain has."""
    regions = {EVERYTHING: np.ones(len(found.scores), bool)}
    if atlas is None:
        return regions
    if geometry is None or atlas not in geometry.regions:
        known = sorted(geometry.regions) if geometry else []
        raise ValueError(f"Subject '{found.subject}' has no atlas '{atlas}'; it has {known}. Choose one of these.")
    labels, names = geometry.regions[atlas], geometry.region_names.get(atlas, [])
    for label in np.unique(np.maximum(labels, 0)).tolist():
        name = "unlabelled" if label == 0 else names[label - 1] if label <= len(names) else str(label)
        regions[f"{atlas}: {name}"] = np.maximum(labels, 0) == label
    return regions


def _row(found: VoxelMap, name: str, inside: np.ndarray) -> dict[str, object]:
    total = float(found.scores.sum())
    return {
        "region": name,
        "voxels": int(inside.sum()),
        "mean": float(found.scores[inside].mean()),
        "share": float(found.scores[inside].sum()) / total if total else 0.0,
        "null_mean": float(found.null[inside].mean()),
        "found": int((found.q[inside] < LEVEL).sum()),
        "found_strictly": int((found.p[inside] < LEVEL).sum()),
    }


def _describe(found: VoxelMap, geometry: SubjectGeometry | None, recoveries: Mapping[str, Recovery]) -> str:
    features = "voxels" if geometry is not None else "features"
    above, below = (int(((found.q < LEVEL) & side).sum()) for side in (found.scores > 0, found.scores < 0))
    lines = [
        f"Which {features} does the decoder draw on? {_SHOWS[found.method]} Scores are in {found.unit}, own brain "
        f"against that of another stimulus; a map is of this decoder, not of what the brain represents.",
        f"Of {len(found.scores)} {features}, {above} help and {below} mislead at a false discovery rate of {LEVEL}, "
        f"by {found.num_permutations} shuffles of {found.num_pairs} pairs of stimuli ({found.num_rows} rows).",
    ]
    if geometry is None:
        lines.append(
            "These features are no voxels (the corpus mixed voxels into them): the map has no place in a brain."
        )
    for name, one in recoveries.items():
        lines.append(
            f"The map tells {name} from the rest with an AUC of {one.auc:.3f}; 95 % of shuffled maps lie from "
            f"{one.null_low:.3f} to {one.null_high:.3f} (p = {one.p:.4f})."
        )
    return "\n\n".join(lines)


__all__ = ["COLUMNS", "EVERYTHING", "LEVEL", "map_section"]
