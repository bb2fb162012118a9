# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The search for constant captions, made once for equal references: tests that share them pay for it once."""

import copy
from collections.abc import Callable, Iterator

import pytest

from trainers.scoring import captions as caption_scores


@pytest.fixture(autouse=True, scope="module")
def remembered_baselines() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caption_scores, "best_constant_captions", _remember(caption_scores.best_constant_captions))
        yield


def _remember(search: Callable) -> Callable:
    found = {}

    def recall(references, *arguments, frequencies):
        key = repr((references, arguments, frequencies.num_documents, sorted(frequencies.counts.items())))
        if key not in found:
            found[key] = search(references, *arguments, frequencies=frequencies)
        return copy.copy(found[key])

    return recall


__all__ = ["remembered_baselines"]
