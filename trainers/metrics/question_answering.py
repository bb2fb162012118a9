# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Scores of answers to questions: the accuracy of VQA, exact match, and the best guess that hears no brain."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np


# As many people must have given an answer for it to be right altogether (Antol et al. 2015, arXiv:1505.00468).
_ENOUGH = 3
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_AS_DIGITS = {word: str(number) for number, word in enumerate(_NUMBERS)} | {"none": "0"}
_ARTICLES = frozenset({"a", "an", "the"})
# A point stays within a number only, a comma is dropped within one, and a colon or an apostrophe is part of a word.
_POINT, _COMMA, _MARKS = re.compile(r"(?<!\d)\.|\.(?!\d)"), re.compile(r"(?<=\d),(?=\d)"), re.compile(r"[^\w\s.:']")
_SHORTENED = re.compile(
    r"\b(?:(ai|are|ca|could|did|does|do|had|has|have|is|must|should|was|were|wo|would)nt"
    r"|(they|you)(re|ve)|weve|(he|she|that|there|what|where|who)s|(i)(m|ve))\b"
)


def normalize_answer(text: str) -> str:
    """
    An answer in the form in which answers are compared: small letters, numbers as digits, no articles, no punctuation
    (points within numbers, colons and apostrophes stay), and the apostrophe of `dont` put in.

    The rules are those of the evaluation of VQA (Antol et al. 2015), as its paper and page tell them.
    """
    text = _MARKS.sub(" ", _COMMA.sub("", _POINT.sub("", " ".join(text.lower().split()))))
    words = [_AS_DIGITS.get(word, word) for word in text.split() if word not in _ARTICLES]
    return _SHORTENED.sub(_with_apostrophe, " ".join(words))


def _with_apostrophe(found: re.Match[str]) -> str:
    word = found[0]
    cut = -1 if word.endswith("nt") or not word.endswith(("re", "ve")) else -2
    return f"{word[:cut]}'{word[cut:]}"


def _agreement(counts: Counter[str], answer: str) -> float:
    """Share of what is right about an answer, as the mean over all sets of people but one."""
    people, given = counts.total(), counts[answer]
    if people == 1:
        return float(given)
    enough = min(_ENOUGH, people - 1)
    # Without one of those who gave it, and without one of the others.
    return (given * min((given - 1) / enough, 1) + (people - given) * min(given / enough, 1)) / people


def vqa_accuracy(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> np.ndarray:
    """
    The accuracy of VQA: an answer is right as far as people gave it, altogether if three did.

    With each of the ten people left out in turn, it is `min(others who gave it / 3, 1)`, and the mean of the ten
    counts. Of fewer than four people all others must agree; a single answer is right or wrong.

    Args:
        predictions (`Sequence[str]`):
            An answer for each question.
        answers (`Sequence[Sequence[str]]`):
            What people answered.

    Returns:
        `np.ndarray`: float64 `[questions]`, from 0 to 1.

    Raises:
        ValueError: a question has no answer, or there are not as many predictions.
    """
    counts = _counted(predictions, answers)
    given = map(normalize_answer, predictions)
    return np.array([_agreement(one, answer) for one, answer in zip(counts, given, strict=True)])


def exact_match(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> np.ndarray:
    """Whether each prediction is the most frequent answer, float64 `[questions]`; arguments as [`vqa_accuracy`]."""
    counts = _counted(predictions, answers)
    given = map(normalize_answer, predictions)
    return np.array([float(one[answer] == max(one.values())) for one, answer in zip(counts, given, strict=True)])


def _counted(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> list[Counter[str]]:
    if len(predictions) != len(answers) or not all(answers):
        raise ValueError(
            f"Expected answers to each of {len(predictions)} questions, got {len(answers)} lists, of which "
            f"{sum(not own for own in answers)} are empty."
        )
    return [Counter(map(normalize_answer, own)) for own in answers]


def best_constant_answers(question_types: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, str]:
    """
    The one answer for each type of question that scores best when given to all of it: what is right without a brain.

    Args:
        question_types (`Sequence[str]`):
            Of the questions of the training split.
        answers (`Sequence[Sequence[str]]`):
            What people answered to each.

    Returns:
        `dict[str, str]`: by type, the answer of the highest mean [`vqa_accuracy`], in the form of
        [`normalize_answer`]; of several that are equally good the first by alphabet.
    """
    counts = _counted(question_types, answers)
    scores: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for kind, one in zip(question_types, counts, strict=True):
        for answer in one:
            scores[kind][answer] += _agreement(one, answer)
    return {kind: max(sorted(found), key=found.__getitem__) for kind, found in scores.items()}


def by_question_type(question_types: Sequence[str], scores: np.ndarray) -> dict[str, float]:
    """Mean of the scores `[questions]` of each type."""
    kinds = np.array(question_types)
    return {str(kind): float(scores[kinds == kind].mean()) for kind in np.unique(kinds)}


__all__ = ["best_constant_answers", "by_question_type", "exact_match", "normalize_answer", "vqa_accuracy"]
