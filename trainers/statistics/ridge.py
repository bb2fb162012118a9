# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Ridge regression from brains to embeddings, its penalty chosen inside the training rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict


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
    inputs, targets, folds = brains * scales, embeddings - embeddings.mean(0), GroupKFold(num_folds)
    search = GridSearchCV(Ridge(), {"alpha": list(alphas)}, scoring=_identification, cv=folds)
    ridge = search.fit(inputs, targets, groups=groups).best_estimator_
    return RidgeMap(
        weight=ridge.coef_ * scales,
        bias=ridge.intercept_,
        alpha=float(search.best_params_["alpha"]),
        cross_fitted=cross_val_predict(ridge, inputs, targets, groups=groups, cv=folds),
    )


def _identification(ridge: Ridge, inputs: np.ndarray, targets: np.ndarray) -> float:
    """Share of pairs in which a prediction is closer, by cosine, to its own target than to another's."""
    predicted, targets = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (ridge.predict(inputs), targets))
    similarity = predicted @ targets.T
    wins = np.diag(similarity)[:, None] > similarity
    return float(wins.sum() / (wins.size - len(wins)))


__all__ = ["ALPHAS", "RidgeMap", "fit_ridge"]
