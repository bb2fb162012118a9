# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Surprise as an experiment: an unexpected word is planted into what was perceived, while the brain stays as it was.

Where a text surprises by itself, it differs in other ways too ([`~trainers.analyses.surprise`]). Here the experimenter
chooses: one word of the completion gives way to another that the language model finds more or less unlikely. A brain
that carries the text should speak for the true word against the planted one, beyond what the language model says; the
question is whether it does so the more, the more unexpected the planted word is.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from ..data.collator import BrainDataCollator
from ..reports.sections import Section
from ..scoring.table import permuted_control_brains
from .curves import Curve, make_curve
from .effects import Effects, Sample, arm_losses, equal_count_bins


if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

NAME, TRUE = "planted_words", "true"
# Words of content, mostly; the short ones are grammar, for which almost any other word is an error.
_WORD = re.compile(r"[^\W\d_]{4,}")
_TEXT_INPUTS = ("input_ids", "attention_mask", "labels")


@torch.inference_mode()
def plant_words(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    rows: "Dataset",
    quantiles: Sequence[float] = (0.0, 0.5, 1.0),
    num_candidates: int = 16,
    batch_size: int = 64,
    seed: int = 0,
) -> "DatasetDict":
    """
    Copies of a split in which one word of every completion is another one; brains, prompts and names are the same.

    The word is drawn among those of four letters or more. Its rivals are drawn from the completions of other groups,
    so that planted words are as frequent as true ones, and ordered by how unlikely the language model alone finds the
    completion with them.

    Args:
        model ([`BrainLlamaForCausalLM`]), processor ([`BrainLlamaProcessor`]):
            Whose language model judges.
        rows ([`~datasets.Dataset`]):
            Rows of one split.
        quantiles (`Sequence[float]`, *optional*, defaults to `(0.0, 0.5, 1.0)`):
            Which of the rivals are planted: 0 the likeliest, 1 the unlikeliest.
        num_candidates (`int`, *optional*, defaults to 16):
            Rivals of each word.
        batch_size (`int`, *optional*, defaults to 64), seed (`int`, *optional*, defaults to 0):
            Texts per pass; seed of the draws.

    Returns:
        [`~datasets.DatasetDict`]: `true`, the rows in which a word could be replaced, and for each quantile a split
        such as `planted_0.50` of the same rows in the same order. Each is evaluated as `continuation`.

    Raises:
        ValueError: If no completion has such a word, or a quantile is not between 0 and 1.
    """
    from datasets import DatasetDict

    if not quantiles or min(quantiles) < 0 or max(quantiles) > 1:
        raise ValueError(f"`quantiles` must lie between 0 and 1; got {list(quantiles)}.")
    completions, groups = list(rows["completion"]), list(rows["group"])
    texts = _replaced(completions, groups, num_candidates, np.random.default_rng(seed))
    kept = [i for i, found in enumerate(texts) if found]
    if not kept:
        raise ValueError(
            f"None of {len(completions)} completions has a word of four letters or more that another group's could "
            "stand in for. Plant words into longer completions."
        )
    places = [i for i in kept for _ in texts[i]]
    flat = [text for i in kept for text in texts[i]]
    losses = _language_model_losses(model, processor, [rows[i]["prompt"] for i in places], flat, batch_size)
    order = np.split(losses, np.cumsum([len(texts[i]) for i in kept])[:-1])
    true, splits = rows.select(kept), {}
    for quantile in quantiles:
        ranks = [np.argsort(found)[round(quantile * (len(found) - 1))] for found in order]
        planted = [texts[i][rank] for i, rank in zip(kept, ranks, strict=True)]
        splits[f"planted_{quantile:.2f}"] = _with_completions(true, planted)
    return DatasetDict({TRUE: true, **splits})


def _replaced(
    completions: Sequence[str], groups: Sequence[str], num_candidates: int, generator: np.random.Generator
) -> list[list[str]]:
    """Each completion with one of its words replaced by each of its rivals; none where it cannot be."""
    found = [list(_WORD.finditer(text)) for text in completions]
    vocabulary: dict[str, set[str]] = {}
    for words, group in zip(found, groups, strict=True):
        for word in words:
            vocabulary.setdefault(word[0].lower(), set()).add(group)
    texts = []
    for text, words, group in zip(completions, found, groups, strict=True):
        rivals = [word for word, homes in vocabulary.items() if group not in homes]
        if not words or not rivals:
            texts.append([])
            continue
        place = words[generator.integers(len(words))]
        drawn = generator.permutation(len(rivals))[:num_candidates]
        texts.append([text[: place.start()] + _in_case(rivals[i], place[0]) + text[place.end() :] for i in drawn])
    return texts


def _in_case(word: str, like: str) -> str:
    return word.capitalize() if like[0].isupper() else word


def _language_model_losses(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    prompts: Sequence[str],
    completions: Sequence[str],
    batch_size: int,
) -> np.ndarray:
    """Sum of the cross-entropy `(texts,)` of each completion's tokens under the language model alone, in nats."""
    collator, losses = BrainDataCollator(processor, with_brain=False), np.empty(len(completions))
    was_training = model.training
    model.eval()
    order = np.argsort([len(prompt) + len(text) for prompt, text in zip(prompts, completions, strict=True)])
    for chosen in np.split(order, range(batch_size, len(order), batch_size)):
        batch = collator([{"sample_id": i, "prompt": prompts[i], "completion": completions[i]} for i in chosen])
        inputs = {name: batch[name].to(model.device) for name in _TEXT_INPUTS}
        found, rows = model.token_losses(**inputs)
        sums = torch.zeros(len(chosen), dtype=torch.float64, device=found.device)
        losses[chosen] = sums.index_add_(0, rows, found.double()).cpu().numpy()
    model.train(was_training)
    return losses


def _with_completions(rows: "Dataset", completions: list[str]) -> "Dataset":
    texts = [
        text.replace(old.strip(), new.strip(), 1)
        for text, old, new in zip(rows["text"], rows["completion"], completions, strict=True)
    ]
    changed = rows.remove_columns(["completion", "text"]).add_column("completion", completions)
    return changed.add_column("text", texts).with_format(rows.format["type"], **rows.format["format_kwargs"])


def planted_effects(true: Sequence[Sample], planted: Sequence[Sample]) -> tuple[Effects, np.ndarray]:
    """
    How much more than another group's brain the own brain speaks for the true text against the planted one.

    With the preference `P(brain) = NLL(planted | brain) - NLL(true | brain)`, sums over tokens, the gain is `P(own) -
    mean P(other)`, and a win is `P(own) > P(other)`.

    Args:
        true (`Sequence[Sample]`), planted (`Sequence[Sample]`):
            Samples of the same rows under the same permutations, by `evaluate` with equal arguments.

    Returns:
        `tuple[Effects, np.ndarray]`: The effects in nats, and `P` of the language model alone `(samples,)`: how
        unexpected the planted text is, compared with the true one.

    Raises:
        ValueError: If the two are not of the same rows.
    """
    if [sample["sample_id"] for sample in true] != [sample["sample_id"] for sample in planted]:
        raise ValueError(
            f"`true` and `planted` must hold the same samples in the same order; found {len(true)} and "
            f"{len(planted)}. Evaluate the splits of one call of `plant_words`."
        )
    tokens = [np.array([sample["num_tokens"] for sample in samples]) for samples in (planted, true)]

    def preference(arm: str) -> np.ndarray:
        return arm_losses(planted, arm) * tokens[0] - arm_losses(true, arm) * tokens[1]

    groups = [sample["group"] for sample in true]
    own, others = -preference("brain")[0], -preference("permuted")
    effects = Effects.from_losses(own, others, groups, "nats", permuted_control_brains(true))
    return effects, preference("no_brain")[0]


def planted_curve(samples: Mapping[str, Sequence[Sample]], num_bins: int = 6, seed: int = 0) -> Curve:
    """
    How the own brain speaks for the true word, by how unexpected the planted one is.

    Args:
        samples (`Mapping[str, Sequence[Sample]]`):
            For `true` and every planted split of [`plant_words`] the samples of its evaluation.
        num_bins (`int`, *optional*, defaults to 6):
            Bins of equally many pairs of a true and a planted text.
        seed (`int`, *optional*, defaults to 0):
            Seed of bootstrap and sign flips.
    """
    found = [planted_effects(samples[TRUE], rows) for name, rows in samples.items() if name != TRUE]
    effects = Effects.join([effects for effects, _ in found])
    surprise = np.concatenate([x for _, x in found])
    bins = equal_count_bins(surprise, num_bins)
    return make_curve(effects, surprise, bins, "surprise of the planted word", "nat", seed=seed)


def planted_section(curve: Curve) -> Section:
    """The curve as a piece of evidence."""
    first, last = curve.rows[0], curve.rows[-1]
    text = (
        "One word of each text was replaced, and the brain kept. Does the brain speak for the true word, beyond what "
        "the language model says, and the more so the more unexpected the planted word is? The own brain speaks for "
        f"the true text more than another group's in {first['accuracy']:.3f} of pairs where the planted word is least "
        f"unexpected ({first['x']:+.1f} nats against the true one) and in {last['accuracy']:.3f} where it is most "
        f"({last['x']:+.1f}). {curve.describe_trend()} The participant perceived the true word only: the experiment "
        "is on the decoder, and shows nothing of how a brain responds to an unexpected word."
    )
    return curve.section(NAME, "Planted words", text)


__all__ = ["plant_words", "planted_curve", "planted_effects", "planted_section"]
