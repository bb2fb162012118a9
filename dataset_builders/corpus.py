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
The builder that every corpus shares: read, divide, check, write.

A corpus is one subclass in one file that says how its files are read ([`BrainCorpusBuilder.read_samples`]), what it is
expected to hold and on which terms. Everything else happens here, in this order: samples are read in the order of the
files; each is given its split; empty ones are dropped and counted; counts are compared with what is expected; the
splits are searched for leaks; rows are written as Arrow, with `corpus.json` beside them.
"""

import inspect
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa
from datasets import ArrowBasedBuilder, BuilderConfig, DatasetDict, DatasetInfo, SplitGenerator, Version
from datasets.utils.logging import get_logger

from .leaks import LeakageError, find_leaks, frame_digests
from .schema import SPLITS, CorpusInfo, Sample, SplitInfo, row_features, samples_to_table
from .splits import (
    DEFAULT_SEED,
    LEAKY_POLICIES,
    PAPER,
    PAPER_NUM_FOLDS,
    PASSAGE,
    SPLIT_POLICIES,
    assign_splits,
)


logger = get_logger(__name__)

_ROWS_PER_TABLE = 256


@dataclass
class BrainCorpusConfig(BuilderConfig):
    """
    What can be chosen about any corpus. Each corpus adds its own fields.

    Args:
        split (`str`, *optional*, defaults to `"passage"`):
            How rows are divided, one of [`~dataset_builders.splits.SPLIT_POLICIES`].
        fold (`int`, *optional*):
            Which fold is the test split. Defaults to 0, and under `split="paper"` to 1, the published default.
        num_folds (`int`, *optional*, defaults to 5):
            Number of folds. `split="paper"` has five.
        seed (`int`, *optional*, defaults to 2021):
            Seed of the division.
        validation_fraction (`float`, *optional*, defaults to 0.1):
            Share of the groups (passages, stories, topics) outside the test split that becomes the validation split;
            0 for none. Under `split="paper"` too: it is never taken from the test split.
        verify_facts (`bool`, *optional*, defaults to `True`):
            Whether a corpus that differs from what is published is an error. If not, differences are logged and
            recorded in `corpus.json`.
        source_fingerprint (`str`, *optional*):
            State of the source files (name, size, time of change), set by the builder: it makes the cache forget rows
            that were built from files that have changed since.
    """

    version: Version | str | None = "1.0.0"  # to be raised when the rows change, so that caches forget the old ones
    split: str = PASSAGE
    fold: int | None = None
    num_folds: int = 5
    seed: int = DEFAULT_SEED
    validation_fraction: float = 0.1
    verify_facts: bool = True
    source_fingerprint: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split not in SPLIT_POLICIES:
            raise ValueError(f"split={self.split!r} is unknown: choose one of {', '.join(SPLIT_POLICIES)}")
        if self.split == PAPER and self.num_folds != PAPER_NUM_FOLDS:
            raise ValueError(f"num_folds={self.num_folds} with split='paper': the published split has 5 folds")
        if self.num_folds < 2:
            raise ValueError(f"num_folds={self.num_folds}: at least 2 folds are needed to hold one out")
        if not 0 <= self.test_fold < self.num_folds:
            raise ValueError(f"fold={self.fold}: choose from 0 to {self.num_folds - 1}")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction={self.validation_fraction}: choose from 0 up to, not including, 1")

    @property
    def test_fold(self) -> int:
        """`fold`, or the default of the policy."""
        if self.fold is not None:
            return self.fold
        return 1 if self.split == PAPER else 0


def _drop_reason(sample: Sample) -> str | None:
    """Why the sample cannot be used, or `None`."""
    if not sample.completion.strip():
        return "dropped_empty_completions"
    return None if sample.prompt.strip() else "dropped_empty_prompts"


def _measure(samples: Sequence[Sample]) -> dict[str, int]:
    """Facts about the samples of one subject; sentences are windows where the stimulus is a story."""
    kept = [sample for sample in samples if _drop_reason(sample) is None]
    reasons = [_drop_reason(sample) for sample in samples]
    texts: dict[str, set[str]] = {}
    for sample in kept:
        texts.setdefault(sample.brain_id, set()).add(sample.text)
    return {
        "stories": len({sample.story for sample in kept}),
        "sentences": len({sample.sample_id.rsplit("/", 1)[0] for sample in kept}),
        "samples": len(kept),
        "features": kept[0].recording.shape[1] if kept else 0,
        "distinct_brains": len(texts),
        "brains_with_several_texts": sum(len(found) > 1 for found in texts.values()),
        "dropped_empty_completions": reasons.count("dropped_empty_completions"),
        "dropped_empty_prompts": reasons.count("dropped_empty_prompts"),
    }


def _fingerprint(samples: Sequence[Sample], splits: np.ndarray) -> str:
    """Hash of all that is written: text, brain values and division."""
    digest = blake2b(digest_size=16)
    for sample, split, frames in zip(samples, splits, frame_digests(samples), strict=True):
        digest.update("\0".join((split, sample.sample_id, sample.prompt, sample.completion, sample.text)).encode())
        digest.update(b"".join(frames))
    return digest.hexdigest()


class BrainCorpusBuilder(ArrowBasedBuilder):
    """
    Base of the corpora: a [`datasets.ArrowBasedBuilder`] used from Python.

    Args:
        cache_dir (`str`, *optional*):
            Where Arrow files are kept. Defaults to the cache of `datasets`.
        data_dir (`str`, *optional*):
            Folder of the source files, for corpora that have any.
        kwargs:
            Fields of the builder's `BUILDER_CONFIG_CLASS`.
    """

    config: BrainCorpusConfig
    BUILDER_CONFIG_CLASS = BrainCorpusConfig
    SOURCE_PATTERNS: ClassVar[tuple[str, ...]] = ()
    LICENCE: ClassVar[str]
    CITATION: ClassVar[str]
    HOMEPAGE: ClassVar[str]
    REDISTRIBUTION: ClassVar[str]

    def __init__(self, cache_dir: str | None = None, *, data_dir: str | Path | None = None, **kwargs: Any):
        if data_dir is not None:
            data_dir = str(data_dir)
            kwargs["source_fingerprint"] = self._source_fingerprint(Path(data_dir))
        super().__init__(cache_dir=cache_dir, data_dir=data_dir, **kwargs)

    @property
    @abstractmethod
    def corpus_name(self) -> str:
        """The value of the column `corpus`."""

    @abstractmethod
    def read_samples(self) -> list[Sample]:
        """Reads and checks the source files; all samples in the order of the files, empty ones included."""

    @property
    def draw_unit(self) -> str:
        """When the `paper` policy draws, one of [`~dataset_builders.splits.DRAW_UNITS`]."""
        return "sample"

    @property
    def expected_facts(self) -> dict[str, int]:
        """What each subject is expected to hold, by the names of the measured facts."""
        return {}

    @property
    def corpus_info(self) -> CorpusInfo:
        """What `corpus.json` says. Call `download_and_prepare()` before."""
        return CorpusInfo.load(self._output_dir)

    def as_dataset_dict(self) -> DatasetDict:
        """All rows in their splits. Call `download_and_prepare()` before."""
        return cast("DatasetDict", self.as_dataset())

    def _source_fingerprint(self, folder: Path) -> str:
        files = sorted({path for pattern in self.SOURCE_PATTERNS for path in folder.glob(pattern) if path.is_file()})
        states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return blake2b(repr(states).encode(), digest_size=8).hexdigest()

    def _info(self) -> DatasetInfo:
        return DatasetInfo(
            description=inspect.getdoc(type(self)) or "",
            license=self.LICENCE,
            citation=self.CITATION,
            homepage=self.HOMEPAGE,
        )

    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        config = self.config
        samples = self.read_samples()
        facts = self._checked_facts(samples)
        splits = assign_splits(
            samples,
            config.split,
            fold=config.test_fold,
            num_folds=config.num_folds,
            seed=config.seed,
            validation_fraction=config.validation_fraction,
            draw_unit=self.draw_unit,
        )
        # Only now: under the paper policy an empty sample may still take part in the draw.
        keep = np.array([_drop_reason(sample) is None for sample in samples])
        samples, splits = [sample for sample, kept in zip(samples, keep, strict=True) if kept], splits[keep]
        self._corpus_info = self._describe(samples, splits, facts)
        self.info.features = row_features(samples[0].recording.shape[1])
        parts = {name: [samples[row] for row in np.flatnonzero(splits == name)] for name in SPLITS}
        # In a tuple, because `datasets` takes a list for shards that it may divide.
        return [SplitGenerator(name, {"samples": tuple(part)}) for name, part in parts.items() if part]

    def _checked_facts(self, samples: Sequence[Sample]) -> dict[str, Any]:
        subjects = sorted({sample.subject for sample in samples})
        facts = {name: _measure([sample for sample in samples if sample.subject == name]) for name in subjects}
        differences = [
            f"{subject}: {fact} expected {expected}, found {facts[subject][fact]}"
            for subject in subjects
            for fact, expected in self.expected_facts.items()
            if facts[subject][fact] != expected
        ]
        if differences and self.config.verify_facts:
            raise ValueError(
                f"{self.config.data_dir} differs from {self.corpus_name} as published:\n- "
                + "\n- ".join(differences)
                + "\nDownload the files again, or pass verify_facts=False if the difference is meant"
            )
        if not any(facts[subject]["samples"] for subject in subjects):
            raise ValueError(f"{self.config.data_dir} holds no sample with both a prompt and a completion")
        for difference in differences:
            logger.warning("%s: %s", self.corpus_name, difference)
        return {"subjects": facts, "differences": differences}

    def _describe(self, samples: Sequence[Sample], splits: np.ndarray, facts: dict[str, Any]) -> CorpusInfo:
        """What goes into `corpus.json`. Raises [`LeakageError`] unless the policy is known to leak."""
        config = self.config
        leaks = find_leaks(samples, splits)
        leak_allowed = config.split in LEAKY_POLICIES
        if leaks and not leak_allowed:
            raise LeakageError(leaks)
        sizes = {name: int((splits == name).sum()) for name in SPLITS if (splits == name).any()}
        return CorpusInfo(
            corpus=self.corpus_name,
            subjects=sorted({sample.subject for sample in samples}),
            licence=self.LICENCE,
            citation=self.CITATION,
            redistribution=self.REDISTRIBUTION,
            split=SplitInfo(
                policy=config.split,
                fold=config.test_fold,
                num_folds=config.num_folds,
                seed=config.seed,
                validation_fraction=config.validation_fraction,
                sizes=sizes,
                leaks=leaks,
                leak_allowed=leak_allowed,
            ),
            facts=facts,
            fingerprint=_fingerprint(samples, splits),
        )

    # `datasets` calls it with the keyword arguments of _split_generators, and so names no parameter.
    def _generate_tables(  # ty: ignore[incompatible-method-override]
        self, samples: Sequence[Sample]
    ) -> Iterator[tuple[int, pa.Table]]:
        for start in range(0, len(samples), _ROWS_PER_TABLE):
            yield start, samples_to_table(samples[start : start + _ROWS_PER_TABLE])

    def _download_and_prepare(self, dl_manager: Any, verification_mode: Any, **kwargs: Any) -> None:
        super()._download_and_prepare(dl_manager, verification_mode, **kwargs)
        self._corpus_info.save(self._output_dir)


__all__ = ["BrainCorpusBuilder", "BrainCorpusConfig"]
