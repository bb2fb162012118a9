# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What `corpus.json` says: how a prepared corpus was read and divided, and on which terms it may be used."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


CORPUS_FILE = "corpus.json"
#: License names of the Hub for those of the corpora.
HUB_LICENSES = {
    "CC BY-NC 4.0": "cc-by-nc-4.0",
    "CC BY 4.0": "cc-by-4.0",
    "CC0": "cc0-1.0",
    "Apache 2.0": "apache-2.0",
}


@dataclass
class SplitInfo:
    """
    How the rows were divided: the first thing that a report states.

    Args:
        policy (`str`):
            One of [`~dataset_builders.splitting.policies.SPLIT_POLICIES`].
        fold, num_folds, seed (`int`):
            Which of how many folds is the test split, and the seed of the division.
        validation_fraction (`float`):
            Share of the groups outside the test split that became the validation split.
        sizes (`dict[str, int]`):
            Rows in each split.
        leaks (`list[dict]`):
            Findings of [`~dataset_builders.splitting.leaks.find_leaks`]; empty for a clean split.
        leak_allowed (`bool`):
            Whether the policy is one that is known to leak and was asked for by name.
        test_subjects (`list[str]`, *optional*), num_adaptation_groups (`int`, *optional*, defaults to 0):
            Subjects who are held out, and how many groups of each are trained on all the same.
    """

    policy: str
    fold: int
    num_folds: int
    seed: int
    validation_fraction: float
    sizes: dict[str, int]
    leaks: list[dict[str, Any]]
    leak_allowed: bool
    test_subjects: list[str] | None = None
    num_adaptation_groups: int = 0


@dataclass
class CorpusInfo:
    """
    What `corpus.json` says about a prepared corpus.

    Args:
        corpus (`str`):
            Name of the corpus, as in the column `corpus`.
        subjects (`list[str]`):
            Every subject in the rows.
        license, citation, redistribution (`str`):
            Terms of the source, BibTeX entry, and whether prepared rows may be passed on.
        split ([`SplitInfo`]):
            How the rows were divided.
        may_redistribute (`bool`):
            Whether prepared rows may be published; nothing pushes them otherwise.
        consent (`str`):
            Terms that whoever prepared it has accepted.
        license_id (`str`):
            The license as the Hub names it, `"other"` where it has no name for it.
        url (`str`):
            Where the corpus and its terms are published.
        known_defects (`list[str]`):
            What users of the corpus should know.
        preprocessing (`dict`):
            What was done to brain values, and what came out.
        facts (`dict`):
            Counts measured while reading, and how they differ from those that the builder expects.
        answers (`dict[str, dict]`):
            For each type of question how many the training split has, and how often it is answered how there.
        not_taken (`dict[str, list[str]]`):
            Files that look like recordings and were not taken, by reason.
        fingerprint (`str`):
            Hash of the content of all rows and of their division. Equal on every machine for equal data.
    """

    corpus: str
    subjects: list[str]
    license: str
    citation: str
    redistribution: str
    split: SplitInfo
    may_redistribute: bool = False
    consent: str = ""
    license_id: str = "other"
    url: str = ""
    known_defects: list[str] = field(default_factory=list)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    not_taken: dict[str, list[str]] = field(default_factory=dict)
    fingerprint: str = ""

    def terms(self) -> dict[str, Any]:
        """The terms alone, as rows, models and processors that come of this corpus carry them along."""
        names = ("corpus", "license", "license_id", "url", "redistribution", "may_redistribute", "consent", "subjects")
        return {name: getattr(self, name) for name in names}

    def to_json(self) -> str:
        """The text of `corpus.json`."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "CorpusInfo":
        """The inverse of [`~CorpusInfo.to_json`]."""
        fields = json.loads(text)
        split = SplitInfo(**fields.pop("split"))
        return cls(split=split, **fields)

    def save(self, folder: str | Path) -> None:
        """Writes `corpus.json` into `folder`."""
        (Path(folder) / CORPUS_FILE).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "CorpusInfo":
        """
        Reads `corpus.json` from `folder`.

        Raises:
            FileNotFoundError: `folder` is not a prepared corpus.
        """
        path = Path(folder) / CORPUS_FILE
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: prepare the corpus with examples/prepare_dataset.py first")
        return cls.from_json(path.read_text(encoding="utf-8"))


__all__ = ["CORPUS_FILE", "CorpusInfo", "SplitInfo"]
