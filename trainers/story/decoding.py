# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A story told from a brain: word rate, beam search and times, for the true brain and for any other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from modeling_brainllm.modeling_brainllama import BrainFeatures

from ..evaluation.arms import encode_brains
from ..evaluation.controls import VALUE_CONTROLS
from ..statistics.permutations import NO_BRAIN
from .beam import BeamSearch, SearchOptions
from .proposals import Proposals, allowed_ids, stop_word_ids
from .random_likelihood import RandomLikelihoodSearch
from .scoring import StoryScorer
from .windows import Story, TimedWord


REFERENCES = ("none", "mean")


@dataclass(frozen=True)
class DecodingOptions:
    """
    How a story is told.

    Args:
        length_penalty (`float`, *optional*, defaults to 0.3):
            A window gets `max(0, int(predicted tokens - length_penalty))` tokens (Ye et al. 2025: 0.3 with GPT-2 XL,
            1.0 with Llama).
        context_tokens (`int`, *optional*, defaults to 10), carry (`bool`, *optional*, defaults to `False`):
            See [`~trainers.story.scoring.StoryScorer`].
        opening (`str`, *optional*, defaults to `""`):
            What the story begins after; it is no part of the result.
        contrast_reference (`str`, *optional*, defaults to `"none"`):
            What a brain is contrasted with, where `contrast_weight` is above 0: `"none"`, the text alone, or
            `"mean"`, the brain that says nothing (standardised values of 0).
        search ([`~trainers.story.beam.SearchOptions`]), proposals ([`~trainers.story.proposals.Proposals`]):
            Beam and filters.
        vocabulary (`Sequence[str]`, *optional*):
            Texts of which only tokens may be said.
    """

    length_penalty: float = 0.3
    context_tokens: int = 10
    carry: bool = False
    opening: str = ""
    contrast_reference: str = "none"
    search: SearchOptions = field(default_factory=SearchOptions)
    proposals: Proposals = field(default_factory=Proposals)
    vocabulary: Sequence[str] | None = None

    def __post_init__(self):
        if self.contrast_reference not in REFERENCES:
            raise ValueError(
                f"contrast_reference={self.contrast_reference!r} is unknown: choose one of {', '.join(REFERENCES)}."
            )


class StoryDecoder:
    """
    Tells one story under any brains; they are encoded once, and the lengths of windows are the same for all.

    Args:
        model ([`BrainLlamaForCausalLM`]), processor ([`BrainLlamaProcessor`]):
            A checkpoint; they must agree.
        story ([`~trainers.story.windows.Story`]):
            Windows and their brain frames; its words are not looked at.
        rates (`Sequence[float]` of length windows):
            Predicted tokens of each window ([`~trainers.story.word_rate.WordRate`]).
        options ([`DecodingOptions`], *optional*):
            How it is told.
        batch_size (`int`, *optional*, defaults to 64), seed (`int`, *optional*, defaults to 0):
            Windows per pass of the encoder; seed of noise brains.

    Raises:
        ValueError: rates and windows differ in number.
    """

    def __init__(
        self,
        model: BrainLlamaForCausalLM,
        processor: BrainLlamaProcessor,
        story: Story,
        rates: Sequence[float] | np.ndarray,
        options: DecodingOptions | None = None,
        *,
        batch_size: int = 64,
        seed: int = 0,
    ):
        if len(rates) != len(story.windows):
            raise ValueError(f"{len(rates)} rates for {len(story.windows)} windows: one each is needed.")
        self.model, self.processor, self.story = model.eval(), processor, story
        self.options, self.batch_size, self.seed = options or DecodingOptions(), batch_size, seed
        penalised = np.asarray(rates, float) - self.options.length_penalty
        self.num_tokens = np.maximum(0, penalised.astype(int)).tolist()
        tokenizer: Any = processor.tokenizer
        self.stop_ids = stop_word_ids(tokenizer)
        text_config: Any = model.config.text_config
        self.allowed = allowed_ids(tokenizer, self.options.vocabulary, text_config.vocab_size).to(model.device)
        self.opening = tokenizer(self.options.opening, add_special_tokens=False)["input_ids"]
        self.own = self.encode()

    @torch.inference_mode()
    def encode(self, control: str | None = None, seed: int | None = None) -> BrainFeatures:
        """What the language model reads of all windows; of broken values under one of [`VALUE_CONTROLS`]."""
        rows = [{"subject": self.story.subject, "brain_values": window.brain_values} for window in self.story.windows]
        embeds = encode_brains(
            self.model,
            self.processor,
            rows,
            batch_size=self.batch_size,
            control=None if control is None else VALUE_CONTROLS[control],
            seed=self.seed if seed is None else seed,
        )
        return self.model.model.get_brain_features(encoder_outputs=embeds)

    @torch.inference_mode()
    def decode(
        self,
        control_brains: Sequence[Sequence[int]] | np.ndarray | None = None,
        features: BrainFeatures | None = None,
        *,
        progress: bool = False,
    ) -> list[list[TimedWord]]:
        """
        Tells the story, several times side by side if several sets of brains are given.

        Args:
            control_brains (`np.ndarray` of shape `(decoded texts, windows)`, *optional*):
                The window whose brain each window gets, its own by default; [`NO_BRAIN`] for all of a call reads the
                text alone.
            features ([`BrainFeatures`], *optional*):
                From [`StoryDecoder.encode`]; those of the true brains by default.
            progress (`bool`, *optional*, defaults to `False`):
                Whether to show a progress bar.

        Returns:
            `list[list[TimedWord]]`: what the best hypothesis of each decoded text says. The tokens of a window are
            spread evenly over it.
        """
        features = self.own if features is None else features
        control_brains = (
            np.arange(len(self.num_tokens))[None] if control_brains is None else np.asarray(control_brains)
        )
        brains = (None if (row == NO_BRAIN).all() else take_brains(features, row) for row in control_brains.T)
        search = BeamSearch(**self._search_options(1))
        return self._tell(search, len(control_brains), ([brain, *self._references] for brain in brains), progress)

    @torch.inference_mode()
    def decode_at_random(
        self, num_decoded_texts: int, seed: int = 0, *, progress: bool = False
    ) -> list[list[TimedWord]]:
        """
        Tells the story with a random brain likelihood; see [`~trainers.story.random_likelihood`].

        Args:
            num_decoded_texts (`int`):
                How often, side by side.
            seed (`int`, *optional*, defaults to 0):
                Seed of the draws; each decoded text has draws of its own.
            progress (`bool`, *optional*, defaults to `False`):
                Whether to show a progress bar.

        Returns:
            `list[list[TimedWord]]`: as [`StoryDecoder.decode`].
        """
        generators = [np.random.default_rng((seed, number)) for number in range(num_decoded_texts)]
        search = RandomLikelihoodSearch(generators=generators, **self._search_options(2))
        own = (take_brains(self.own, [number]) for number in range(len(self.num_tokens)))
        return self._tell(
            search, num_decoded_texts, ([brain, self._silent, *self._references] for brain in own), progress
        )

    def _tell(
        self,
        search: BeamSearch,
        num_decoded_texts: int,
        features: Iterable[Sequence[BrainFeatures | None]],
        progress: bool,
    ) -> list[list[TimedWord]]:
        """Decoded texts side by side, from what each scorer reads in each window."""
        decoded_texts = search.start(num_decoded_texts, self.opening)
        with tqdm(total=len(self.num_tokens), desc="decoded_text", unit="window", disable=not progress) as bar:
            for count, read in zip(self.num_tokens, features, strict=True):
                decoded_texts = search.advance(decoded_texts, count, read)
                bar.update()
        return [self._timed(hypotheses[0].tokens()) for hypotheses in decoded_texts]

    @cached_property
    def _silent(self) -> BrainFeatures:
        """The brain that says nothing."""
        return take_brains(self.encode("zero"), [0])

    @property
    def _references(self) -> list[BrainFeatures | None]:
        """What the last scorer reads throughout, if there is a contrast."""
        if self.options.search.contrast_weight == 0:
            return []
        return [None if self.options.contrast_reference == "none" else self._silent]

    def _search_options(self, num_brains: int) -> dict[str, Any]:
        """Options of a fresh search, with so many scorers beside that of the reference."""
        options, tokenizer = self.options, self.processor.tokenizer
        scorers = [
            StoryScorer(self.model, tokenizer.bos_token_id, context_tokens=options.context_tokens, carry=options.carry)
            for _ in range(num_brains + len(self._references))
        ]
        own = {"allowed": self.allowed, "stop_ids": self.stop_ids}
        return {"scorers": scorers, "options": options.search, "proposals": options.proposals, **own}

    def _timed(self, tokens: list[int]) -> list[TimedWord]:
        times = [
            window.start + (window.end - window.start) * (place + 0.5) / count
            for window, count in zip(self.story.windows, self.num_tokens, strict=True)
            for place in range(count)
        ]
        return join_words(token_pieces(self.processor.tokenizer, tokens), times)


def take_brains(features: Any, numbers: Sequence[int] | np.ndarray) -> BrainFeatures:
    """Some of the brain samples, in this order."""
    index = torch.as_tensor(np.asarray(numbers), device=features.tokens.device)
    return BrainFeatures(
        features.tokens[index],
        None if features.mask is None else features.mask[index],
        [(keys[index], values[index]) for keys, values in features.keys_values],
    )


def token_pieces(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> list[str]:
    """
    What each token adds to the text, white space included.

    Each is decoded behind the one before it, since tokenizers drop the space before a text's first word.
    """
    if not tokens:  # of which `batch_decode` would make one empty text
        return []
    pairs = tokenizer.batch_decode([list(tokens[max(i - 1, 0) : i + 1]) for i in range(len(tokens))])
    before = ["", *tokenizer.batch_decode([[token] for token in tokens])]
    return [pair[len(single) :] for pair, single in zip(pairs, before, strict=False)]


def join_words(pieces: Iterable[str], times: Iterable[float]) -> list[TimedWord]:
    """Words of tokens: a word begins where a piece begins with white space, at the time of that piece."""
    words: list[TimedWord] = []
    for piece, time in zip(pieces, times, strict=True):
        for number, part in enumerate(piece.split()):
            if words and number == 0 and not piece[0].isspace():
                words[-1] = TimedWord(words[-1].text + part, words[-1].onset)
            else:
                words.append(TimedWord(part, time))
    return words


def other_times(num_windows: int, num_decodings: int, least_shift: int, seed: int = 0) -> np.ndarray:
    """
    For each decoding the window whose brain each window gets: all of them moved by one distance, round the story.

    Neighbours stay neighbours, so the brains are as smooth in time as the true ones.

    Args:
        num_windows (`int`), num_decodings (`int`):
            Shape of the result.
        least_shift (`int`):
            Windows by which each is moved at least, either way.
        seed (`int`, *optional*, defaults to 0):
            Seed of the distances, which differ as long as there are enough.

    Returns:
        `np.ndarray` of shape `(decodings, windows)`.

    Raises:
        ValueError: the story is too short to be moved so far.
    """
    distances = np.arange(least_shift, num_windows - least_shift + 1)
    if not len(distances):
        raise ValueError(
            f"{num_windows} windows cannot be moved by {least_shift} or more either way: the story is too short."
        )
    generator = np.random.default_rng(seed)
    shuffled = np.resize(generator.permutation(distances), num_decodings)
    return (np.arange(num_windows) + shuffled[:, None]) % num_windows


def spoken_text(words: Sequence[TimedWord | Mapping[str, Any]]) -> str:
    """The words of a decoded text as one text."""
    return " ".join(word.text if isinstance(word, TimedWord) else word["text"] for word in words)


__all__ = [
    "REFERENCES",
    "DecodingOptions",
    "StoryDecoder",
    "join_words",
    "other_times",
    "spoken_text",
    "take_brains",
    "token_pieces",
]
