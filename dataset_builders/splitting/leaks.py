# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What a test row may not share with a training row, and what nothing may be fitted on.

Every pair of splits is compared; train comes before validation, validation before test.

| kind | a row of the later split ... |
|---|---|
| `shared_group` | belongs to a passage, story or image that its subject perceived in the earlier split too |
| `other_subject` | belongs to one that only other subjects perceived in the earlier split |
| `shared_topic` | has a topic of the earlier split (under the policy `topic`) |
| `repeated_trial` | is one more trial of a text or image that the earlier split has of the same subject |
| `repeated_row` | has the brain sample, the prompt and the completion of an earlier row: `validation` that is `test` |
| `duplicate_id` | bears the `sample_id` of another row, of whichever split |
| `shared_frames` | holds a frame of a recording that the earlier split holds: windows overlap |
| `adjacent_frames` | holds a frame less than [`RESPONSE_SECONDS`] from one of the earlier split: responses overlap |
| `shared_brain` | holds a brain frame, value for value, that the earlier split holds |
| `renamed_subject` | holds a brain frame, value for value, that the earlier split holds under other subjects' names |
| `rescaled_brain` | holds a brain frame of the earlier split, shifted and scaled as a whole |
| `standardized_brain` | holds a frame of a recording of the earlier split, shifted and scaled feature by feature |
| `shared_text` | was perceived within a sentence that occurs in the earlier split |
| `near_text` | was perceived within such a sentence but for case, punctuation and one word, changed or moved |
| `shared_words` | holds twelve words in a row that the earlier split has under the name of another stimulus |
| `retold_stimulus` | belongs to a story that the earlier split tells under another name, with words missing or changed |
| `shared_references` | has the captions of an image of the earlier split: one image under two names |
| `near_references` | has them but for case, punctuation and one caption |
| `target_in_prompt` | has its completion inside a prompt of the same story in the earlier split |
| `target_in_own_prompt` | has a caption of its image inside its own prompt; or, as many others, its completion |
| `fitted_on_test` | holds a frame on which means, components or a choice of voxels were fitted |
| `tuned_on_test` | is a test row that was looked at to choose something: a threshold, weights of words, a checkpoint |

What is no leak. A short text that *recurs*: two passages may both say "of the house", two images "a man riding a
wave", and language models meet such phrases everywhere. So texts are compared where they are whole sentences (`text`
longer than `completion`) of some length, captions by the set that an image has of them (of COCO's 5,000 validation
images no two share more than 2 of 5), and completions are looked for in prompts of their own story only. Near copies
of up to five rows in a thousand are chance too. Frames that do not vary over features (an empty volume) are no one's
brain. Under the policy `time` all splits share their stories; there, rows are compared by what was said in them.

What cannot be seen here: pictures under two names with different captions, copies with added noise, and anything that
happened to the data before they came.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ..schema import SPLITS, TEST, TRAIN, Sample
from .fingerprints import FrameTable, codes, digest_frames, distances
from .leak_checks import brain_checks, rows_in_own_prompts, rows_in_prompts, stimulus_checks, text_checks
from .policies import DROPPED, PASSAGE
from .retellings import retold_rows


#: The kinds of leak: what is said about the rows that are touched.
LEAK_KINDS = {
    "shared_group": "share with {earlier} a passage, story or image",
    "other_subject": "share with {earlier} a passage, story or image that other subjects perceived",
    "shared_topic": "share with {earlier} a topic",
    "repeated_trial": "are further trials of what {earlier} has of the same subject",
    "repeated_row": "share with {earlier} brain, prompt and completion",
    "duplicate_id": "bear the sample_id of another row, in {earlier}",
    "shared_frames": "share with {earlier} frames of a recording",
    "adjacent_frames": "hold frames less than 8 seconds from {earlier}",
    "shared_brain": "share with {earlier} a brain frame, value for value",
    "renamed_subject": "share with {earlier} a brain frame that bears another subject's name there",
    "rescaled_brain": "share with {earlier} a brain frame, rescaled",
    "standardized_brain": "share with {earlier} a brain frame, standardised feature by feature",
    "shared_text": "share with {earlier} a sentence",
    "near_text": "share with {earlier} a sentence but for one word, case and punctuation",
    "shared_words": "share with {earlier} a long run of words under another stimulus' name",
    "retold_stimulus": "belong to a story that {earlier} tells under another name",
    "shared_references": "share with {earlier} all captions",
    "near_references": "share with {earlier} all captions but one, or but for case and punctuation",
    "target_in_prompt": "have their completion inside a prompt of {earlier}",
    "target_in_own_prompt": "have their completion inside their own prompt",
    "fitted_on_test": "hold frames on which something was fitted",
    "tuned_on_test": "were looked at to choose something",
}

#: How long the brain responds to a word, at least, as decoders have it: Tang et al. (2023) look at delays of 2 to 8 s.
RESPONSE_SECONDS = 8.0
# Among thousands of sentences of a small vocabulary a few differ in one word, and people quote: such a share of rows is
# no leak.
_CHANCE_SHARES = {"near_text": 0.005, "near_references": 0.005, "shared_words": 0.01}
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
            + "\nGive rows that share a stimulus or a recording the same group, raise gap_frames, or remove the "
            "repeated rows. Only split='paper' is built in spite of its leaks, to compare with published numbers"
        )


def describe_leak(leak: dict[str, Any]) -> str:
    """One line for people about one finding of [`find_leaks`]."""
    earlier, later = leak["splits"]
    what = LEAK_KINDS[leak["kind"]].format(earlier=earlier)
    return f"{leak['kind']}: {leak['count']} rows of {later} {what}, for example {', '.join(leak['examples'])}"


#: A kind, the earlier and the later split, rows of the later one, and what is to be said before their names.
_Finding = tuple[str, str, str, np.ndarray, str]


def find_leaks(
    samples: Sequence[Sample],
    splits: np.ndarray,
    digests: Mapping[str, np.ndarray] | None = None,
    *,
    policy: str = PASSAGE,
    fitted_on: Mapping[str, Mapping[str, Sequence[int] | np.ndarray]] | None = None,
    tuned_on: Mapping[str, Collection[str]] | None = None,
    notes: Counter[str] | None = None,
) -> list[dict[str, Any]]:
    """
    Looks for every kind of leak. Takes time and memory in proportion to rows, frames and words.

    Args:
        samples (`Sequence[Sample]`):
            The rows.
        splits (`np.ndarray`):
            The split of each row, `[samples]`; [`~dataset_builders.splitting.policies.DROPPED`] rows do not count.
        digests (`Mapping[str, np.ndarray]`, *optional*):
            For each `recording_id` the hashes `[frames, digest]` of its frames, by [`digest_frames`]. Without them
            copies of brain values are not seen.
        policy (`str`, *optional*, defaults to `"passage"`):
            How the rows were divided, one of [`~dataset_builders.splitting.policies.SPLIT_POLICIES`]: `topic` asks for
            more, and `time` divides stories by design.
        fitted_on (`Mapping[str, Mapping[str, Sequence[int]]]`, *optional*):
            For whatever was fitted and is applied to other recordings ("z-score", "components", "voxel selection"):
            the frames of each `recording_id` that it was fitted on.
        tuned_on (`Mapping[str, Collection[str]]`, *optional*):
            For whatever was chosen by looking at rows ("checkpoint", "document frequencies"): their `sample_id`.
        notes (`Counter[str]`, *optional*):
            Rows that are alike, but so few that chance explains them, are counted here.

    Returns:
        `list[dict]`: for each kind and pair of splits with a leak `{"kind", "splits": [earlier, later], "count",
        "examples"}`: the number of rows of the later split that are touched, and the ids of the first few. Empty if
        the splits are clean.
    """
    kept = np.flatnonzero(splits != DROPPED)
    samples, sides = [samples[row] for row in kept], splits[kept]
    table = FrameTable.of(samples)
    by_chance: Counter[str] = Counter() if notes is None else notes
    findings = [
        *_between_splits(samples, sides, table, digests or {}, policy, by_chance),
        *_within_rows(samples, sides, by_chance),
        *_looked_at(samples, sides, table, fitted_on or {}, tuned_on or {}),
    ]
    findings.sort(key=lambda finding: list(LEAK_KINDS).index(finding[0]))
    return [
        {
            "kind": kind,
            "splits": [earlier, later],
            "count": len(rows),
            "examples": [f"{what}{samples[row].sample_id}" for row in rows[:_NUM_EXAMPLES]],
        }
        for kind, earlier, later, rows, what in findings
        if len(rows)
    ]


def _between_splits(
    samples: Sequence[Sample],
    sides: np.ndarray,
    table: FrameTable,
    digests: Mapping[str, np.ndarray],
    policy: str,
    by_chance: Counter[str],
) -> Iterator[_Finding]:
    """Every kind that compares two splits."""
    for earlier, later, rows in retold_rows(samples, sides):
        yield "retold_stimulus", earlier, later, rows, ""
    checks = stimulus_checks(samples, policy) | brain_checks(samples, table, digests) | text_checks(samples)
    for earlier, later in combinations(SPLITS, 2):
        touched = {kind: check.touched(sides, earlier, later) for kind, check in checks.items()}
        for kind, check in checks.items():
            known = np.concatenate([np.empty(0, np.int64), *(touched[other] for other in check.unless)])
            rows = np.setdiff1d(touched[kind], known)
            if len(rows) > _CHANCE_SHARES.get(kind, 0) * np.count_nonzero(sides == later):
                yield kind, earlier, later, rows, ""
            elif len(rows):
                by_chance[f"{kind}, {earlier} and {later}: rows put down to chance"] += len(rows)
        yield "adjacent_frames", earlier, later, _adjacent_rows(table, sides, earlier, later), ""
        yield "target_in_prompt", earlier, later, rows_in_prompts(samples, sides, earlier, later, policy), ""


def _adjacent_rows(table: FrameTable, sides: np.ndarray, earlier: str, later: str) -> np.ndarray:
    """Rows with a frame that lies close to a frame of `earlier` in the same recording, and is not that frame."""
    places, seconds, side = table.places, table.seconds_per_frame(), sides[table.rows]
    entries = np.flatnonzero((side == later) & np.isfinite(seconds))
    apart = distances(places[entries], places[side == earlier])
    close = (apart > 0) & (apart * seconds[entries] < RESPONSE_SECONDS)
    return np.unique(table.rows[entries[close]])


def _within_rows(samples: Sequence[Sample], sides: np.ndarray, by_chance: Counter[str]) -> Iterator[_Finding]:
    """Kinds for which it does not matter on which side a row stands."""
    names = codes(sample.sample_id for sample in samples)
    first = np.unique(names, return_index=True)[1][names]  # codes are counted in order of appearance
    repeated = first < np.arange(len(samples))
    for index, later in enumerate(SPLITS):
        told, repeated_words = rows_in_own_prompts(samples, sides, later)
        yield "target_in_own_prompt", later, later, told, ""
        if repeated_words:
            by_chance[f"target_in_own_prompt, {later}: rows put down to chance"] += repeated_words
        for earlier in SPLITS[: index + 1]:
            one_way = repeated & (sides[first] == earlier) & (sides == later)
            other_way = repeated & (sides[first] == later) & (sides == earlier) & (earlier != later)
            yield "duplicate_id", earlier, later, np.flatnonzero(one_way | other_way), ""


def _looked_at(
    samples: Sequence[Sample],
    sides: np.ndarray,
    table: FrameTable,
    fitted_on: Mapping[str, Mapping[str, Sequence[int] | np.ndarray]],
    tuned_on: Mapping[str, Collection[str]],
) -> Iterator[_Finding]:
    """Rows outside the training split whose frames or texts were used before they are tested."""
    for statistic, frames in fitted_on.items():
        used = np.zeros(len(table.rows), bool)
        for recording, entries in table.entries_by_recording(samples):
            if recording in frames:
                used[entries] = np.isin(table.frames[entries], frames[recording])
        rows = np.unique(table.rows[used])
        for later in SPLITS[1:]:
            yield "fitted_on_test", TRAIN, later, rows[sides[rows] == later], f"{statistic}: "
    for choice, names in tuned_on.items():
        names = frozenset(names)
        rows = [row for row, sample in enumerate(samples) if sides[row] == TEST and sample.sample_id in names]
        yield "tuned_on_test", TRAIN, TEST, np.array(rows, dtype=np.int64), f"{choice}: "


__all__ = ["LEAK_KINDS", "RESPONSE_SECONDS", "LeakageError", "describe_leak", "digest_frames", "find_leaks"]
