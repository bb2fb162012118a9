# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""One story told from a brain, from rows of a corpus to scores beside their nulls and a page of evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from ..reports.charts import Series, line_chart
from ..reports.sections import Section
from ..statistics.permutations import NO_BRAIN
from .decoding import DecodingOptions, StoryDecoder, other_times, spoken_text
from .evaluation import WINDOW_SECONDS, StoryScore, WindowGrid, score_alone, score_story
from .window_metrics import WindowMetric
from .windows import Story, TimedWord, read_story
from .word_rate import better_than_shuffled, count_tokens, fit_word_rate


if TYPE_CHECKING:
    from datasets import DatasetDict

#: Seconds from window to window of either form of the evaluation.
FORMS = {"tang2023": 1.0, "brainllm2025": WINDOW_SECONDS}
COLUMNS = {
    "form": "windows",
    "metric": "metric",
    "score": "score",
    "no_brain": "language model alone",
    "shift_mean": "shifted, mean",
    "shift_rank": "rank among shifts",
    "shift_p": "p (shifts)",
    "other_mean": "other brains, mean",
    "other_std": "other brains, std",
    "other_z": "z (other brains)",
    "other_p": "p (other brains)",
    "random_mean": "random likelihood, mean",
    "random_std": "random likelihood, std",
    "random_z": "z (random likelihood)",
    "random_p": "p (random likelihood)",
    "windows_above": "windows with z > 1.96",
}


@dataclass(frozen=True)
class Reconstruction:
    """
    A story as it was heard and told, with its scores.

    Args:
        story ([`~trainers.story.windows.Story`]):
            What was heard.
        told (`list[TimedWord]`), no_brain (`list[TimedWord]`):
            What was told from the brain, and by the language model alone in the same rhythm.
        scores (`dict[str, dict[str, StoryScore]]`), no_brain_scores (`dict[str, dict[str, float]]`):
            By form of the windows and metric.
        word_rate (`dict`):
            What became of the word rate on this story; `correlation` with the words of a window is None if these, or
            the rates, are all alike.
        settings (`dict`):
            How it was told.
    """

    story: Story
    told: list[TimedWord]
    no_brain: list[TimedWord]
    scores: dict[str, dict[str, StoryScore]]
    no_brain_scores: dict[str, dict[str, float]]
    word_rate: dict[str, Any]
    settings: dict[str, Any]

    def table(self) -> list[dict[str, Any]]:
        """One row for each form of the windows and metric."""
        return [
            {"form": form, **score.summary(), "no_brain": self.no_brain_scores[form][name]}
            for form, scores in self.scores.items()
            for name, score in scores.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """What a JSON file holds: texts with times, scores, settings."""
        return {
            "story": self.story.name,
            "subject": self.story.subject,
            "told": [asdict(word) for word in self.told],
            "no_brain": [asdict(word) for word in self.no_brain],
            "heard": [asdict(word) for word in self.story.words],
            "scores": self.table(),
            "word_rate": self.word_rate,
            "settings": self.settings,
        }

    def section(self) -> Section:
        """The page of evidence, with the time course of the first metric."""
        score = next(iter(next(iter(self.scores.values())).values()))
        return Section(
            name=f"story_{self.story.name}_{self.story.subject}",
            title=f"The story {self.story.name}, told from the brain of {self.story.subject}",
            text=self._describe(score),
            columns=COLUMNS,
            rows=self.table(),
            figure=_time_course(self.story, score),
        )

    def _describe(self, score: StoryScore) -> str:
        minutes = (self.story.end - self.story.start) / 60
        answer = "is above all three nulls" if score.above_nulls else "is **not** above all three nulls"
        return (
            f"{minutes:.1f} minutes were told from the brain, {len(self.told)} words against {len(self.story.words)} "
            f"that were heard; how many words a window gets is predicted from the brain too. Its {score.name} of "
            f"{score.story:.3f} {answer}: {score.shifts.mean():.3f} when its windows are moved round the story (rank "
            f"{score.shift_rank} of {1 + len(score.shifts)}), {score.other_brains.mean():.3f} when it is told from "
            f"the brain of another time ({len(score.other_brains)} decoded texts, z = {score.story_z:.1f}, p = "
            f"{score.other_brains_p:.3f}), {score.random_likelihoods.mean():.3f} when language model and beam are the "
            f"same and what the brain adds is dealt out at random ({len(score.random_likelihoods)} decoded texts, z = "
            f"{score.random_z:.1f}, p = {score.random_p:.3f}). All scores are larger for better; wer stands for "
            "1 - WER.\n\n"
            f"Heard: {spoken_text(self.story.words[:40])} ...\n\n"
            f"Told: {spoken_text(self.told[:40])} ...\n\n"
            "One story and one subject: the nulls say that words came from this brain at this time, not how the "
            "decoder does on other stories or people."
        )


def reconstruct_story(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    splits: "DatasetDict",
    *,
    split: str = "test",
    name: str | None = None,
    subject: str | None = None,
    options: DecodingOptions | None = None,
    num_others: int = 20,
    rate_alpha: float = 1.0,
    metrics: Mapping[str, WindowMetric] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Reconstruction:
    """
    Tells a held-out story from its brain and scores it beside its nulls.

    Args:
        model ([`BrainLlamaForCausalLM`]), processor ([`BrainLlamaProcessor`]):
            A checkpoint; they must agree.
        splits ([`~datasets.DatasetDict`]):
            Rows of a corpus of stories. The word rate is fitted on `train`.
        split (`str`), name (`str`), subject (`str`), all *optional*:
            Which story; see [`read_story`].
        options ([`DecodingOptions`], *optional*):
            How it is told.
        num_others (`int`, *optional*, defaults to 20):
            Decoded texts of each null: from the brain of another time, two windows of the evaluation away or
            more; and with a random likelihood. 20 is the least for which `p` can fall below .05.
        rate_alpha (`float`, *optional*, defaults to 1.0):
            Ridge penalty of the word rate.
        metrics (`Mapping[str, WindowMetric]`, *optional*):
            Scores of a window.
        seed (`int`), progress (`bool`), *optional*:
            Seed of all that is drawn; whether to show progress bars.

    Returns:
        [`Reconstruction`].

    Raises:
        ValueError: as [`read_story`], [`fit_word_rate`] and [`score_story`] do.
    """
    processor.check_config(model.config)
    options, story = options or DecodingOptions(), read_story(splits[split], name, subject)
    counts = count_tokens(splits["train"], processor.tokenizer)
    rate = fit_word_rate(splits["train"], story.subject, counts, rate_alpha)
    rates = rate.predict([window.brain_values for window in story.windows])
    decoder = StoryDecoder(model, processor, story, rates, options, seed=seed)
    least_shift = int(np.ceil(2 * WINDOW_SECONDS / (story.windows[0].end - story.windows[0].start)))
    control_brains = other_times(len(story.windows), num_others, least_shift, seed)
    own = np.arange(len(story.windows))[None]
    told, *others = decoder.decode(np.concatenate([own, control_brains]), progress=progress)
    random = decoder.decode_at_random(num_others, seed, progress=progress)
    (alone,) = decoder.decode(np.full_like(own, NO_BRAIN), progress=progress)
    scores, alone_scores = {}, {}
    for form, step in FORMS.items():
        grid = WindowGrid.over(story.start, story.end, step)
        scores[form] = score_story(story.words, told, others, random, grid, metrics)
        alone_scores[form] = score_alone(story.words, alone, grid, metrics)
    return Reconstruction(
        story, told, alone, scores, alone_scores, _check_rate(story, rates, told, seed),
        _settings(options) | {"num_others": num_others, "rate_alpha": rate_alpha, "seed": seed, "split": split},
    )  # fmt: skip


def _settings(options: DecodingOptions) -> dict[str, Any]:
    vocabulary = options.vocabulary
    return asdict(options) | {"vocabulary": None if vocabulary is None else f"of {len(vocabulary)} texts"}


def _check_rate(story: Story, rates: np.ndarray, told: Sequence[TimedWord], seed: int) -> dict[str, Any]:
    """The word rate beside the true words of each window; nobody who tells the story has seen this."""
    ends = [window.end for window in story.windows]
    starts = [window.start for window in story.windows]
    onsets = np.array([word.onset for word in story.words])
    heard = np.searchsorted(onsets, ends) - np.searchsorted(onsets, starts)
    varies = rates.std() > 0 and heard.std() > 0
    return {
        "correlation": float(np.corrcoef(rates, heard)[0, 1]) if varies else None,
        "better_than_shuffled": better_than_shuffled(rates, heard, seed=seed),
        "words_heard": len(story.words),
        "words_decoded": len(told),
    }


def _time_course(story: Story, score: StoryScore) -> str:
    seconds = score.starts + WINDOW_SECONDS / 2
    mean, spread = score.other_brains.mean(axis=0), score.other_brains.std(axis=0, ddof=1)
    return line_chart(
        [
            Series("told from the brain", seconds.tolist(), score.windows.tolist()),
            Series(
                "other times' brains, mean and std", seconds.tolist(), mean.tolist(),
                (mean - spread).tolist(), (mean + spread).tolist(),
            ),
        ],
        x_label="middle of the window, seconds of the story",
        y_label=f"{score.name} in {WINDOW_SECONDS:.0f} s",
        title=f"{story.name}, {story.subject}",
    )  # fmt: skip


__all__ = ["COLUMNS", "FORMS", "Reconstruction", "reconstruct_story"]
