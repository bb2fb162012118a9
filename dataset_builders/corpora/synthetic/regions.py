# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Regions of simulated brains: the sets of labels that NSD has, as cells of the common brain.

A label is a place in the common brain, so the same region lies at the same place in all brains, as far as voxels can
show it. Where regions lie, how large they are and what they respond to has nothing to do with their namesakes.
"""

import numpy as np
from scipy.spatial import KDTree


#: Names of the labels 1, 2, ... of each set; the 180 of `HCP_MMP1` are numbers here.
REGION_NAMES = {
    "streams": ("early", "ventral", "lateral", "parietal"),
    "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
    "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "floc-places": ("OPA", "PPA", "RSC"),
    "Kastner2015": (
        *("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4", "VO1", "VO2", "PHC1", "PHC2", "MST", "hMT", "LO2", "LO1"),
        *("V3b", "V3a", "IPS0", "IPS1", "IPS2", "IPS3", "IPS4", "IPS5", "SPL1", "FEF"),
    ),
    "HCP_MMP1": tuple(map(str, range(1, 181))),
}
#: How far a cell reaches from its centre, in radii of the brain.
_REACH = {"prf-visualrois": 0.3, "floc-faces": 0.25, "floc-places": 0.3, "Kastner2015": 0.35, "HCP_MMP1": np.inf}


def label_regions(places: np.ndarray) -> dict[str, np.ndarray]:
    """
    Labels of each set at some places.

    Args:
        places (`np.ndarray`):
            `[..., 3]` in the common brain, a ball of radius 1; the second coordinate grows from back to front.

    Returns:
        `dict`: int32 `[...]` for each set of [`REGION_NAMES`]; 0 is unlabelled.
    """
    side, depth, height = np.abs(places[..., 0]), places[..., 1], places[..., 2]
    streams = np.select([depth < -0.7, height < -0.2, side > height + 0.2], [1, 2, 3], 4)
    return {"streams": streams.astype(np.int32)} | {name: _nearest(places, name) for name in _REACH}


def _nearest(places: np.ndarray, name: str) -> np.ndarray:
    """For each place the cell, from 1, whose centre is nearest; 0 where none reaches it."""
    centres = _centres(len(REGION_NAMES[name]), seed=list(_REACH).index(name))
    _, cells = KDTree(centres).query(places, distance_upper_bound=_REACH[name])
    return np.where(cells == len(centres), 0, cells + 1).astype(np.int32)


def _centres(count: int, seed: int) -> np.ndarray:
    """Points `[count, 3]` spread evenly over the back half of the ball, the same on every machine."""
    generator = np.random.default_rng(seed)
    points = generator.standard_normal((count, 3))
    points *= generator.uniform(0, 1, (count, 1)) ** (1 / 3) / np.linalg.norm(points, axis=1, keepdims=True)
    points[:, 1] = -np.abs(points[:, 1])
    return points


__all__ = ["REGION_NAMES", "label_regions"]
