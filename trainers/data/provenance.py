# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Where rows came from: the facts of their corpus, and whose brains a model has been trained on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    HFValidationError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)
from transformers.utils import cached_file, logging

from modeling_brainllm.sharing_brainllama import merge_terms


if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedConfig


logger = logging.get_logger(__name__)


#: Lies beside the rows of a prepared corpus, in its folder and on the Hub.
CORPUS_FACTS = "corpus.json"


#: Lies beside an adapter.
TRAINING_BRAINS = "training_brains.json"


def read_corpus_facts(dataset: str) -> dict[str, Any] | None:
    """
    What a prepared corpus says of itself: how it was divided, its leaks and its terms.

    Args:
        dataset (`str`):
            Folder of the corpus, or Hub id of one that was pushed from there.

    Returns:
        `dict`: content of `corpus.json`; `None` where there is none, for rows that no corpus builder wrote.
    """
    file = Path(dataset) / CORPUS_FACTS
    if not Path(dataset).is_dir():
        try:
            file = Path(hf_hub_download(dataset, CORPUS_FACTS, repo_type="dataset"))
        except (RemoteEntryNotFoundError, RepositoryNotFoundError, HFValidationError):
            return None
        except LocalEntryNotFoundError:
            logger.warning(
                f"`{CORPUS_FACTS}` of '{dataset}' is not in the cache and cannot be fetched now: nothing is known "
                "of its split. Evaluate once with a network."
            )
            return None
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def split_facts(corpus: Mapping[str, Any] | None, evaluated: str) -> dict[str, Any]:
    """What a report says about the split: the content of `corpus.json` on division, leaks and terms of the data."""
    if corpus is None:
        return {"evaluated": evaluated}
    names = ("corpus", "subjects", "license", "redistribution", "consent", "citation")
    return {name: corpus[name] for name in names if name in corpus} | dict(corpus["split"]) | {"evaluated": evaluated}


def corpus_terms(corpus: Mapping[str, Any]) -> dict[str, Any]:
    """The terms in the content of `corpus.json`, by the names of [`~modeling_brainllm.sharing_brainllama`]."""
    names = ("corpus", "license", "license_id", "url", "redistribution", "may_redistribute", "consent", "subjects")
    return {name: corpus[name] for name in names if name in corpus}


def terms_of(rows: Any) -> list[dict[str, Any]]:
    """
    Terms of the corpora that rows come from, which the builders of corpora write into them; none where nobody did.

    Args:
        rows ([`~datasets.Dataset`]):
            Rows of a corpus, or of several that were joined.
    """
    info = getattr(rows, "info", None)
    written = "" if info is None else info.license or ""
    entries = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    return [entry for entry in entries if "corpus" in entry]


def record_terms(rows: Any, *parts: Any) -> None:
    """
    Writes the terms of rows into what learns from them, whose card and whose pushes then keep to them.

    Args:
        rows ([`~datasets.Dataset`]):
            Training rows.
        parts:
            Configurations and feature extractors; get the field `data_terms`.
    """
    for part in parts:
        part.data_terms = merge_terms(getattr(part, "data_terms", None), terms_of(rows))


def count_brains(rows: "Dataset") -> dict[str, int]:
    """Distinct brain samples of each subject."""
    pairs = set(zip(rows["subject"], rows["brain_id"], strict=True))
    names, counts = np.unique([subject for subject, _ in pairs], return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def record_training_brains(config: "PreTrainedConfig", counts: Mapping[str, int]) -> None:
    """
    Writes into a configuration, which is saved with the checkpoint, on whose brains it was trained.

    Every stage that updates a model calls it, with what [`count_brains`] finds in its training rows. Stages mostly
    share their rows, so of several counts the largest is kept. An adapter has no such configuration: see
    [`save_training_brains`].

    Args:
        config ([`~transformers.PreTrainedConfig`]):
            Gets the field `training_brains`.
        counts (`Mapping[str, int]`):
            Distinct brain samples of each subject.
    """
    known = getattr(config, "training_brains", {})
    names = sorted({*known, *counts})
    config.training_brains = {name: max(known.get(name, 0), counts.get(name, 0)) for name in names}


def save_training_brains(config: "PreTrainedConfig", folder: str | Path) -> None:
    """Writes what [`record_training_brains`] has noted beside an adapter, which does not save the configuration."""
    text = json.dumps(config.training_brains, indent=2)
    (Path(folder) / TRAINING_BRAINS).write_text(text + "\n", encoding="utf-8")


def copy_training_brains(config: "PreTrainedConfig", adapter: str | Path) -> None:
    """
    Adds to a configuration on whose brains an adapter on top of the model was trained.

    Nothing is known about the brains of an adapter that does not say so, and then nothing about those of the whole:
    the field `training_brains` is taken out.

    Args:
        config ([`~transformers.PreTrainedConfig`]):
            Of the model below the adapter.
        adapter (`str` or `Path`):
            Folder or Hub id.
    """
    file = cached_file(str(adapter), TRAINING_BRAINS, _raise_exceptions_for_missing_entries=False)
    if file is not None:
        record_training_brains(config, json.loads(Path(file).read_text(encoding="utf-8")))
    elif hasattr(config, "training_brains"):
        del config.training_brains


__all__ = [
    "CORPUS_FACTS",
    "copy_training_brains",
    "corpus_terms",
    "count_brains",
    "read_corpus_facts",
    "record_terms",
    "record_training_brains",
    "save_training_brains",
    "split_facts",
    "terms_of",
]
