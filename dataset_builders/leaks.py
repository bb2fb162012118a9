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
"""
What a test row may not share with a training row.

| kind | a row of the later split ... |
|---|---|
| `shared_group` | belongs to a passage or story that the earlier split has too |
| `shared_brain` | holds a brain frame, value for value, that the earlier split holds |
| `shared_text` | was perceived within a sentence that occurs in the earlier split |
| `target_in_prompt` | has its completion inside a prompt of the same story in the earlier split |

A completion that merely *recurs* is no leak: two passages may both say "of the house", and language models meet such
phrases everywhere. So texts are compared where they are whole sentences (`text` longer than `completion`), and
completions are looked for only in prompts of their own story.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import combinations
from typing import Any

import numpy as np

from .schema import SPLITS, Sample


LEAK_KINDS = ("shared_group", "shared_brain", "shared_text", "target_in_prompt")
_NUM_EXAMPLES = 3


class LeakageError(ValueError):
    """
    The splits share what they must not.

    Args:
        leaks (`list[dict]`):
            Findings of [`find_leaks`], kept as the attribute `leaks`.
    """

    def __init__(self, leaks: list[dict[str, Any]]):
        self.leaks = leaks
        super().__init__(
            "the splits leak:\n"
            + "\n".join(f"- {describe_leak(leak)}" for leak in leaks)
            + "\nGive passages that share sentences or recordings the same group, or remove the repeated rows. Only "
            "split='paper' is built in spite of its leaks, to compare with published numbers"
        )


def describe_leak(leak: dict[str, Any]) -> str:
    """One line for people about one finding of [`find_leaks`]."""
    earlier, later = leak["splits"]
    examples = ", ".join(leak["examples"])
    return f"{leak['kind']}: {leak['count']} rows of {later} share with {earlier}, for example {examples}"


def frame_digests(samples: Sequence[Sample]) -> list[tuple[bytes, ...]]:
    """
    A hash of the values of every brain frame of every sample.

    Single frames, not whole samples: neighbouring windows of a story share some frames without being equal.
    """
    known: dict[tuple[int, int], bytes] = {}

    def digest(recording: np.ndarray, frame: int) -> bytes:
        key = (id(recording), frame)
        if key not in known:
            known[key] = blake2b(recording[frame].tobytes(), digest_size=16).digest()
        return known[key]

    return [tuple(digest(sample.recording, frame) for frame in sample.frames.tolist()) for sample in samples]


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())


def _texts(sample: Sample) -> tuple[str, ...]:
    """The sentence of the sample, or nothing where all that is known to be perceived is the completion."""
    text = _normalised(sample.text)
    return () if text == _normalised(sample.completion) else (text,)


def _rows_sharing(keys: Sequence[tuple], earlier: np.ndarray, later: np.ndarray) -> list[int]:
    """Rows of `later` with a key that some row of `earlier` has."""
    seen = {key for row in earlier for key in keys[row]}
    return [row for row in later if not seen.isdisjoint(keys[row])]


def _rows_in_prompts(samples: Sequence[Sample], earlier: np.ndarray, later: np.ndarray) -> list[int]:
    """Rows of `later` whose completion occurs, as whole words, in a prompt of its own story in `earlier`."""
    prompts: dict[str, list[str]] = defaultdict(list)
    for row in earlier:
        prompts[samples[row].story].append(f" {_normalised(samples[row].prompt)} ")
    # A line break keeps a completion from matching across two prompts.
    joined = {story: "\n".join(texts) for story, texts in prompts.items()}
    return [row for row in later if f" {_normalised(samples[row].completion)} " in joined.get(samples[row].story, "")]


def find_leaks(samples: Sequence[Sample], splits: np.ndarray) -> list[dict[str, Any]]:
    """
    Compares every pair of splits.

    Args:
        samples (`Sequence[Sample]`):
            The rows.
        splits (`np.ndarray`):
            The split of each row, `[samples]`.

    Returns:
        `list[dict]`: for each kind and pair of splits with a leak `{"kind", "splits": [earlier, later], "count",
        "examples"}`: the number of rows of the later split that are touched, and the ids of the first few. Empty if
        the splits are clean.
    """
    keys = {
        "shared_group": [(sample.group,) for sample in samples],
        "shared_brain": frame_digests(samples),
        "shared_text": [_texts(sample) for sample in samples],
    }

    def findings() -> Iterator[tuple[str, tuple[str, str], list[int]]]:
        for pair in combinations(SPLITS, 2):
            earlier, later = (np.flatnonzero(splits == name) for name in pair)
            for kind, values in keys.items():
                yield kind, pair, _rows_sharing(values, earlier, later)
            yield "target_in_prompt", pair, _rows_in_prompts(samples, earlier, later)

    return [
        {
            "kind": kind,
            "splits": list(pair),
            "count": len(rows),
            "examples": [samples[row].sample_id for row in rows[:_NUM_EXAMPLES]],
        }
        for kind, pair, rows in findings()
        if rows
    ]


__all__ = ["LEAK_KINDS", "LeakageError", "describe_leak", "find_leaks", "frame_digests"]
