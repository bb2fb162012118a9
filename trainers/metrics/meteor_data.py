# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What METEOR 1.5 knows of English: function words, WordNet's synonyms, and a table of paraphrases.

These lists belong to METEOR's authors and are not part of this package. They are read from METEOR's own files, without
Java: the `.jar`, which is a zip archive, holds the words, and a `.gz` beside it the paraphrases.
"""

import gzip
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np


JAR = "meteor-1.5.jar"
PARAPHRASES = "data/paraphrase-en.gz"
# Words of the longest phrases in the table.
MAX_PHRASE = 7

# WordNet's regular endings, nouns' before verbs' before adjectives', and what stands there in the base form.
_ENDINGS = (
    *(("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man")),
    *(("ies", "y"), ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", "")),
    *(("ing", "e"), ("ing", ""), ("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
)


class Paraphrases:
    """
    Pairs of phrases that may stand for each other, each phrase by its [`phrase_key`].

    Args:
        sources (`np.ndarray` of shape `(pairs,)`):
            Keys of the one side, sorted.
        targets (`np.ndarray` of shape `(pairs,)`):
            Keys of the other.
    """

    def __init__(self, sources: np.ndarray, targets: np.ndarray):
        self.sources = sources
        self.targets = targets

    def among(self, phrases: np.ndarray) -> dict[int, dict[int, int]]:
        """
        The part of the table whose both sides are among some phrases.

        Args:
            phrases (`np.ndarray` of shape `(phrases,)`):
                Keys, each once.

        Returns:
            `dict[int, dict[int, int]]`: Of each source its targets, each with its rank in the table.
        """
        first, last = (np.searchsorted(self.sources, phrases, side) for side in ("left", "right"))
        counts = last - first
        rows = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        rows = rows[np.isin(self.targets[rows], phrases)]
        found: dict[int, dict[int, int]] = {}
        for source, target in zip(self.sources[rows].tolist(), self.targets[rows].tolist(), strict=True):
            targets = found.setdefault(source, {})
            targets.setdefault(target, len(targets))
        return found


def phrase_key(words: tuple[str, ...]) -> int:
    """A phrase as a number, the same within a process: that of its line in the table."""
    return hash(f"{' '.join(words)}\n".encode())


@dataclass(frozen=True, eq=False)
class MeteorData:
    """
    METEOR's lists of English.

    Reading them takes some ten seconds and 90 MB of memory, nearly all of it for 5.3 million pairs of paraphrases.

    Args:
        folder (`Path`):
            Where they were read from.
        function_words (`frozenset[str]`):
            Words that count less.
        synsets (`Mapping[str, frozenset[str]]`):
            WordNet 3.0: the meanings of each base form.
        bases (`Mapping[str, tuple[str, ...]]`):
            Base forms of the irregular forms.
        paraphrases ([`Paraphrases`]):
            The table.
    """

    folder: Path
    function_words: frozenset[str]
    synsets: Mapping[str, frozenset[str]]
    bases: Mapping[str, tuple[str, ...]]
    paraphrases: Paraphrases

    @classmethod
    def load(cls, folder: str | Path | None = None) -> "MeteorData":
        """
        Reads METEOR's files.

        Args:
            folder (`str` or `Path`, *optional*):
                Folder of `meteor-1.5.jar` and `data/paraphrase-en.gz`; by default that of the installed package
                `pycocoevalcap`, which carries both.

        Raises:
            FileNotFoundError: the files are not there.
        """
        folder = _installed_folder() if folder is None else Path(folder)
        for path in (folder / JAR, folder / PARAPHRASES):
            if not path.is_file():
                raise FileNotFoundError(f"{path} is missing. METEOR's folder holds {JAR} and {PARAPHRASES}.")
        with zipfile.ZipFile(folder / JAR) as jar:
            function, synsets, exceptions = (
                jar.read(name).decode().splitlines()
                for name in ("function/english.words", "synonym/english.synsets", "synonym/english.exceptions")
            )
        bases: dict[str, tuple[str, ...]] = {}
        for base, forms in zip(exceptions[::2], exceptions[1::2], strict=True):
            bases |= {form: (*bases.get(form, ()), base) for form in forms.split()}
        meanings = {word: frozenset(own.split()) for word, own in zip(synsets[::2], synsets[1::2], strict=True)}
        return cls(folder, frozenset(function), meanings, bases, _read_paraphrases(folder / PARAPHRASES))

    def __reduce__(self) -> tuple:
        """Keys of phrases differ from process to process, so a copy is read anew."""
        return MeteorData.load, (self.folder,)

    def meanings(self, word: str) -> frozenset[str]:
        """WordNet's meanings of a word in any form: its own, and those of its base forms."""
        own = self.synsets.get(word, frozenset())
        return own.union(*(self.synsets.get(base, ()) for base in self.bases.get(word) or self._regular_base(word)))

    def _regular_base(self, word: str) -> tuple[str, ...]:
        """The base form by the first ending that leaves a known word; "ful" as in "boxesful" is put aside first."""
        stem = word.removesuffix("ful")
        if not stem.endswith("ss") and len(stem) > 2:
            for ending, base_ending in _ENDINGS:
                base = stem.removesuffix(ending) + base_ending
                if stem.endswith(ending) and base in self.synsets:
                    return (base + word[len(stem) :],)
        return ()


def _installed_folder() -> Path:
    found = find_spec("pycocoevalcap")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(
            "METEOR's lists of words were not found. `pip install pycocoevalcap` brings them (Java is not needed to "
            f"read them), or name a folder that holds {JAR} and {PARAPHRASES}."
        )
    return Path(next(iter(found.submodule_search_locations))) / "meteor"


@lru_cache(maxsize=2)
def _read_paraphrases(path: Path) -> Paraphrases:
    """Three lines to a pair: its probability, and the two phrases."""
    with gzip.open(path, "rb") as lines:
        keys = np.fromiter(map(hash, lines), np.int64).reshape(-1, 3)
    order = np.argsort(keys[:, 1], kind="stable")
    return Paraphrases(keys[order, 1], keys[order, 2])


__all__ = ["MAX_PHRASE", "MeteorData", "Paraphrases", "phrase_key"]
