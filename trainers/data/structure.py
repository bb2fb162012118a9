# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What is known of a text without its words and without any brain: length, place, session and rate.

Long sentences are told apart from short ones by any signal that grows with time, and a session by any signal at all.
So these numbers take the place of the brain: in a ridge regression
([`~trainers.evaluation.structure_baseline`]), and in the whole recipe, whose *structure twin* a brain must beat before
it can be said to know words.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict


Row = Mapping[str, Any]
# Positions are named one by one where training knows no more of them than this; else they are a number.
_MAX_PLACES = 8


class Structure:
    """
    Measures the structure of texts in the units of training: each number has mean 0 and deviation 1 there.

    Args:
        train (`Sequence[Mapping]`):
            Rows with the text; `session`, `position` and `words_per_second` are used where they exist and vary.
        text_column (`str`, *optional*, defaults to `"text"`):
            Whose words and characters are counted: all that was perceived, or a part of it. Not the columns
            `num_words` and `num_characters`, which count all.
    """

    def __init__(self, train: Sequence[Row], text_column: str = "text"):
        self.text_column = text_column
        self.sessions = sorted({str(row["session"]) for row in train if row.get("session") is not None})
        places = sorted({row["position"] for row in train if row.get("position") is not None})
        self.places = places if len(places) <= _MAX_PLACES else []
        numbers = np.array([self._count(row) for row in train])
        spread = numbers.std(axis=0)
        self.varies = bool(spread.any())
        self._kept = np.flatnonzero(spread) if self.varies else [0]
        self._mean, self._spread = numbers[:, self._kept].mean(axis=0), spread[self._kept] if self.varies else 1.0

    def __call__(self, rows: Sequence[Row]) -> np.ndarray:
        """Structure `(rows, numbers)`."""
        return (np.array([self._count(row) for row in rows])[:, self._kept] - self._mean) / self._spread

    def _count(self, row: Row) -> list[float]:
        text, place = str(row[self.text_column]).strip(), row.get("position")
        words = len(text.split())
        numbers = [words, len(text), words**2, row.get("words_per_second") or 0]
        # Of two sessions one says all; of several, each is a column.
        numbers += [str(row.get("session")) == session for session in self.sessions[len(self.sessions) == 2 :]]
        numbers += [place == other for other in self.places] or [place or 0, (place or 0) ** 2]
        return [float(number) for number in numbers]


def brains_of_structure(splits: Mapping[str, Dataset]) -> DatasetDict:
    """
    Rows whose structure stands in the place of their brains, as one frame.

    Args:
        splits (`Mapping[str, Dataset]`):
            Splits of a corpus, `train` among them, which says how the numbers are scaled.

    Raises:
        ValueError: If all training rows are alike.
    """
    columns = ("text", "session", "position", "words_per_second")
    known = {
        name: list(rows.with_format(None).select_columns([c for c in columns if c in rows.column_names]))
        for name, rows in splits.items()
    }
    measure = Structure(known["train"])
    if not measure.varies:
        raise ValueError(
            f"All {len(known['train'])} training rows have texts of one length, at one position of one session: they "
            "have no structure that could stand in the place of a brain. Train without a structure twin."
        )
    return DatasetDict({name: _with_brains(rows, measure(known[name])) for name, rows in splits.items()})


def _with_brains(rows: Dataset, values: np.ndarray) -> Dataset:
    """Rows of the default format with other brain values `(rows, features)`, one frame each."""
    stored = rows.with_format(None)
    if "brain_values" in stored.column_names:
        stored = stored.remove_columns("brain_values")
    return stored.add_column("brain_values", values[:, None].astype(np.float32).tolist())


__all__ = ["Structure", "brains_of_structure"]
