# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Row 6: ridge regression for all penalties by one decomposition a fold, against scikit-learn's search over penalties.

    python examples/benchmarks/speed/ridge.py

Prints one JSON object: decompositions and solutions of each, the largest difference, CPU seconds in turns, and the
slope of the cost in rows, in features and in embedding components.
"""

import argparse
import json
from unittest import mock

import numpy as np
import scipy.linalg
import torch
from measuring import in_turns
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict

from trainers.statistics import ridge as subject
from trainers.statistics.ridge import ALPHAS, fit_ridge


#: Sustained float64 rate of one core of a present server, for the arithmetic of the whole job; as measured here.
JOB = {"rows": 9000, "features": 15724, "embedding": 768, "cores": 16, "folds": 5}


def plant(rows: int, features: int, embedding: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(0)
    brains = rng.standard_normal((rows, features))
    signal = brains @ rng.standard_normal((features, embedding)) / np.sqrt(features)
    return brains, signal + 2 * rng.standard_normal(signal.shape), [str(i // 5) for i in range(rows)]


def by_scikit_learn(brains: np.ndarray, embeddings: np.ndarray, groups: list[str]) -> tuple[float, np.ndarray]:
    targets, folds = embeddings - embeddings.mean(0), GroupKFold(5)

    def score(ridge, inputs, truth):
        return subject._identification(ridge.predict(inputs), truth)

    search = GridSearchCV(Ridge(), {"alpha": list(ALPHAS)}, scoring=score, cv=folds).fit(
        brains, targets, groups=groups
    )
    crossed = cross_val_predict(search.best_estimator_, brains, targets, groups=groups, cv=folds)
    return search.best_params_["alpha"], crossed


def count(rows: int = 60, features: int = 12, embedding: int = 3) -> dict[str, int]:
    """Decompositions and solutions of both ways, each counted where the library is called."""
    data, found = plant(rows, features, embedding), {}
    with (
        mock.patch.object(np.linalg, "eigh", wraps=np.linalg.eigh) as eigh,
        mock.patch.object(subject, "solve", wraps=scipy.linalg.solve) as solve,
    ):
        fit_ridge(*data)
        found |= {"decompositions": eigh.call_count, "solutions": solve.call_count}
    with mock.patch.object(Ridge, "fit", autospec=True, side_effect=Ridge.fit) as fit:
        by_scikit_learn(*data)
        found["solutions of scikit-learn"] = fit.call_count
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--rows", type=int, default=900, help="training rows")
    parser.add_argument("--embedding", type=int, default=256, help="components")
    parser.add_argument("--repeats", type=int, default=3, help="turns, of which the median is told")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict = {"counts": count()}
    for name, features in (("tall", args.rows // 3), ("wide", args.rows * 3)):
        data = plant(args.rows, features, args.embedding)
        alpha, crossed = by_scikit_learn(*data)
        ours = fit_ridge(*data)
        seconds = in_turns(args.repeats, before=lambda d=data: by_scikit_learn(*d), after=lambda d=data: fit_ridge(*d))
        found[name] = {"same penalty": ours.alpha == alpha, "difference": abs(ours.cross_fitted - crossed).max()}
        found[name] |= {"seconds": seconds, "times faster": seconds["before"] / seconds["after"]}
    base = {"rows": args.rows, "features": args.rows * 3, "embedding": args.embedding}
    for name in base:
        small, large = base, base | {name: 2 * base[name]}
        spent = in_turns(args.repeats, small=_job(small), large=_job(large))
        found[f"exponent in {name}"] = float(np.log2(spent["large"] / spent["small"]))
    found["job"] = JOB | _job_seconds(base, in_turns(args.repeats, once=_job(base))["once"])
    print(json.dumps({"arguments": vars(args), **found}, indent=2, default=float))


def _job(sizes: dict[str, int]):
    data = plant(sizes["rows"], sizes["features"], sizes["embedding"])
    return lambda: fit_ridge(*data)


def operations(rows: int, features: int, embedding: int, folds: int = 5) -> float:
    """Multiplications and additions, wide case: products once; a fold's decomposition (9 n^3), and its predictions."""
    fold = rows * (folds - 1) / folds
    held_out = rows / folds
    apply = 2 * fold**2 * (embedding + held_out) + len(ALPHAS) * 2 * held_out * (fold + held_out) * embedding
    return 2 * rows**2 * features + folds * (9 * fold**3 + apply) + rows**3 / 3 + 4 * rows * features * embedding


def _job_seconds(base: dict[str, int], seconds: float) -> dict[str, float]:
    rate = operations(**base) / seconds
    needed = operations(JOB["rows"], JOB["features"], JOB["embedding"], JOB["folds"])
    return {"measured operations/s of one core": rate, "predicted seconds": needed / (rate * JOB["cores"])}


if __name__ == "__main__":
    main()
