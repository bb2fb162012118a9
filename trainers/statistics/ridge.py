# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Ridge regression from brains to embeddings: one decomposition a fold, its penalty chosen inside the training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GroupKFold


#: Directions with a smaller share of the largest variance are rounding errors.
RANK_TOLERANCE = 1e-12
ALPHAS = tuple(10.0**exponent for exponent in np.arange(0.0, 6.25, 0.5))


@dataclass(frozen=True)
class RidgeMap:
    r"""
    A linear map from brain to meaning, $\hat y = W x + b$, where meaning is centred on the training texts.

    Args:
        weight (`np.ndarray` of shape `(embedding, features)`):
            $W$.
        bias (`np.ndarray` of shape `(embedding,)`):
            $b$.
        alpha (`float`):
            Penalty, chosen by cross-validation over whole groups.
        cross_fitted (`np.ndarray` of shape `(brains, embedding)`):
            Prediction for each training brain by a map that has seen nothing of its group. A language stage trained on
            these meets inputs as poor as those of the test; in-sample predictions would be far too good.
    """

    weight: np.ndarray
    bias: np.ndarray
    alpha: float
    cross_fitted: np.ndarray

    def __call__(self, brains: np.ndarray) -> np.ndarray:
        """Embeddings `[brains, embedding]` of brains `[brains, features]`."""
        return brains @ self.weight.T + self.bias


def fit_ridge(
    brains: np.ndarray,
    embeddings: np.ndarray,
    groups: Sequence[str],
    alphas: Sequence[float] = ALPHAS,
    feature_scales: np.ndarray | None = None,
    num_folds: int = 5,
) -> RidgeMap:
    r"""
    Fits $\min_W \sum_i \lVert y_i - \bar y - W S x_i - b \rVert^2 + \alpha \lVert W \rVert^2$ with a diagonal $S$.

    The mean $\bar y$ is taken away: what all sentences of a corpus share is no news of the brain. The penalty is that
    of `alphas` under which held-out groups are identified best; squared error, most of it noise, would choose too
    large a one.

    Args:
        brains (`np.ndarray` of shape `(brains, features)`):
            Training brains as the encoder reads them, i.e. after the processor.
        embeddings (`np.ndarray` of shape `(brains, embedding)`):
            What was perceived.
        groups (`Sequence[str]` of length `brains`):
            Leak-proof unit (passage); never on both sides of a fold.
        alphas (`Sequence[float]`, *optional*):
            Penalties to choose from; 1 to 1e6 in half decades by default.
        feature_scales (`np.ndarray` of shape `(features,)`, *optional*):
            Diagonal of $S$: a feature of larger scale is penalised less. For standardised principal components, a
            power of their raw standard deviation keeps the trust that their order deserves.
        num_folds (`int`, *optional*, defaults to 5):
            Folds of the cross-validation and of the cross-fitting.

    Returns:
        [`RidgeMap`]: with the scales folded into its weight.

    Raises:
        ValueError: there are fewer groups than folds.
    """
    num_groups = len(set(groups))
    if num_groups < num_folds:
        raise ValueError(f"`num_folds={num_folds}` needs as many groups; the training rows have {num_groups}.")
    scales = np.ones(brains.shape[1]) if feature_scales is None else np.asarray(feature_scales)
    inputs, targets = brains * scales, embeddings - embeddings.mean(0)
    held_out = [test for _, test in GroupKFold(num_folds).split(inputs, groups=groups)]
    predicted = np.empty((len(alphas), *targets.shape))
    for test in held_out:
        train = np.setdiff1d(np.arange(len(inputs)), test)
        predicted[:, test] = _solve(inputs[train], targets[train], alphas).predict(inputs[test])
    scores = [np.mean([_identification(of_alpha[test], targets[test]) for test in held_out]) for of_alpha in predicted]
    best = int(np.argmax(scores))
    solution = _solve(inputs, targets, [alphas[best]])
    weight, bias = solution.coefficients()
    return RidgeMap(weight * scales, bias, float(alphas[best]), predicted[best])


@dataclass(frozen=True)
class _Solution:
    """
    Ridge regression under every penalty from one decomposition of the centred inputs, `X = U S V`.

    Their products are decomposed in the smaller of the two sides, samples or features; then each penalty costs no more
    than a product of matrices.
    """

    center: np.ndarray
    target_center: np.ndarray
    basis: np.ndarray
    values: np.ndarray
    projected: np.ndarray
    alphas: Sequence[float]

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Predictions `[alphas, rows, embedding]`."""
        rotated = (inputs - self.center) @ self.basis
        shrunk = (self.projected / (self.values + alpha)[:, None] for alpha in self.alphas)
        return np.stack([rotated @ weights for weights in shrunk]) + self.target_center

    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        """Weight `[embedding, features]` and bias `[embedding]` under the first penalty."""
        weight = (self.basis @ (self.projected / (self.values + self.alphas[0])[:, None])).T
        return weight, self.target_center - weight @ self.center


def _solve(inputs: np.ndarray, targets: np.ndarray, alphas: Sequence[float]) -> _Solution:
    """Decomposes the inputs once; components without variance predict nothing and are left out."""
    center, target_center = inputs.mean(0), targets.mean(0)
    centered, residuals = np.asarray(inputs - center, float), np.asarray(targets - target_center, float)
    if len(centered) < centered.shape[1]:
        values, vectors = np.linalg.eigh(centered @ centered.T)
        kept = values > RANK_TOLERANCE * values[-1]
        values, vectors = values[kept], vectors[:, kept]
        basis = centered.T @ (vectors / np.sqrt(values))
        projected = np.sqrt(values)[:, None] * (vectors.T @ residuals)
    else:
        values, vectors = np.linalg.eigh(centered.T @ centered)
        kept = values > RANK_TOLERANCE * values[-1]
        values, basis = values[kept], vectors[:, kept]
        projected = basis.T @ (centered.T @ residuals)
    return _Solution(center, target_center, basis, values, projected, alphas)


def _identification(predicted: np.ndarray, targets: np.ndarray) -> float:
    """Share of pairs in which a prediction is closer, by cosine, to its own target than to another's."""
    predicted, targets = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (predicted, targets))
    similarity = predicted @ targets.T
    wins = np.diag(similarity)[:, None] > similarity
    return float(wins.sum() / (wins.size - len(wins)))


__all__ = ["ALPHAS", "RidgeMap", "fit_ridge"]
