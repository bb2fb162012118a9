# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Resampling, tests, permutations and ridge regression, of arrays alone."""

from ..exports import lazy_exports


__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "resampling": ["Resampler"],
        "ridge": ["CrossFit", "RidgeMap", "calibration", "cross_fit", "fit_ridge"],
    },
)
