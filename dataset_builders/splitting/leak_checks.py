# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What is compared between splits to find a leak: numbers that rows of two splits may not have in common."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..schema import Sample
from .fingerprints import EXACT, RESCALED, STANDARDIZED, VARIES, FrameTable, codes, near_keys, run_keys, words_of
from .policies import TIME, TOPIC


# Shorter texts recur by chance ("and then i was like oh my"), in characters. Under `time`, where a row meets all else
# that was said in its story, more must be equal: prompt and completion so long, or so many words and the completion.
_LONG_TEXT, _LONG_STRETCH, _WORDS_OF_CONTEXT = 32, 80, 8
# So do captions of fewer words.
_LONG_CAPTION = 3
# Of fewer words, or captions, all but one are alike by chance.
_LEAST_NEAR_WORDS, _LEAST_NEAR_CAPTIONS, _LEAST_CAPTIONS = 8, 4, 2
# Words in a row that two texts of different authors do not share.
_LONG_RUN = 12
# So many rows of a split may repeat a long piece of their own prompt.
_CHANCE_SHARE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class LeakCheck:
    """
    Something that rows of two splits may not have in common.

    Args:
        items (`np.ndarray`):
            int64 `[rows]`: what each row has of this kind (its text, itself); -1 for nothing.
        holders, keys (`np.ndarray`):
            int64 `[entries]`: an item, and one of its keys, counted from 0. Items that share a key are alike.
        owners (`np.ndarray`, *optional*):
            int64 `[entries]`. If given, items are alike only if their owners are too.
        elsewhere (`bool`, *optional*, defaults to `False`):
            The opposite: only if the other split has the key under other owners, and not under this one.
        unless (`tuple[str, ...]`, *optional*):
            Kinds that say more: rows that they name are not named again.
    """

    items: np.ndarray
    holders: np.ndarray
    keys: np.ndarray
    owners: np.ndarray | None = None
    elsewhere: bool = False
    unless: tuple[str, ...] = ()

    def touched(self, sides: np.ndarray, earlier: str, later: str) -> np.ndarray:
        """Sorted rows of `later` that are like a row of `earlier`, given the split of each row."""
        before, after = self._entries(sides, earlier), self._entries(sides, later)
        result = _in(self.keys, before, after)
        if self.owners is not None:
            owned = np.unique(self.keys * (self.owners.max(initial=0) + 1) + self.owners, return_inverse=True)[1]
            same = _in(owned, before, after)
            result &= ~same if self.elsewhere else same
        alike = np.zeros(self.items.max(initial=0) + 1, bool)
        alike[self.holders[after[result]]] = True
        return np.flatnonzero((sides == later) & (self.items >= 0) & alike[self.items])

    def _entries(self, sides: np.ndarray, name: str) -> np.ndarray:
        held = np.zeros(self.items.max(initial=0) + 1, bool)
        held[self.items[(sides == name) & (self.items >= 0)]] = True
        return np.flatnonzero(held[self.holders])


def _in(keys: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Whether each entry of `after` has a key that some entry of `before` has."""
    seen = np.zeros(keys.max(initial=0) + 1, bool)
    seen[keys[before]] = True
    return seen[keys[after]]


def _of_rows(values: Sequence[Hashable | None], owners: np.ndarray | None = None, **options: Any) -> LeakCheck:
    """Rows that have the same value are alike; a row without one is like no other."""
    rows = np.arange(len(values))
    known = rows[[value is not None for value in values]]
    owners = None if owners is None else owners[known]
    return LeakCheck(rows, known, codes(values[row] for row in known), owners, **options)


def stimulus_checks(samples: Sequence[Sample], policy: str) -> dict[str, LeakCheck]:
    """Whether two rows belong to one stimulus, and whether they are one and the same row."""
    said = [(sample.group, sample.prompt, sample.completion) for sample in samples]
    stimuli: list[Hashable | None] = [sample.group for sample in samples]
    if policy == TIME:
        stimuli = [where if len(" ".join(where[1:])) >= _LONG_STRETCH else None for where in said]
    subjects, brains = codes(sample.subject for sample in samples), codes(sample.brain_id for sample in samples)
    trials = [
        None if stimulus is None else (*where, sample.subject)
        for stimulus, where, sample in zip(stimuli, said, samples, strict=True)
    ]
    checks = {
        "shared_group": _of_rows(stimuli, subjects),
        "other_subject": _of_rows(stimuli, subjects, elsewhere=True),
        "repeated_trial": _of_rows(trials, brains, elsewhere=True),
        "repeated_row": _of_rows([(sample.brain_id, sample.prompt, sample.completion) for sample in samples]),
    }
    if policy == TOPIC:
        checks["shared_topic"] = _of_rows([sample.topic for sample in samples])
    return checks


def brain_checks(
    samples: Sequence[Sample], table: FrameTable, digests: Mapping[str, np.ndarray]
) -> dict[str, LeakCheck]:
    """Whether two rows hold the same frames, by name and, where there are digests, by value."""
    rows = np.arange(len(samples))
    checks = {"shared_frames": LeakCheck(rows, table.rows, np.unique(table.places, return_inverse=True)[1])}
    if not digests:
        return checks
    result = np.zeros((len(table.rows), VARIES.stop), np.uint8)
    for recording, entries in table.entries_by_recording(samples):
        result[entries] = digests[recording][table.frames[entries]]
    subjects = codes(sample.subject for sample in samples)[table.rows]

    def check(columns: slice, by_subject: bool, **options: Any) -> LeakCheck:
        # Eight bytes of a hash are enough: among a million frames two are alike by chance once in 10^7 corpora.
        hashes = np.ascontiguousarray(result[:, columns][:, :8]).view(np.uint64)[:, 0]
        known = np.flatnonzero(result[:, VARIES][:, 0] & (hashes != 0))
        keys = np.unique(hashes[known], return_inverse=True)[1]
        return LeakCheck(rows, table.rows[known], keys, subjects[known] if by_subject else None, **options)

    exact = ("shared_brain", "renamed_subject")
    return checks | {
        "shared_brain": check(EXACT, by_subject=True),
        "renamed_subject": check(EXACT, by_subject=True, elsewhere=True),
        "rescaled_brain": check(RESCALED, by_subject=False, unless=exact),
        "standardized_brain": check(STANDARDIZED, by_subject=False, unless=exact),
    }


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())


def _sentence(sample: Sample) -> str | None:
    """The sentence in which the sample was perceived, if more than the completion is known, and no picture."""
    text = _normalised(sample.text)
    recurs = len(text) < _LONG_TEXT or text == _normalised(sample.completion)
    return None if recurs or sample.references else text


def _captions(sample: Sample) -> tuple[str, ...] | None:
    """The captions of an image, if they are enough to tell it from others."""
    return sample.references if len(sample.references) >= _LEAST_CAPTIONS else None


def _near(
    values: Sequence[Any], members_of: Callable[[Any], Sequence[Hashable]], least: int, unless: str
) -> LeakCheck:
    """Rows are alike whose values are so but for one member; a value of few members is like no other."""
    members = {value: members_of(value) for value in values if value is not None}
    members = {value: result for value, result in members.items() if len(result) >= least}
    number = {value: index for index, value in enumerate(members)}
    items = np.array([number.get(value, -1) for value in values], dtype=np.int64)
    holders, keys = near_keys(list(members.values()))
    return LeakCheck(items, holders, np.unique(keys, return_inverse=True)[1], unless=(unless,))


def text_checks(samples: Sequence[Sample]) -> dict[str, LeakCheck]:
    """Whether two rows were perceived within one sentence, or have the captions of one image."""
    sentences, captions = [_sentence(sample) for sample in samples], [_captions(sample) for sample in samples]
    images = {one: frozenset(map(_normalised, one)) for one in captions if one is not None}
    return {
        "shared_text": _of_rows(sentences),
        "near_text": _near(sentences, words_of, _LEAST_NEAR_WORDS, "shared_text"),
        "shared_references": _of_rows([images.get(one) for one in captions]),
        "near_references": _near(captions, _set_of_captions, _LEAST_NEAR_CAPTIONS, "shared_references"),
        "shared_words": _runs_of_words(samples),
    }


def _runs_of_words(samples: Sequence[Sample]) -> LeakCheck:
    """Whether a long run of words that ends in the completion was perceived under another stimulus' name as well."""
    number: dict[tuple[str, str, str], int] = {}
    items = np.full(len(samples), -1)
    for row, sample in enumerate(samples):
        if len(sample.references) < _LEAST_CAPTIONS:
            items[row] = number.setdefault((sample.group, sample.prompt, sample.completion), len(number))
    perceived = []
    for _, prompt, completion in number:
        said = words_of(completion)
        perceived.append([*words_of(prompt)[-max(_LONG_RUN - len(said), _LONG_RUN // 2) :], *said])
    holders, keys = run_keys(perceived, _LONG_RUN)
    owners = codes(group for group, _, _ in number)[holders]
    return LeakCheck(items, holders, keys, owners, elsewhere=True, unless=("shared_text", "near_text"))


def _set_of_captions(captions: Sequence[str]) -> list[tuple[str, ...]]:
    """The words of each distinct caption, in an order that does not depend on the annotators'."""
    return sorted({tuple(words_of(caption)) for caption in captions})


def rows_in_prompts(samples: Sequence[Sample], sides: np.ndarray, earlier: str, later: str, policy: str) -> np.ndarray:
    """Rows of `later` whose completion occurs, as whole words, in a prompt of its own story in `earlier`."""
    wanted = defaultdict(list)
    for row in np.flatnonzero(sides == later):
        wanted[samples[row].stimulus].append(row)
    prompts: dict[str, set[str]] = defaultdict(set)
    for row in np.flatnonzero(sides == earlier):
        if samples[row].stimulus in wanted and samples[row].prompt:
            prompts[samples[row].stimulus].add(f" {_normalised(samples[row].prompt)} ")
    result = []
    for story, texts in prompts.items():
        joined = "\n".join(texts)  # a line break keeps a completion from matching across two prompts
        targets = {row: f" {_target(samples[row], policy)} " for row in wanted[story]}
        inside = {target for target in set(targets.values()) if target in joined}
        result += [row for row, target in targets.items() if target in inside]
    return np.array(sorted(result), dtype=np.int64)


def _target(sample: Sample, policy: str) -> str:
    """The completion; under `time`, where it meets all that was said before in its story, with the words before it."""
    if policy != TIME:
        return _normalised(sample.completion)
    before = sample.prompt.split()[-_WORDS_OF_CONTEXT:]
    return _normalised(" ".join((*before, sample.completion)))


def rows_in_own_prompts(samples: Sequence[Sample], sides: np.ndarray, split: str) -> tuple[np.ndarray, int]:
    """
    Rows that are told what they are to say: an image one of its captions, or too many texts their completion; and the
    number of texts that are so by chance.
    """
    rows = np.flatnonzero((sides == split) & [bool(sample.prompt) for sample in samples])
    captions = [row for row in rows if samples[row].references and _in_prompt(samples[row], _captions_to_say)]
    texts = [row for row in rows if not samples[row].references and _in_prompt(samples[row], _text_to_say)]
    # People repeat themselves, in one row of many; a prompt that runs on into the completion does so in most.
    if len(texts) <= _CHANCE_SHARE * np.count_nonzero(sides == split):
        return np.array(captions, dtype=np.int64), len(texts)
    return np.array(sorted(captions + texts), dtype=np.int64), 0


def _in_prompt(sample: Sample, to_say: Callable[[Sample], list[list[str]]]) -> bool:
    targets = to_say(sample)
    prompt = f" {' '.join(words_of(sample.prompt))} " if targets else ""
    return any(f" {' '.join(words)} " in prompt for words in targets)


def _captions_to_say(sample: Sample) -> list[list[str]]:
    captions = map(words_of, {sample.completion, *sample.references})
    return [words for words in captions if len(words) >= _LONG_CAPTION]


def _text_to_say(sample: Sample) -> list[list[str]]:
    return [words_of(sample.completion)] if len(sample.completion) >= _LONG_TEXT else []


__all__ = ["LeakCheck", "brain_checks", "rows_in_own_prompts", "rows_in_prompts", "stimulus_checks", "text_checks"]
