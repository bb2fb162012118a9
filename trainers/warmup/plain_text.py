# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Rows without a brain: plain sentences and their own embeddings, which teach the interface what an embedding says."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset


SENTENCE_END = re.compile(r"(?<=[.!?])\s")


def read_sentences(path: str | Path) -> list[str]:
    """
    Reads a text file with one sentence per line; empty lines and repetitions are left out.

    Raises:
        ValueError: the file holds no sentence.
    """
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    sentences = list(dict.fromkeys(line for line in lines if line))
    if not sentences:
        raise ValueError(f"{path} holds no sentence; expected plain text with one sentence per line.")
    return sentences


@torch.no_grad()
def sample_text_from_model(
    model: Any,
    tokenizer: Any,
    num_sentences: int,
    seed: int,
    max_new_tokens: int = 40,
    top_p: float = 0.95,
    batch_size: int = 64,
) -> list[str]:
    """
    Sentences sampled from a causal language model itself, from its beginning-of-sequence token on.

    Text that the model finds likely anyway teaches the interface without any corpus at hand.

    Args:
        model ([`~transformers.PreTrainedModel`]):
            A causal language model, or a [`BrainLlamaForCausalLM`], which without a brain is one.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Its tokenizer.
        num_sentences (`int`):
            Distinct sentences to return.
        seed (`int`):
            Seed; the global generators are restored afterwards.
        max_new_tokens (`int`, *optional*, defaults to 40):
            Longest sentence; those that do not end by then are dropped.
        top_p (`float`, *optional*, defaults to 0.95):
            Nucleus of the sampling.
        batch_size (`int`, *optional*, defaults to 64):
            Sentences drawn at a time.

    Raises:
        ValueError: the model hardly ever ends a sentence, or keeps repeating itself.
    """
    start = torch.full((batch_size, 1), tokenizer.bos_token_id, device=model.device)
    sentences: dict[str, None] = {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for _ in range(20 * (1 + num_sentences // batch_size)):
            tokens = model.generate(
                start,
                attention_mask=torch.ones_like(start),
                do_sample=True,
                top_p=top_p,
                max_new_tokens=max_new_tokens,
                pad_token_id=tokenizer.eos_token_id,
            )
            for text in tokenizer.batch_decode(tokens, skip_special_tokens=True):
                sentence = SENTENCE_END.split(text.strip(), maxsplit=1)[0]
                if len(sentence.split()) > 2 and sentence[-1] in ".!?":
                    sentences[sentence] = None
            if len(sentences) >= num_sentences:
                return list(sentences)[:num_sentences]
    raise ValueError(
        f"Only {len(sentences)} of {num_sentences} distinct sentences could be sampled. Raise `max_new_tokens`, or "
        "give a text file instead."
    )


def without_overlap(sentences: Sequence[str], held_out: Sequence[str], num_words: int = 5) -> list[str]:
    """
    Drops sentences that share `num_words` words in a row with held-out text.

    Plain text may come from anywhere, so it may hold the very sentences of the test.

    Args:
        sentences (`Sequence[str]`):
            Plain text.
        held_out (`Sequence[str]`):
            All text of the validation and test splits.
        num_words (`int`, *optional*, defaults to 5):
            Words in a row that count as an overlap, ignoring case and punctuation.
    """
    seen = {gram for text in held_out for gram in _grams(text, num_words)}
    return [sentence for sentence in sentences if not any(gram in seen for gram in _grams(sentence, num_words))]


def plain_text_rows(
    sentences: Sequence[str],
    embeddings: np.ndarray,
    seed: int,
    prompt_free_share: float = 0.4,
    max_completion_words: int = 8,
) -> Dataset:
    """
    Makes sentences into rows of the plain-text stage.

    Args:
        sentences (`Sequence[str]`):
            Plain text, one sentence each.
        embeddings (`np.ndarray` of shape `(sentences, embedding)`):
            Their embeddings.
        seed (`int`):
            Seed of the cut points.
        prompt_free_share (`float`, *optional*, defaults to 0.4):
            Share of sentences predicted whole, without a prompt; the others are cut at a random word.
        max_completion_words (`int`, *optional*, defaults to 8):
            Longest completion of a sentence that is cut.

    Returns:
        [`~datasets.Dataset`]: rows with the columns of a corpus, `semantic_embedding` in place of `brain_values`.
    """
    rng = np.random.default_rng(seed)
    pairs = [_cut(sentence.split(), rng, prompt_free_share, max_completion_words) for sentence in sentences]
    names = [f"plain-text/{number}" for number in range(len(sentences))]
    return Dataset.from_dict(
        {
            "sample_id": names,
            "subject": ["plain-text"] * len(names),
            "group": names,
            "brain_id": names,
            "prompt": [prompt for prompt, _ in pairs],
            "completion": [completion for _, completion in pairs],
            "text": list(sentences),
            "semantic_embedding": embeddings,
        }
    )


def _cut(words: list[str], rng: np.random.Generator, prompt_free_share: float, most: int) -> tuple[str, str]:
    # Both numbers are drawn for every sentence, so that one sentence more changes no other row.
    whole, place = rng.random(), rng.random()
    if whole < prompt_free_share or len(words) < 2:
        return "", " ".join(words)
    cut = 1 + int(place * (len(words) - 1))
    return " ".join(words[:cut]), " ".join(words[cut : cut + most])


def _grams(text: str, num_words: int) -> Iterator[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    for start in range(max(len(words) - num_words + 1, 1)):
        yield tuple(words[start : start + num_words])


__all__ = ["plain_text_rows", "read_sentences", "sample_text_from_model", "without_overlap"]
