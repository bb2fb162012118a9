# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Corpora of brain recordings and text, turned into Arrow rows with splits that do not leak.

    >>> from dataset_builders import load_corpus
    >>> dataset = load_corpus("synthetic_sentences")
    >>> sorted(dataset)
    ['test', 'train', 'validation']

Modules are imported when first needed, so that `import dataset_builders` costs nothing.
"""

from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from datasets import DatasetDict

    from .corpora.base import BrainCorpusBuilder


#: Every corpus: its name, and the module and class that build it.
CORPORA = {
    "alice2016": ("alice2016", "Alice2016"),
    "bids": ("bids.bids", "Bids"),
    "bids_trials": ("bids.bids_trials", "BidsTrials"),
    "brainllm2025": ("brainllm2025", "BrainLLM2025"),
    "lebel2023": ("huth.lebel2023", "Lebel2023"),
    "narratives2021": ("bids.narratives2021", "Narratives2021"),
    "nsd2022": ("nsd.nsd2022", "NSD2022"),
    "pereira2018": ("pereira.pereira2018", "Pereira2018"),
    "tang2023": ("huth.tang2023", "Tang2023"),
    "synthetic_images": ("synthetic.images", "SyntheticImages"),
    "synthetic_sentences": ("synthetic.sentences", "SyntheticSentences"),
    "synthetic_stories": ("synthetic.stories", "SyntheticStories"),
}


def builder_class(name: str) -> type["BrainCorpusBuilder"]:
    """
    The builder of a corpus, by a name of [`CORPORA`].

    Raises:
        ValueError: there is no corpus of this name.
    """
    if name not in CORPORA:
        raise ValueError(f"corpus {name!r} is unknown: choose one of {', '.join(CORPORA)}")
    module, attribute = CORPORA[name]
    return getattr(import_module(f".corpora.{module}", __name__), attribute)


def prepare_corpus(
    name: str,
    data_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    num_proc: int | None = None,
    force: bool = False,
    **config: Any,
) -> "BrainCorpusBuilder":
    """
    Builds a corpus, or finds it in the cache.

    Args:
        name (`str`):
            A name of [`CORPORA`].
        data_dir (`str` or `Path`, *optional*):
            Folder of the source files, for corpora that have any.
        cache_dir (`str` or `Path`, *optional*):
            Where Arrow files are kept. Defaults to the cache of `datasets`.
        num_proc (`int`, *optional*):
            Processes that read and write recordings.
        force (`bool`, *optional*, defaults to `False`):
            Builds it anew, whatever the cache and an interrupted preparation hold.
        config:
            Fields of the corpus's configuration, such as `split`, `fold` or `subjects`.

    Returns:
        [`~dataset_builders.corpora.base.BrainCorpusBuilder`]: prepared; `as_dataset_dict()` gives the rows and
        `corpus_info` what is known about them.

    Raises:
        FileNotFoundError: source files are missing.
        ValueError: an option is unknown or out of range, a source file is damaged or unsafe, or the corpus differs
            from what is published.
        LeakageError: the splits share what they must not (a `ValueError`).
    """
    cls = builder_class(name)
    options = {field.name for field in fields(cls.BUILDER_CONFIG_CLASS)}
    options -= {"name", "version", "data_dir", "data_files", "description", "source_fingerprint"}
    unknown = sorted(config.keys() - options)
    if unknown:
        raise ValueError(f"corpus {name} has no option {', '.join(unknown)}: its options are {sorted(options)}")
    builder = cls(cache_dir=None if cache_dir is None else str(cache_dir), data_dir=data_dir, **config)
    builder.prepare(num_proc=num_proc, force=force)
    return builder


def load_corpus(
    name: str,
    data_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    num_proc: int | None = None,
    force: bool = False,
    **config: Any,
) -> "DatasetDict":
    """The rows of a corpus in their splits. Arguments and errors are those of [`prepare_corpus`]."""
    return prepare_corpus(name, data_dir, cache_dir, num_proc, force, **config).as_dataset_dict()


def save_corpus(builder: "BrainCorpusBuilder", output_dir: str | Path) -> None:
    """Writes a prepared corpus to a folder; see [`~dataset_builders.publishing.saving.save_corpus`]."""
    from .publishing.saving import save_corpus as save

    save(builder, output_dir)


def corpus_from_arrays(name: str, *args: Any, **kwargs: Any) -> "BrainCorpusBuilder":
    """A corpus of NumPy arrays and texts; see [`~dataset_builders.corpora.arrays.corpus_from_arrays`]."""
    from .corpora.arrays import corpus_from_arrays as make

    return make(name, *args, **kwargs)


def push_corpus(folder: str | Path, repo_id: str, **kwargs: Any) -> str:
    """Publishes a folder written by [`save_corpus`]; see [`~dataset_builders.publishing.saving.push_corpus`]."""
    from .publishing.saving import push_corpus as push

    return push(folder, repo_id, **kwargs)


__all__ = [
    "CORPORA",
    "builder_class",
    "corpus_from_arrays",
    "load_corpus",
    "prepare_corpus",
    "push_corpus",
    "save_corpus",
]
