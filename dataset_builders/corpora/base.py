# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The builder that every corpus shares: read, divide, check, prepare, write.

A corpus is one subclass in one file that says which recordings it has and how each is read
([`BrainCorpusBuilder.list_recordings`]), which text belongs to which of their frames
([`BrainCorpusBuilder.list_samples`]), what it is expected to hold and on which terms. Everything else happens here, in
this order: recordings and samples are listed without reading a voxel; each sample is given its split; empty ones are
dropped and counted; counts are compared with what is expected; every recording is read once, for statistics and
hashes; the splits are searched for leaks; preprocessing is fitted on training frames; every recording is read again
and written; rows are written, with `corpus.json` beside them. Only one recording a process is ever in memory, and an
interrupted run takes up where it stopped.
"""

import inspect
import json
import shutil
import tempfile
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa
from datasets import ArrowBasedBuilder, DatasetDict, DatasetInfo, DownloadMode, Features, SplitGenerator
from datasets.utils.logging import get_logger

from ..config import BrainCorpusConfig
from ..preparation.pipeline import Preparation
from ..preparation.storage import RECORDINGS_DIR
from ..schema import (
    IN_ROWS,
    SPLITS,
    TRAIN,
    Geometry,
    Recording,
    Sample,
    row_features,
    samples_to_table,
    with_positions,
)
from ..splitting.fingerprints import EXACT
from ..splitting.leaks import LeakageError, find_leaks
from ..splitting.policies import DROPPED, LEAKY_POLICIES, OFFICIAL, assign_splits, unlabelled_rows
from .facts import check_facts, drop_reason, measure_facts
from .info import HUB_LICENSES, CorpusInfo, SplitInfo
from .questions import answer_distribution


logger = get_logger(__name__)

_ROWS_PER_TABLE = 1000
_VALUES_PER_TABLE = 2**25
#: What survives in the folder of an interrupted preparation.
_RESUMABLE = (RECORDINGS_DIR, "recording_statistics", "subjects")


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
    #: Globs of the source files under `data_dir`.
    SOURCE_PATTERNS: ClassVar[tuple[str, ...]] = ()
    #: Options that name a source file below `data_dir`, or anywhere.
    SOURCE_OPTIONS: ClassVar[tuple[str, ...]] = ()
    LICENCE: ClassVar[str]
    CITATION: ClassVar[str]
    HOMEPAGE: ClassVar[str]
    #: What may be done with prepared rows, in words, and whether they may be published at all.
    REDISTRIBUTION: ClassVar[str]
    MAY_REDISTRIBUTE: ClassVar[bool] = False
    #: Terms that the user must accept by `accept_license=True`.
    CONSENT: ClassVar[str] = ""
    #: One sentence each.
    KNOWN_DEFECTS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, cache_dir: str | None = None, *, data_dir: str | Path | None = None, **kwargs: Any):
        if data_dir is not None:
            data_dir = str(data_dir)
            named = [kwargs[option] for option in self.SOURCE_OPTIONS if kwargs.get(option)]
            kwargs["source_fingerprint"] = _source_fingerprint(self.source_files(Path(data_dir), named))
        #: What was dropped or noticed on the way, counted; goes into `corpus.json`.
        self.notes: Counter[str] = Counter()
        #: How it differs from what is published, where that is allowed; goes there too.
        self.differences: list[str] = []
        #: Files that look like recordings and are not taken, by reason; go there too.
        self.not_taken: dict[str, list[str]] = {}
        self._keep = _RESUMABLE
        super().__init__(cache_dir=cache_dir, data_dir=data_dir, **kwargs)

    @property
    @abstractmethod
    def corpus_name(self) -> str:
        """The value of the column `corpus`."""

    @abstractmethod
    def list_recordings(self) -> list[Recording]:
        """All recordings, in a fixed order. Reads shapes, not values."""

    @abstractmethod
    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        """All samples of these recordings in the order of the files, empty ones included."""

    def geometry(self, subject: str) -> Geometry | None:
        """Where the features of a subject lie, if the corpus says so."""
        return None

    @property
    def draw_unit(self) -> str:
        """When the `paper` policy draws, one of [`~dataset_builders.splitting.policies.DRAW_UNITS`]."""
        return "sample"

    @property
    def expected_facts(self) -> dict[str, dict[str, int]]:
        """What each subject is expected to hold, by the names of the measured facts; `"*"` is any subject."""
        return {}

    @property
    def corpus_info(self) -> CorpusInfo:
        """What `corpus.json` says. Call `download_and_prepare()` before."""
        return CorpusInfo.load(self._output_dir)

    @property
    def prepared_dir(self) -> Path:
        """Folder of the prepared corpus in the cache."""
        return Path(self._output_dir)

    def compare(self, what: str, expected: Any, found: Any) -> None:
        """
        Lists a difference from what is published in `corpus.json`, or refuses it.

        Args:
            what (`str`):
                What was counted or measured, and where.
            expected, found (`Any`):
                Are compared by `==`.

        Raises:
            ValueError: they differ, and `verify_facts` is set.
        """
        if expected != found:
            self._differ([f"{what}: expected {expected}, found {found}"])

    def _differ(self, differences: list[str]) -> None:
        if differences and self.config.verify_facts:
            raise ValueError(
                f"{self.config.data_dir} differs from {self.corpus_name} as published:\n- "
                + "\n- ".join(differences)
                + "\nDownload the files again, or pass verify_facts=False if the difference is meant"
            )
        for difference in differences:
            logger.warning("%s: %s", self.corpus_name, difference)
        self.differences += differences

    def prepare(self, num_proc: int | None = None, force: bool = False) -> None:
        """
        Builds the corpus, or finds it in the cache.

        Args:
            num_proc (`int`, *optional*):
                Processes that read and write recordings.
            force (`bool`, *optional*, defaults to `False`):
                Builds it anew, whatever the cache and an interrupted preparation hold.
        """
        self._keep = () if force else _RESUMABLE
        mode = DownloadMode.FORCE_REDOWNLOAD if force else DownloadMode.REUSE_DATASET_IF_EXISTS
        self.download_and_prepare(num_proc=num_proc, download_mode=mode)

    def as_dataset_dict(self) -> DatasetDict:
        """All rows in their splits. Call `download_and_prepare()` before."""
        return cast("DatasetDict", self.as_dataset())

    @classmethod
    def source_files(cls, folder: Path, named: Sequence[str] = ()) -> list[Path]:
        """All files that rows may be built from: once one of them changes, the cache forgets the rows."""
        found = {path for pattern in cls.SOURCE_PATTERNS for path in folder.glob(pattern)}
        found |= {folder / name for name in named}
        return sorted(path for path in found if path.is_file() or path.is_symlink())

    def _info(self) -> DatasetInfo:
        return DatasetInfo(
            description=inspect.getdoc(type(self)) or "",
            license=self.LICENCE,
            citation=self.CITATION,
            homepage=self.HOMEPAGE,
        )

    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        self._check_consent()
        self.notes.clear()
        self.differences.clear()
        recordings = self._chosen_recordings()
        samples = with_positions(self.list_samples(recordings))
        facts = self._checked_facts(recordings, samples)
        samples, splits, fitting = self._divide(samples)
        used = {sample.recording for sample in samples}
        recordings = [recording for recording in recordings if recording.recording_id in used]
        preparation = self._prepare_values(recordings, fitting, dl_manager.is_streaming)
        self._corpus_info = self._describe(samples, splits, preparation, facts)
        # Rows go their own ways; what may be done with them goes along, wherever they are loaded.
        self.info.license = json.dumps(self._corpus_info.terms())
        values = preparation.stream() if dl_manager.is_streaming else preparation.write()
        store = IN_ROWS if dl_manager.is_streaming else self.config.store
        features = row_features(preparation.common_width, self.config.dtype, store)
        self.info.features = features
        parts = {name: [samples[row] for row in np.flatnonzero(splits == name)] for name in SPLITS}
        # In a tuple, because `datasets` takes a list for shards that it may divide.
        return [
            SplitGenerator(name, {"samples": tuple(part), "features": features, "values": values})
            for name, part in parts.items()
            if part
        ]

    def _check_consent(self) -> None:
        if self.CONSENT and not self.config.accept_license:
            raise ValueError(
                f"{self.corpus_name} may only be used by those who have accepted its terms: {self.CONSENT} If you "
                "have, say so with accept_license=True (on the command line --accept_license)"
            )

    def _chosen_recordings(self) -> list[Recording]:
        recordings = self.list_recordings()
        if not recordings:
            raise ValueError(f"{self.config.data_dir} holds no recording of {self.corpus_name}")
        twice = [name for name, count in Counter(one.recording_id for one in recordings).items() if count > 1]
        if twice:
            files = [str(path) for one in recordings if one.recording_id == twice[0] for path in one.sources]
            raise ValueError(f"{twice[0]} is the name of several recordings ({', '.join(files)}): keep one of them")
        found = sorted({recording.subject for recording in recordings})
        unknown = [subject for subject in self.config.subjects or () if subject not in found]
        if unknown:
            raise ValueError(f"subjects={unknown} are not in {self.config.data_dir}: choose from {', '.join(found)}")
        chosen = self.config.subjects or found
        return [recording for recording in recordings if recording.subject in chosen]

    def _checked_facts(self, recordings: Sequence[Recording], samples: Sequence[Sample]) -> dict[str, Any]:
        facts = measure_facts(recordings, samples)
        self._differ(check_facts(facts, self.expected_facts))
        if not any(found["samples"] for found in facts.values()):
            raise ValueError(f"{self.config.data_dir} holds no sample with both a prompt and a completion")
        return {"subjects": facts, "differences": list(self.differences)}

    def _divide(self, samples: Sequence[Sample]) -> tuple[list[Sample], np.ndarray, list[Sample]]:
        """The samples that are used, the split of each, and those that statistics are fitted on."""
        config = self.config
        splits = assign_splits(
            samples,
            config.split,
            fold=config.test_fold,
            num_folds=config.num_folds,
            seed=config.seed,
            validation_fraction=config.validation_fraction,
            draw_unit=self.draw_unit,
            test_subjects=config.test_subjects,
            num_adaptation_groups=config.num_adaptation_groups,
            gap_frames=config.gap_frames,
        )
        dropped = int((splits == DROPPED).sum())
        if dropped:
            self.notes["rows that belong to no split"] += dropped
        # Only now: under the paper policy an empty sample may still take part in the draw.
        keep = np.array([drop_reason(sample) is None for sample in samples]) & (splits != DROPPED)
        fitted = (splits == TRAIN) & keep
        if config.split == OFFICIAL and config.test_subjects is not None:
            fitted |= unlabelled_rows(samples, splits, config.test_subjects)
        kept, fitting = ([samples[row] for row in np.flatnonzero(rows)] for rows in (keep, fitted))
        return kept, splits[keep], fitting

    def _prepare_values(
        self, recordings: Sequence[Recording], fitting: Sequence[Sample], streaming: bool
    ) -> Preparation:
        if streaming:
            # Held by the builder, so that it lives as long as the stream.
            self._stream_dir = tempfile.TemporaryDirectory(prefix="brainllm-")
        subjects = sorted({recording.subject for recording in recordings})
        return Preparation(
            recordings,
            fitting,
            {subject: self.geometry(subject) for subject in subjects},
            self.config,
            folder=Path(self._stream_dir.name if streaming else self._output_dir),
            num_proc=None if streaming else self._num_proc,
        )

    def _describe(
        self, samples: Sequence[Sample], splits: np.ndarray, preparation: Preparation, facts: dict[str, Any]
    ) -> CorpusInfo:
        """What goes into `corpus.json`. Raises [`LeakageError`] unless the policy is known to leak."""
        config, digests = self.config, preparation.digests
        leaks = find_leaks(
            samples, splits, digests, policy=config.split, fitted_on=preparation.fitted_on, notes=self.notes
        )
        leak_allowed = config.split in LEAKY_POLICIES
        if leaks and not leak_allowed:
            raise LeakageError(leaks)
        sizes = {name: int((splits == name).sum()) for name in SPLITS if (splits == name).any()}
        return CorpusInfo(
            corpus=self.corpus_name,
            subjects=sorted({sample.subject for sample in samples}),
            license=self.LICENCE,
            citation=self.CITATION,
            redistribution=self.REDISTRIBUTION,
            may_redistribute=self.MAY_REDISTRIBUTE,
            consent=self.CONSENT,
            license_id=HUB_LICENSES.get(self.LICENCE, "other"),
            url=self.HOMEPAGE,
            known_defects=list(self.KNOWN_DEFECTS),
            split=SplitInfo(
                policy=config.split,
                fold=config.test_fold,
                num_folds=config.num_folds,
                seed=config.seed,
                validation_fraction=config.validation_fraction,
                test_subjects=config.test_subjects,
                num_adaptation_groups=config.num_adaptation_groups,
                sizes=sizes,
                leaks=leaks,
                leak_allowed=leak_allowed,
            ),
            preprocessing=preparation.description,
            facts=facts | {"notes": dict(self.notes)},
            answers=answer_distribution(
                sample for sample, split in zip(samples, splits, strict=True) if split == TRAIN
            ),
            not_taken=dict(self.not_taken),
            fingerprint=_fingerprint(samples, splits, digests, preparation.description),
        )

    # `datasets` calls it with the keyword arguments of _split_generators, and so names no parameter.
    def _generate_tables(  # ty: ignore[incompatible-method-override]
        self, samples: Sequence[Sample], features: Features, values: Any
    ) -> Iterator[tuple[int, pa.Table]]:
        refers, schema = isinstance(features["brain_values"], dict), features.arrow_schema
        widest = 1 if refers else max(np.size(values(samples[0])), 1)
        step = max(1, min(_ROWS_PER_TABLE, _VALUES_PER_TABLE // widest))
        for start in range(0, len(samples), step):
            part = samples[start : start + step]
            yield start, samples_to_table(part, schema, None if refers else [values(sample) for sample in part])

    def _download_and_prepare(self, dl_manager: Any, verification_mode: Any, **kwargs: Any) -> None:
        self._num_proc = kwargs.pop("num_proc", None)
        for path in Path(self._output_dir).iterdir():
            if path.name not in self._keep:  # left by an interrupted run
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        super()._download_and_prepare(dl_manager, verification_mode, **kwargs)
        self._corpus_info.save(self._output_dir)
        spent = ["recording_statistics"] if self.config.store != IN_ROWS else ["recording_statistics", RECORDINGS_DIR]
        for name in spent:
            shutil.rmtree(Path(self._output_dir) / name)


def _source_fingerprint(files: Sequence[Path]) -> str:
    """Hash of the names, sizes and times of change of some files."""
    stats = [file.stat() if file.exists() else file.lstat() for file in files]
    states = [(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in zip(files, stats, strict=True)]
    return blake2b(repr(states).encode(), digest_size=8).hexdigest()


def _fingerprint(
    samples: Sequence[Sample], splits: np.ndarray, digests: dict[str, np.ndarray], preprocessing: dict[str, Any]
) -> str:
    """Hash of all that is written: text, recorded brain values, what is done to them, and division."""
    digest = blake2b(repr(sorted(preprocessing.items())).encode(), digest_size=16)
    for sample, split in zip(samples, splits, strict=True):
        texts = (split, sample.sample_id, sample.prompt, sample.completion, sample.text, *_asked(sample))
        digest.update("\0".join(texts).encode())
        digest.update(digests[sample.recording][list(sample.frames), EXACT].tobytes())
    return digest.hexdigest()


def _asked(sample: Sample) -> list[str]:
    return [*filter(None, (sample.question, sample.question_type)), *sample.answers, *sum(sample.rounds, ())]


__all__ = ["BrainCorpusBuilder", "BrainCorpusConfig"]
