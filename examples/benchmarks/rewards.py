# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What a reward costs: CIDEr with document frequencies fixed once against counting them anew at each call.

    python examples/benchmarks/rewards.py                                      # captions drawn from a Zipf vocabulary
    python examples/benchmarks/rewards.py --captions captions_val2017.json     # COCO's, drawn again up to --images

Prints one JSON object. Both score the same completions against the same references and take turns, so that a busy
machine slows both; seconds are of the processor. The rival is CIDEr written down plainly, which counts the frequencies
of the corpus at each call. References are cut into tokens beforehand, ours cuts the completions at the call. All
scores agree to 1e-9.
"""

import argparse
import json
import math
import statistics
import time
from collections import Counter
from pathlib import Path

import numpy as np

from trainers.metrics.captions import Cider, DocumentFrequencies
from trainers.metrics.ptb_tokenization import ptb_tokenize


Tokens = list[str]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--captions", type=Path, help="captions_*.json of COCO")
    parser.add_argument("--images", type=int, default=9000, help="images of the corpus")
    parser.add_argument("--completions", type=int, default=512, help="captions of a call")
    parser.add_argument("--group", type=int, default=8, help="completions of an image")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls, of which the median is told")
    return parser.parse_args()


def read_corpus(args: argparse.Namespace, generator: np.random.Generator) -> list[list[str]]:
    """All references of each image: drawn, or COCO's, the n-th round of an image with its words in reverse order."""
    if args.captions is None:
        lengths = generator.integers(7, 15, (args.images, 5))
        return [[draw_caption(generator, length) for length in row] for row in lengths]
    images: dict[int, list[str]] = {}
    for caption in json.loads(args.captions.read_text())["annotations"]:
        images.setdefault(caption["image_id"], []).append(caption["caption"])
    known = list(images.values())
    rounds = [(known[i % len(known)], i // len(known)) for i in range(args.images)]
    return [[" ".join(text.rstrip(". ").split()[:: (-1) ** odd]) for text in texts] for texts, odd in rounds]


def draw_caption(generator: np.random.Generator, length: int) -> str:
    words = np.minimum(generator.zipf(1.3, length), 8000)
    return " ".join("".join(chr(97 + int(digit)) for digit in str(word)) for word in words)


def complete(references: list[str], generator: np.random.Generator) -> str:
    """A new caption of an image: a reference with one word dropped and two exchanged."""
    words = references[generator.integers(len(references))].rstrip(". ").split()
    words.pop(generator.integers(len(words)))
    i, j = generator.integers(len(words), size=2)
    words[i], words[j] = words[j], words[i]
    return " ".join(words)


def count(words: Tokens) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for n in range(1, 5) for i in range(len(words) - n + 1))


def recompute(completions: list[Tokens], references: list[list[Tokens]], corpus: list[list[Tokens]]) -> np.ndarray:
    """CIDEr-D, equation by equation, with the document frequencies of `corpus`."""
    frequencies = Counter(ngram for texts in corpus for ngram in set().union(*map(count, texts)))

    def weigh(words: Tokens) -> list[dict[tuple[str, ...], float]]:
        weights = [{}, {}, {}, {}]
        for ngram, times in count(words).items():
            weights[len(ngram) - 1][ngram] = times * math.log(len(corpus) / max(1, frequencies[ngram]))
        return weights

    scores = []
    for completion, texts in zip(completions, references, strict=True):
        own, total = weigh(completion), 0.0
        for text in texts:
            for mine, other in zip(own, weigh(text), strict=True):
                norm = math.hypot(*mine.values()) * math.hypot(*other.values())
                product = sum(
                    min(weight, other.get(ngram, 0.0)) * other.get(ngram, 0.0) for ngram, weight in mine.items()
                )
                penalty = math.exp(-((len(completion) - len(text)) ** 2) / 72)
                total += penalty * product / norm if norm else 0.0
        scores.append(10 * total / 4 / len(texts))
    return np.array(scores)


def main() -> None:
    args = parse_arguments()
    generator = np.random.default_rng(0)
    corpus = read_corpus(args, generator)
    tokens = {text: ptb_tokenize(text) for texts in corpus for text in texts}
    corpus_tokens = [[tokens[text] for text in texts] for texts in corpus]
    fixed = Cider(DocumentFrequencies.fit(corpus))
    seconds: dict[str, list[float]] = {"fixed": [], "recomputed": []}
    for _ in range(args.repeats):
        images = generator.choice(len(corpus), -(-args.completions // args.group), replace=False).tolist()
        places = [image for image in images for _ in range(args.group)][: args.completions]
        references = [corpus[place] for place in places]
        completions = [complete(texts, generator) for texts in references]
        start = time.process_time()
        ours = fixed(completions, references)
        seconds["fixed"].append(time.process_time() - start)
        arguments = [ptb_tokenize(text) for text in completions], [corpus_tokens[place] for place in places]
        start = time.process_time()
        theirs = recompute(*arguments, corpus_tokens)
        seconds["recomputed"].append(time.process_time() - start)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "arguments": {name: str(value) for name, value in vars(args).items()},
        "seconds_per_call": medians,
        "microseconds_per_caption": 1e6 * medians["fixed"] / args.completions,
        "ratio": medians["recomputed"] / medians["fixed"],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
