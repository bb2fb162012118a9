# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Brains in arrays and texts beside them: a corpus without a builder of its own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..schema import Recording, Sample
from .base import BrainCorpusBuilder, BrainCorpusConfig
from .cutting import cut_sentence


@dataclass(frozen=True)
class _Entry:
    """One brain sample and its text."""

    values: np.ndarray
    text: str
    group: str
    subject: str
    session: str
    topic: str
    recording: str = ""
    start: int = 0


@dataclass
class ArraysConfig(BrainCorpusConfig):
    """
    Choices for a corpus from arrays; see [`BrainCorpusConfig`] for those that all corpora share.

    Args:
        num_parts (`int`, *optional*, defaults to 3):
            Parts into which a text is cut at blanks; each but the first is the completion of a row, and those before
            it are the prompt. 1: texts are descriptions, decoded whole.
    """

    dtype: str = "float32"
    num_parts: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_at_least(num_parts=1)


class ArraysCorpus(BrainCorpusBuilder):
    """Brain samples and texts that their owner laid side by side in memory; made by `corpus_from_arrays`."""

    config: ArraysConfig  # ty: ignore[incompatible-mutable-override]
    BUILDER_CONFIG_CLASS = ArraysConfig
    LICENCE: ClassVar[str] = "unknown"
    CITATION: ClassVar[str] = ""
    HOMEPAGE: ClassVar[str] = ""
    REDISTRIBUTION: ClassVar[str] = "The owner of the recordings decides: nothing was said when the corpus was made."

    def __init__(self, entries: Sequence[_Entry], title: str, cache_dir: str | None, **config: Any):
        self._entries, self._title = list(entries), title
        super().__init__(cache_dir=cache_dir, source_fingerprint=_fingerprint(entries, title), **config)

    @property
    def corpus_name(self) -> str:
        return self._title

    def list_recordings(self) -> list[Recording]:
        runs: dict[str, list[np.ndarray]] = {}
        for place, entry in enumerate(self._entries):
            name = f"{entry.subject}/{entry.session or 'all'}"
            frames = runs.setdefault(name, [])
            self._entries[place] = replace(entry, recording=name, start=sum(map(len, frames)))
            frames.append(entry.values)
        owners = {entry.recording: entry for entry in self._entries}
        return [
            Recording(
                name, owners[name].subject, sum(map(len, frames)), frames[0].shape[1],
                partial(np.concatenate, frames), session=owners[name].session,
            )
            for name, frames in runs.items()
        ]  # fmt: skip

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        chosen = {recording.recording_id for recording in recordings}
        return [sample for entry in self._entries if entry.recording in chosen for sample in self._rows(entry)]

    def _rows(self, entry: _Entry) -> list[Sample]:
        parts, brain_id = self.config.num_parts, f"{self._title}/{entry.recording}/{entry.start}"
        cuts = cut_sentence(entry.text, parts)
        sample = Sample(
            sample_id=brain_id, corpus=self._title, subject=entry.subject, session=entry.session,
            stimulus=entry.group, group=entry.group, topic=entry.topic or entry.group, brain_id=brain_id, prompt="",
            completion=entry.text, text=entry.text, recording=entry.recording,
            frames=tuple(range(entry.start, entry.start + len(entry.values))),
        )  # fmt: skip
        if parts == 1:
            return [replace(sample, references=(entry.text,))]
        return [
            replace(sample, sample_id=f"{brain_id}/{k}", prompt=" ".join(cuts[:k]).strip(), completion=cuts[k])
            for k in range(1, parts)
        ]


def corpus_from_arrays(
    name: str,
    brains: Sequence[np.ndarray] | np.ndarray,
    texts: Sequence[str],
    groups: Sequence[str],
    subjects: str | Sequence[str] = "sub-01",
    sessions: str | Sequence[str] = "",
    topics: str | Sequence[str] = "",
    *,
    terms: dict[str, Any] | None = None,
    cache_dir: str | Path | None = None,
    **config: Any,
) -> ArraysCorpus:
    """
    Makes a corpus of brain samples and texts: divided, searched for leaks, described, ready for `save_corpus`.

    Args:
        name (`str`):
            What the corpus is called: letters, digits, `_`, `-`.
        brains (`Sequence[np.ndarray]`):
            Of each text the brain sample, `[frames, features]` or `[features]`; one array for all will do.
        texts (`Sequence[str]`):
            What was perceived during each brain sample.
        groups (`Sequence[str]`):
            What must stay on one side of a split: the passage, story or image that each text is of.
        subjects, sessions, topics (`str` or `Sequence[str]`, *optional*):
            Whose brain it is, in which session, and what the passage is about; one for all, or one each.
        terms (`dict`, *optional*):
            `license`, `citation`, `url`, `redistribution`, `may_redistribute`, which the card prints. Without them
            nobody may publish the corpus.
        cache_dir (`str` or `Path`, *optional*):
            Where Arrow files are kept. Defaults to the cache of `datasets`.
        config:
            Fields of [`ArraysConfig`], such as `split`, `fold`, `standardize` or `num_parts`.

    Returns:
        [`ArraysCorpus`]: prepared; `as_dataset_dict()` gives the rows, `save_corpus` writes them with their card.

    Raises:
        ValueError: columns differ in length, a brain is no finite array of its subject's width, or a text is empty.
        LeakageError: the splits share what they must not.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", name):
        raise ValueError(f"name={name!r}: expected letters, digits, `_` and `-`, such as 'my_corpus'")
    columns = {"texts": texts, "groups": groups, "subjects": subjects, "sessions": sessions, "topics": topics}
    spread = {
        column: [given] * len(brains) if isinstance(given, str) and column not in ("texts", "groups") else list(given)
        for column, given in columns.items()
    }
    for column, values in spread.items():
        if len(values) != len(brains):
            raise ValueError(f"`{column}` has {len(values)} entries for {len(brains)} brains: give one for each")
    rows = zip(brains, *spread.values(), strict=True)
    entries = [
        _Entry(_checked_values(place, values), str(text), str(group), str(subject), str(session), str(topic))
        for place, (values, text, group, subject, session, topic) in enumerate(rows)
    ]
    _check_entries(entries)
    builder = _with_terms(terms or {})(entries, name, None if cache_dir is None else str(cache_dir), **config)
    builder.prepare()
    return builder


def _checked_values(place: int, values: Any) -> np.ndarray:
    """Frames of a brain sample, float32, owned by the corpus."""
    array = np.asarray(values)
    if array.ndim not in (1, 2) or not array.size or array.dtype.kind not in "fiu":
        raise ValueError(
            f"brains[{place}] has shape {list(array.shape)} and type {array.dtype}: expected numbers [frames, "
            "features] or [features]"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"brains[{place}] holds NaN or infinite values: leave such features out for all brains")
    return np.atleast_2d(array).astype(np.float32)


def _check_entries(entries: Sequence[_Entry]) -> None:
    widths: dict[str, int] = {}
    for place, entry in enumerate(entries):
        if not entry.text.strip():
            raise ValueError(f"texts[{place}] is empty: leave out brains without a text")
        width = widths.setdefault(entry.subject, entry.values.shape[1])
        if entry.values.shape[1] != width:
            raise ValueError(
                f"brains[{place}] has {entry.values.shape[1]} features, earlier ones of '{entry.subject}' {width}: "
                "a subject's brains have the same features in the same order"
            )


def _with_terms(terms: dict[str, Any]) -> type[ArraysCorpus]:
    names = {
        "license": "LICENCE", "citation": "CITATION", "url": "HOMEPAGE", "redistribution": "REDISTRIBUTION",
        "may_redistribute": "MAY_REDISTRIBUTE",
    }  # fmt: skip
    unknown = sorted(terms.keys() - names.keys())
    if unknown:
        raise ValueError(f"terms has no entry {', '.join(unknown)}: its entries are {', '.join(names)}")
    facts = {names[name]: value for name, value in terms.items()}
    return type("ArraysCorpus", (ArraysCorpus,), {"__doc__": ArraysCorpus.__doc__, "__module__": __name__, **facts})


def _fingerprint(entries: Sequence[_Entry], title: str) -> str:
    """Hash of all that was given, so that the cache never takes one owner's arrays for another's."""
    digest = blake2b(title.encode(), digest_size=8)
    for entry in entries:
        facts = (entry.text, entry.group, entry.subject, entry.session, entry.topic, str(entry.values.shape))
        digest.update("\0".join(facts).encode() + entry.values.tobytes())
    return digest.hexdigest()


__all__ = ["ArraysConfig", "ArraysCorpus", "corpus_from_arrays"]
