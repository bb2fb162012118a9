# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What plain ridge regression from brain values to sentence embeddings can do: the baseline of every decoder.

No language model takes part. A decoder that does not beat it has a language prior, and no more of the brain than one
matrix multiplication finds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.decomposition import PCA

from ..metrics import two_way_identification
from ..statistics.ridge import ALPHAS, RidgeMap, fit_ridge


if TYPE_CHECKING:
    from datasets import Dataset

Embedder = Callable[[list[str]], np.ndarray]
Row = Mapping[str, Any]
# Groups of the cross-validation that chooses the penalty.
_NUM_FOLDS = 5


@dataclass(frozen=True)
class RidgeBaseline:
    """
    What ridge regression makes of the brains of some rows.

    Args:
        identification (`np.ndarray` of shape `(rows, 2)`):
            Rank of the right text by the cosine of its embedding and the predicted one, and number of candidates, of
            other groups of the subject and itself; NaN where nothing could be fitted.
        retrieved (`list[str | None]`):
            The completion of the subject's training rows that is nearest to the prediction.
        alphas (`dict[str, float]`):
            Penalty that was chosen for each subject.
    """

    identification: np.ndarray
    retrieved: list[str | None]
    alphas: dict[str, float]


def ridge_baseline(
    train: Sequence[Row],
    tested: Sequence[Row],
    embed: Embedder,
    num_components: int = 300,
    alphas: Sequence[float] = ALPHAS,
) -> RidgeBaseline:
    """
    Fits a ridge map for each subject on its training rows, and applies it to the tested ones.

    Voxels differ between people, so every subject has a map of its own; and so has each number of frames, which are
    laid out side by side. Values become principal components of the training brains, all divided by one number so
    that they vary by 1 on average: the large ones, which are the more reliable, are penalised less. The penalty is
    that under which held-out training groups are identified best ([`~trainers.statistics.ridge.fit_ridge`]). Nothing
    is taken from tested rows.

    Args:
        train (`Sequence[Mapping]`), tested (`Sequence[Mapping]`):
            Rows with `subject`, `group`, `completion` and `brain_values` `[frames, features]`.
        embed (`Callable`):
            Texts → embeddings `[texts, embedding]`, such as [`~trainers.embedders.text_encoders.MeanPooledEmbedder`].
        num_components (`int`, *optional*, defaults to 300):
            Largest number of principal components.
        alphas (`Sequence[float]`, *optional*):
            Penalties to choose from.

    Returns:
        [`RidgeBaseline`]: Empty for subjects who have fewer than five groups in training, or one among the tested.
    """
    texts = sorted({row["completion"].strip() for row in (*train, *tested)})
    embedding_of = dict(zip(texts, np.asarray(embed(texts), float), strict=True))
    found, retrieved = np.full((len(tested), 2), np.nan), [None] * len(tested)
    chosen: dict[str, float] = {}
    known, asked = _by_block(train), _by_block(tested)
    for block, places in asked.items():
        own, others = [train[i] for i in known.get(block, ())], [tested[i] for i in places]
        if len({row["group"] for row in own}) < _NUM_FOLDS or len({row["group"] for row in others}) < 2:
            continue
        targets, wanted = ([embedding_of[row["completion"].strip()] for row in rows] for rows in (own, others))
        ridge, predicted = _fit_and_predict(own, others, np.array(targets), num_components, alphas)
        chosen[block[0]] = ridge.alpha
        centre = np.mean(targets, axis=0)
        ranks = two_way_identification(predicted, wanted - centre, [row["group"] for row in others])
        found[places] = np.stack([ranks.ranks, ranks.num_candidates], axis=1)
        for place, nearest in zip(places, _nearest(predicted, targets - centre), strict=True):
            retrieved[place] = own[nearest]["completion"].strip()
    return RidgeBaseline(found, retrieved, chosen)


def explain_no_ridge(train: "Dataset | None", tested: "Dataset") -> str | None:
    """
    Why [`ridge_baseline`] is empty whatever the embeddings; `None` where one of the tested subjects has a map.

    Args:
        train (`Dataset`, *optional*), tested (`Dataset`):
            Rows with `subject` and `group`, all of one number of frames; values are not read.
    """
    if train is None:
        return "there are no training rows"
    known, asked = _groups_by_subject(train), _groups_by_subject(tested)
    if any(len(known.get(name, ())) >= _NUM_FOLDS and len(groups) > 1 for name, groups in asked.items()):
        return None
    return f"no tested subject has brains of {_NUM_FOLDS} groups in training to fit a map on"


def _groups_by_subject(rows: "Dataset") -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for subject, group in zip(rows["subject"], rows["group"], strict=True):
        found.setdefault(subject, set()).add(group)
    return found


def _by_block(rows: Sequence[Row]) -> dict[tuple[str, int], list[int]]:
    """Places of the rows of each subject and number of frames."""
    blocks: dict[tuple[str, int], list[int]] = {}
    for i, row in enumerate(rows):
        blocks.setdefault((row["subject"], len(row["brain_values"])), []).append(i)
    return blocks


def _fit_and_predict(
    train: Sequence[Row], tested: Sequence[Row], targets: np.ndarray, num_components: int, alphas: Sequence[float]
) -> tuple[RidgeMap, np.ndarray]:
    """The map, and its predictions `(tested, embedding)`, centred on the training texts."""
    brains, asked = (np.array([np.ravel(row["brain_values"]) for row in rows], np.float32) for rows in (train, tested))
    # Rows of one brain count once: their number is the corpus's way of cutting texts.
    size = min(num_components, len({row["brain_id"] for row in train}) - 1, brains.shape[1])
    pca = PCA(size, svd_solver="full" if min(brains.shape) <= 2 * size else "randomized", random_state=0).fit(brains)
    scale = np.sqrt(pca.explained_variance_.mean())
    seen, unseen = pca.transform(brains) / scale, pca.transform(asked) / scale
    ridge = fit_ridge(seen, targets, [row["group"] for row in train], alphas, num_folds=_NUM_FOLDS)
    return ridge, ridge(unseen)


def _nearest(predicted: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Number `(predicted,)` of the candidate whose cosine with each prediction is largest."""
    return (predicted @ (candidates / np.linalg.norm(candidates, axis=1, keepdims=True)).T).argmax(axis=1)


__all__ = ["Embedder", "RidgeBaseline", "explain_no_ridge", "ridge_baseline"]
