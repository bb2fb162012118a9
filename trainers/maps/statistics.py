# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Maps of voxels and what is known of their scores: a null map, q-values, family-wise p, and how well they find a region.

Effects come pair by pair of stimuli. If no brain counts, own and control brain can be swapped within a pair, and all
its effects change their sign; random signs thus make the maps that shuffled brains would have made, without another
pass of the model. Pure numpy.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..statistics.resampling import benjamini_hochberg


# Maps of a whole brain that are held in memory at a time.
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class VoxelMap:
    """
    A map of one subject by one method, with its null.

    Args:
        subject (`str`), method (`str`), unit (`str`):
            Whose brain, how it was made, and the unit of the scores.
        scores (`np.ndarray` of shape `(voxels,)`):
            Mean effect on a row; above 0 where the decoder draws on the voxel, below where it is misled.
        null (`np.ndarray` of shape `(voxels,)`):
            The same map for one shuffle of the brains, to look at beside it.
        z (`np.ndarray` of shape `(voxels,)`):
            Sum of the effects over the root of their squares, pair by pair: of variance 1 under the null.
        q (`np.ndarray` of shape `(voxels,)`):
            False discovery rate at which the voxel is found (Benjamini & Hochberg 1995), of two-sided p.
        p (`np.ndarray` of shape `(voxels,)`):
            Family-wise p: how often the largest |z| of a shuffled map reaches that of the voxel (Nichols & Holmes
            2002, "Nonparametric permutation tests for functional neuroimaging", max statistic).
        num_rows (`int`), num_pairs (`int`), num_permutations (`int`):
            Rows, pairs of stimuli that can be swapped, and shuffles.
    """

    subject: str
    method: str
    unit: str
    scores: np.ndarray
    null: np.ndarray
    z: np.ndarray
    q: np.ndarray
    p: np.ndarray
    num_rows: int
    num_pairs: int
    num_permutations: int

    @classmethod
    def from_effects(
        cls,
        effects: np.ndarray,
        pairs: np.ndarray,
        *,
        subject: str,
        method: str,
        unit: str,
        num_permutations: int = 4_999,
        seed: int = 0,
    ) -> "VoxelMap":
        """
        Args:
            effects (`np.ndarray` of shape `(rows, voxels)`):
                By one of the methods of [`~trainers.maps.attributions`].
            pairs (`np.ndarray` of shape `(rows,)`):
                Pair of each row; see [`~trainers.maps.losses.pair_groups`].
            subject (`str`), method (`str`), unit (`str`):
                As in the class.
            num_permutations (`int`, *optional*, defaults to 4999), seed (`int`, *optional*, defaults to 0):
                Shuffles, and their seed.
        """
        sums = pair_sums(effects, pairs)
        length = np.sqrt((sums**2).sum(axis=0))
        scale = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
        observed = sums.sum(axis=0)
        z, reached, largest = np.abs(observed * scale), np.zeros(len(scale)), []
        for signs in _signs(len(sums), num_permutations, seed):
            shuffled = np.abs(signs @ sums * scale)
            # The margin keeps equal sums equal when the order of addition differs.
            reached += (shuffled >= z - 1e-9).sum(axis=0)
            largest.append(shuffled.max(axis=1))
        exceeding = np.sort(np.concatenate(largest))
        above = len(exceeding) - np.searchsorted(exceeding, z - 1e-9)
        first = next(_signs(len(sums), 1, seed))[0]
        return cls(
            subject=subject,
            method=method,
            unit=unit,
            scores=observed / len(effects),
            null=first @ sums / len(effects),
            z=observed * scale,
            q=np.array(benjamini_hochberg((1 + reached) / (1 + num_permutations))),
            p=(1 + above) / (1 + num_permutations),
            num_rows=len(effects),
            num_pairs=len(sums),
            num_permutations=num_permutations,
        )


@dataclass(frozen=True)
class Recovery:
    """
    How well a map singles out voxels that are known to count.

    Args:
        auc (`float`):
            Probability that a voxel that counts scores above one that does not; 0.5 is chance.
        null_low (`float`), null_high (`float`):
            Ends of the middle 95 % of the same figure in shuffled maps, which are as smooth.
        p (`float`):
            Two-sided.
    """

    auc: float
    null_low: float
    null_high: float
    p: float


def recovery(
    effects: np.ndarray, pairs: np.ndarray, truth: np.ndarray, num_permutations: int = 999, seed: int = 0
) -> Recovery:
    """
    Compares a map with what was planted, or with a region that ought to count.

    Args:
        effects (`np.ndarray` of shape `(rows, voxels)`), pairs (`np.ndarray` of shape `(rows,)`):
            As in [`~VoxelMap.from_effects`].
        truth (`np.ndarray` of shape `(voxels,)`):
            Whether a voxel counts.
        num_permutations (`int`, *optional*, defaults to 999), seed (`int`, *optional*, defaults to 0):
            Shuffles, and their seed.

    Raises:
        ValueError: If all voxels count, or none does.
    """
    from scipy.stats import rankdata

    truth = np.asarray(truth, bool)
    inside = int(truth.sum())
    if not 0 < inside < len(truth):
        raise ValueError(f"{inside} of {len(truth)} voxels are to be singled out: none is left to compare them with.")

    def area(maps: np.ndarray) -> np.ndarray:
        ranks = rankdata(maps, axis=-1)[..., truth].sum(axis=-1)
        return (ranks - inside * (inside + 1) / 2) / (inside * (len(truth) - inside))

    sums = pair_sums(effects, pairs)
    found = float(area(sums.sum(axis=0)))
    shuffled = np.concatenate([area(signs @ sums) for signs in _signs(len(sums), num_permutations, seed)])
    low, high = np.quantile(shuffled, [0.025, 0.975])
    reached = np.sum(np.abs(shuffled - 0.5) >= abs(found - 0.5) - 1e-12)
    return Recovery(found, float(low), float(high), float((1 + reached) / (1 + num_permutations)))


def pair_sums(effects: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Sum `(pairs, voxels)` of the effects on the rows of each pair."""
    sums = np.zeros((int(pairs.max()) + 1, effects.shape[1]))
    np.add.at(sums, pairs, effects)
    return sums


def _signs(num_pairs: int, num_permutations: int, seed: int) -> Iterator[np.ndarray]:
    """Random signs `(some permutations, pairs)`, in pieces that keep maps of a whole brain in memory."""
    generator = np.random.default_rng(seed)
    for start in range(0, num_permutations, _CHUNK):
        yield generator.choice((-1.0, 1.0), size=(min(_CHUNK, num_permutations - start), num_pairs))


__all__ = ["Recovery", "VoxelMap", "pair_sums", "recovery"]
