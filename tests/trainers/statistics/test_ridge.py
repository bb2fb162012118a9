# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""One decomposition a fold finds what scikit-learn finds by a solution for every penalty and fold."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict

from trainers.statistics.ridge import ALPHAS, cross_fit, fit_ridge


def identification(ridge, inputs, targets):
    predicted = ridge.predict(inputs)
    cosines = [[t @ p / np.linalg.norm(t) / np.linalg.norm(p) for t in targets] for p in predicted]
    pairs = [(own[i], other) for i, own in enumerate(cosines) for j, other in enumerate(own) if i != j]
    return np.mean([right > wrong for right, wrong in pairs])


def plant(num_brains, num_features, embedding=5, noise=3.0, seed=0):
    """Brains, embeddings whose later components are noisier, and groups of three."""
    rng = np.random.default_rng(seed)
    brains = rng.standard_normal((num_brains, num_features)) + 2.0
    map_ = rng.standard_normal((num_features, embedding)) / np.sqrt(num_features)
    embeddings = brains @ map_ + noise * rng.random(embedding) * rng.standard_normal((num_brains, embedding))
    return brains, embeddings, [str(i // 3) for i in range(num_brains)]


def by_scikit_learn(brains, embeddings, groups, scales):
    inputs, targets, folds = brains * scales, embeddings - embeddings.mean(0), GroupKFold(5)
    search = GridSearchCV(Ridge(), {"alpha": list(ALPHAS)}, scoring=identification, cv=folds)
    search.fit(inputs, targets, groups=groups)
    best = search.best_estimator_
    crossed = cross_val_predict(best, inputs, targets, groups=groups, cv=folds)
    return search.best_params_["alpha"], search.cv_results_["mean_test_score"], best, crossed


class Counted:
    """A function of the library that counts its calls."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *arguments, **options):
        self.calls += 1
        return self.function(*arguments, **options)


@pytest.mark.parametrize(
    ("num_brains", "num_features"), [(90, 12), (90, 80), (60, 400)], ids=["tall", "as many as a fold", "wide"]
)
class TestOneDecomposition:
    def test_equals_scikit_learn(self, num_brains, num_features):
        brains, embeddings, groups = plant(num_brains, num_features)
        scales = np.linspace(1.0, 0.1, num_features)
        alpha, scores, best, crossed = by_scikit_learn(brains, embeddings, groups, scales)
        ridge = fit_ridge(brains, embeddings, groups, feature_scales=scales)
        found = cross_fit(brains, {"space": embeddings}, groups, feature_scales=scales)["space"]
        assert ridge.alpha == found.alpha == alpha
        np.testing.assert_allclose(found.scores, scores, atol=1e-12)
        np.testing.assert_allclose(ridge.cross_fitted, crossed, atol=1e-9)
        np.testing.assert_array_equal(found.predictions, ridge.cross_fitted)
        np.testing.assert_allclose(ridge.weight, best.coef_ * scales, atol=1e-9)
        np.testing.assert_allclose(ridge.bias, best.intercept_, atol=1e-9)

    def test_each_space_as_if_alone(self, num_brains, num_features, monkeypatch):
        brains, embeddings, groups = plant(num_brains, num_features)
        spaces = {"noisy": embeddings + 30 * plant(num_brains, 3, seed=1)[1], "clean": embeddings[:, :2]}
        alone = {name: cross_fit(brains, {name: space}, groups)[name] for name, space in spaces.items()}
        decompose = Counted(np.linalg.eigh)
        monkeypatch.setattr(np.linalg, "eigh", decompose)
        together = cross_fit(brains, spaces, groups)
        assert decompose.calls == 5
        for name, fit in together.items():
            assert fit.alpha == alone[name].alpha
            for field in ("scores", "predictions", "reliabilities", "slopes"):
                np.testing.assert_allclose(getattr(fit, field), getattr(alone[name], field), atol=1e-9)

    def test_copied_columns_and_a_constant_one(self, num_brains, num_features):
        """Variances of zero, which rounding makes negative, predict nothing."""
        brains, embeddings, groups = plant(num_brains, num_features)
        brains = np.concatenate([brains, brains, np.ones((num_brains, 1))], axis=1)
        ridge = fit_ridge(brains, embeddings, groups, alphas=[1.0])
        reference = Ridge(1.0).fit(brains, embeddings - embeddings.mean(0))
        np.testing.assert_allclose(ridge(brains), reference.predict(brains), atol=1e-9)


class TestCrossFit:
    def test_planted_reliability_and_its_null(self):
        rng = np.random.default_rng(0)
        brains = rng.standard_normal((3000, 4))
        planted = np.array([0.3, 0.9, 0.6, 0.0])
        embeddings = planted * brains + np.sqrt(1 - planted**2) * rng.standard_normal(brains.shape)
        groups = [str(i // 10) for i in range(3000)]
        fit = cross_fit(brains, {"": embeddings * 7 + 5}, groups)[""]
        np.testing.assert_allclose(fit.reliabilities[:3], planted[:3], atol=0.03)
        assert fit.reliabilities[3] < 0.06
        # Calibrated: truth regressed on the prediction has slope one, where there is anything to predict.
        slopes = [
            np.polyfit(p * s, t, 1)[0] for p, s, t in zip(fit.predictions.T, fit.slopes, embeddings.T * 7, strict=True)
        ]
        np.testing.assert_allclose(slopes[:3], 1.0, atol=0.02)

    def test_leaves_each_group_out(self):
        brains, embeddings, groups = plant(45, 6)
        found = cross_fit(brains, {"": embeddings}, groups, alphas=[10.0], num_folds=15)[""].predictions
        own = np.array(groups) == "4"
        ridge = Ridge(10.0).fit(brains[~own], embeddings[~own])
        np.testing.assert_allclose(found[own], ridge.predict(brains[own]) - embeddings.mean(0), atol=1e-10)

    def test_penalties_are_positive(self):
        with pytest.raises(ValueError, match="`alphas` must be positive, found 0.0"):
            fit_ridge(*plant(45, 6), alphas=[1.0, 0.0])
