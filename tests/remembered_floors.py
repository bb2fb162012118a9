# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""The search for constant captions, made once for equal references: tests that share them pay for it once."""

import copy
from collections.abc import Callable, Iterator

import pytest

from trainers import caption_figures


@pytest.fixture(autouse=True, scope="module")
def remembered_floors() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caption_figures, "best_constant_caption", _remember(caption_figures.best_constant_caption))
        yield


def _remember(search: Callable) -> Callable:
    found = {}

    def recall(references, *arguments, frequencies):
        key = repr((references, arguments, frequencies.num_documents, sorted(frequencies.counts.items())))
        if key not in found:
            found[key] = search(references, *arguments, frequencies=frequencies)
        return copy.copy(found[key])

    return recall


__all__ = ["remembered_floors"]
