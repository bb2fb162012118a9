# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Ridge regression from brains to embeddings: one decomposition a fold, its penalty chosen inside the training."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve
from sklearn.model_selection import GroupKFold


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


@dataclass(frozen=True)
class CrossFit:
    r"""
    What a ridge map says of training brains whose group it has not seen, and how far that can be trusted.

    Args:
        alpha (`float`):
            Penalty under which held-out groups are identified best.
        scores (`np.ndarray` of shape `(alphas,)`):
            Identification of held-out groups under each penalty, mean over folds; chance .5.
        predictions (`np.ndarray` of shape `(brains, embedding)`):
            Out-of-fold predictions of the embeddings less their mean over all brains.
        reliabilities (`np.ndarray` of shape `(embedding,)`), slopes (`np.ndarray` of shape `(embedding,)`):
            See [`calibration`].
    """

    alpha: float
    scores: np.ndarray
    predictions: np.ndarray
    reliabilities: np.ndarray
    slopes: np.ndarray


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
        ValueError: there are fewer groups than folds, or a penalty is not positive.
    """
    problem = _Problem(brains, feature_scales)
    fitted = _cross_fit(problem, {"": embeddings}, groups, alphas, num_folds)[""]
    weight, bias = problem.solve(embeddings - embeddings.mean(0), fitted.alpha)
    return RidgeMap(weight, bias, fitted.alpha, fitted.predictions)


def cross_fit(
    brains: np.ndarray,
    spaces: Mapping[str, np.ndarray],
    groups: Sequence[str],
    alphas: Sequence[float] = ALPHAS,
    feature_scales: np.ndarray | None = None,
    num_folds: int = 5,
) -> dict[str, CrossFit]:
    """
    Predicts each training brain in several embedding spaces by maps that have not seen its group.

    The decomposition of a fold serves all penalties and all spaces; each space has a penalty of its own.

    Args:
        brains (`np.ndarray` of shape `(brains, features)`), groups (`Sequence[str]` of length `brains`):
            See [`fit_ridge`].
        spaces (`Mapping[str, np.ndarray]`):
            Name of each space → embeddings `(brains, embedding)`.
        alphas (`Sequence[float]`, *optional*), feature_scales (`np.ndarray` of shape `(features,)`, *optional*):
            See [`fit_ridge`].
        num_folds (`int`, *optional*, defaults to 5):
            Folds; as many as groups leaves each out in turn.

    Returns:
        `dict[str, CrossFit]`: for each space.

    Raises:
        ValueError: see [`fit_ridge`].
    """
    return _cross_fit(_Problem(brains, feature_scales), spaces, groups, alphas, num_folds)


def calibration(embeddings: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""
    How far each component of out-of-fold predictions can be trusted.

    Args:
        embeddings (`np.ndarray` of shape `(brains, embedding)`):
            The truth.
        predictions (`np.ndarray` of shape `(brains, embedding)`):
            Predictions by maps that have not seen the group of a brain.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: $\rho$ of each component, its correlation with its prediction, and the slope:
        what its prediction is multiplied by to have the standard deviation $\rho \sigma$ of the best linear guess.
    """
    deviations, spread = embeddings.std(0), predictions.std(0)
    covariance = ((embeddings - embeddings.mean(0)) * (predictions - predictions.mean(0))).mean(0)
    # A component that never varies, or is never predicted to, says nothing.
    varies = deviations * spread > 0
    correlation = np.maximum(covariance / np.where(varies, deviations * spread, 1.0), 0.0)
    # A correlation squared is on average 1/n too large by chance. No component is taken for pure noise, nor for known:
    # both ends are beyond what some hundred brains can show.
    reliabilities = np.sqrt(np.clip(correlation**2 - 1 / len(embeddings), 0.05**2, 0.95**2))
    return reliabilities, reliabilities * deviations / np.where(varies, spread, 1.0)


def _cross_fit(
    problem: "_Problem",
    spaces: Mapping[str, np.ndarray],
    groups: Sequence[str],
    alphas: Sequence[float],
    num_folds: int,
) -> dict[str, CrossFit]:
    if (num_groups := len(set(groups))) < num_folds:
        raise ValueError(f"`num_folds={num_folds}` needs as many groups; the training rows have {num_groups}.")
    if min(alphas) <= 0:
        raise ValueError(f"`alphas` must be positive, found {min(alphas)}; the least penalty worth a try is 1e-6.")
    targets = {name: np.asarray(values, float) - np.mean(values, axis=0) for name, values in spaces.items()}
    joined = np.concatenate(list(targets.values()), axis=1)
    ends = np.cumsum([values.shape[1] for values in targets.values()])[:-1]
    predicted = np.empty((len(alphas), *joined.shape))
    scores = np.zeros((len(targets), len(alphas)))
    for train, held_out in GroupKFold(num_folds).split(joined, groups=groups):
        for place, found in enumerate(problem.predict(train, held_out, joined, alphas)):
            predicted[place, held_out] = found
            parts = zip(targets.values(), np.split(found, ends, axis=1), strict=True)
            scores[:, place] += [_identification(part, own[held_out]) / num_folds for own, part in parts]
    best = scores.argmax(axis=1)
    found = {}
    for i, (name, own) in enumerate(targets.items()):
        predictions = np.split(predicted[best[i]], ends, axis=1)[i]
        found[name] = CrossFit(float(alphas[best[i]]), scores[i], predictions, *calibration(own, predictions))
    return found


class _Problem:
    """
    Ridge regression on parts of the same rows, from their products with each other, which are made once.

    The products are `X Xᵀ` where features outnumber rows, else `Xᵀ X`: those of a fold are a part of the one, and the
    other less the rows held out.
    """

    def __init__(self, brains: np.ndarray, feature_scales: np.ndarray | None):
        self.scales = np.ones(brains.shape[1]) if feature_scales is None else np.asarray(feature_scales, float)
        self.inputs = np.asarray(brains, float) * self.scales
        self.center = self.inputs.mean(0)
        self.inputs -= self.center
        self.wide = self.inputs.shape[1] > len(self.inputs)
        self.products = self.inputs @ self.inputs.T if self.wide else self.inputs.T @ self.inputs

    def predict(
        self, train: np.ndarray, held_out: np.ndarray, targets: np.ndarray, alphas: Sequence[float]
    ) -> Iterator[np.ndarray]:
        """Predictions `(held_out, embedding)` by the map fitted to other rows, for each penalty in turn."""
        center = targets[train].mean(0)
        products, answers, questions = (self._rows if self.wide else self._features)(train, held_out, targets)
        values, vectors = np.linalg.eigh(products)
        answers, questions = vectors.T @ answers, questions @ vectors
        # Rounding makes variances that are zero a little less.
        values = np.maximum(values, 0.0)[:, None]
        return (questions @ (answers / (values + alpha)) + center for alpha in alphas)

    def _rows(self, train: np.ndarray, held_out: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, ...]:
        """Products of centred training rows with each other, their targets, products of held-out rows with them."""
        products = self.products[np.ix_(train, train)]
        means = products.mean(0)
        questions = self.products[np.ix_(held_out, train)]
        questions = questions - questions.mean(1, keepdims=True) - means + means.mean()
        return products - means[:, None] - means + means.mean(), targets[train] - targets[train].mean(0), questions

    def _features(self, train: np.ndarray, held_out: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, ...]:
        """Products of features over centred training rows, features with targets, centred held-out rows."""
        others, mean = self.inputs[held_out], self.inputs[train].mean(0)
        products = self.products - others.T @ others - len(train) * np.outer(mean, mean)
        answers = (self.inputs[train] - mean).T @ (targets[train] - targets[train].mean(0))
        return products, answers, others - mean

    def solve(self, targets: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """Weight `(embedding, features)` and bias `(embedding,)` of the map fitted to all rows, without the scales."""
        penalised = self.products + alpha * np.eye(len(self.products))
        answers = targets - targets.mean(0)
        if self.wide:
            weight = self.inputs.T @ solve(penalised, answers, assume_a="pos")
        else:
            weight = solve(penalised, self.inputs.T @ answers, assume_a="pos")
        return weight.T * self.scales, targets.mean(0) - self.center @ weight


def _identification(predicted: np.ndarray, targets: np.ndarray) -> float:
    """Share of pairs in which a prediction is closer, by cosine, to its own target than to another's."""
    predicted, targets = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (predicted, targets))
    similarity = predicted @ targets.T
    wins = np.diag(similarity)[:, None] > similarity
    return float(wins.sum() / (wins.size - len(wins)))


__all__ = ["ALPHAS", "CrossFit", "RidgeMap", "calibration", "cross_fit", "fit_ridge"]
