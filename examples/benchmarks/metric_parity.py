# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Are our caption scores those of pycocoevalcap? Each image's first caption against the others, on all captions of COCO.

    pip install pycocoevalcap          # and a Java runtime: 8 or newer; neither is needed to use our scores
    python examples/benchmarks/metric_parity.py --captions captions_val2017.json

Prints one JSON object: on how many captions the tokens differ from Stanford's `PTBTokenizer`; of BLEU-1 to BLEU-4,
ROUGE-L and CIDEr the largest difference of any sample, and that of the corpus; of METEOR also how many samples differ,
and how far its other forms are from it: without synonyms and paraphrases, and NLTK's of 2005. The oracle's tokens come
with their hash, which a test repeats without Java.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from trainers.metrics import (
    Cider,
    DocumentFrequencies,
    Meteor,
    MeteorData,
    caption_bleu,
    caption_rouge_l,
    classic_meteor,
    meteor_from_statistics,
    ptb_tokenize,
)
from trainers.metrics.meteor_data import Paraphrases


Captions = list[list[str]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--captions", type=Path, required=True, help="captions_*.json of COCO")
    parser.add_argument("--images", type=int, help="take the first so many images; all by default")
    return parser.parse_args()


def read_captions(path: Path, num_images: int | None) -> tuple[list[str], Captions]:
    """All captions in the order of the file, and those of each image."""
    captions = json.loads(path.read_text())["annotations"]
    images: dict[int, list[str]] = {}
    for caption in captions:
        images.setdefault(caption["image_id"], []).append(caption["caption"])
    kept = dict(list(images.items())[:num_images])
    return [caption["caption"] for caption in captions if caption["image_id"] in kept], list(kept.values())


def oracle(module: str, name: str) -> Any:
    """A class of pycocoevalcap, made without arguments."""
    return getattr(import_module(f"pycocoevalcap.{module}"), name)()


def java_tokens(captions: list[str]) -> dict[str, str]:
    """Each caption's tokens, joined by spaces.

    How a caption ends ("St.", "CTH D.") depends on the line that follows, so each is followed by the same one.
    """
    numbered = {place: [{"caption": text}, {"caption": "A man"}] for place, text in enumerate(captions)}
    cut = oracle("tokenizer.ptbtokenizer", "PTBTokenizer").tokenize(numbered)
    return {text: cut[place][0] for place, text in enumerate(captions)}


def oracle_scores(scorer: Any, tokens: Captions) -> tuple[Any, np.ndarray]:
    """Score of the corpus and of each sample."""
    references = {place: texts[1:] for place, texts in enumerate(tokens)}
    predictions = {place: texts[:1] for place, texts in enumerate(tokens)}
    with redirect_stdout(sys.stderr):
        corpus, samples = scorer.compute_score(references, predictions)
    return corpus, np.array(samples)


def difference(ours: np.ndarray | Sequence[float], theirs: np.ndarray) -> dict[str, float]:
    """Means of both, and how far they are from each other."""
    gaps = np.abs(np.asarray(ours) - theirs)
    return {
        "ours": float(np.mean(ours)),
        "theirs": float(np.mean(theirs)),
        "mean": float(abs(np.mean(ours) - np.mean(theirs))),
        "largest": float(gaps.max()),
        "samples_off_by_1e-9": int((gaps > 1e-9).sum()),
    }


def compare_tokens(captions: list[str], tokens: dict[str, str]) -> dict[str, Any]:
    theirs = "\n".join(tokens[text] for text in captions)
    return {
        "captions": len(captions),
        "different": sum(" ".join(ptb_tokenize(text)) != tokens[text] for text in captions),
        "sha256_of_theirs": hashlib.sha256(theirs.encode()).hexdigest(),
    }


def compare_meteor(images: Captions, tokens: Captions) -> dict[str, Any]:
    """METEOR 1.5 against its jar, and the other forms against METEOR 1.5."""
    predictions, references = [texts[0] for texts in images], [texts[1:] for texts in images]
    corpus, samples = oracle_scores(oracle("meteor.meteor", "Meteor"), tokens)
    data = MeteorData.load()
    start = time.process_time()
    statistics = Meteor(data).statistics(predictions, references)
    seconds = time.process_time() - start
    total = float(meteor_from_statistics(statistics.sum(axis=0)))
    nothing = np.zeros(0, np.int64)
    stems_only = replace(data, synsets={}, bases={}, paraphrases=Paraphrases(nothing, nothing))
    poorer: dict[str, Callable[[], Any]] = {
        "stems_only": lambda: Meteor(stems_only)(predictions, references),
        "classic_first_reference": lambda: classic_meteor(*first_references(tokens)),
        "classic_with_synonyms": lambda: classic_meteor(*first_references(tokens), data),
    }
    return {
        "samples": difference(meteor_from_statistics(statistics), samples),
        "corpus": {"ours": total, "theirs": corpus, "difference": abs(total - corpus)},
        "microseconds_per_pair": 1e6 * seconds / sum(map(len, references)),
        "other_forms": {name: difference(score(), samples) for name, score in poorer.items()},
    }


def first_references(tokens: Captions) -> tuple[list[str], list[str]]:
    """Predictions and one reference each."""
    return [texts[0] for texts in tokens], [texts[1] for texts in tokens]


def main() -> None:
    args = parse_arguments()
    captions, images = read_captions(args.captions, args.images)
    cut = java_tokens(captions)
    tokens = [[cut[text] for text in texts] for texts in images]
    predictions, references = [texts[0] for texts in images], [texts[1:] for texts in images]
    bleu, _ = oracle_scores(oracle("bleu.bleu", "Bleu"), tokens)
    ours = caption_bleu(predictions, references)
    cider = Cider(DocumentFrequencies.fit(references))(predictions, references)
    result = {
        "images": len(images),
        "tokens": compare_tokens(captions, cut),
        "bleu": {name: abs(ours[name] - theirs) for name, theirs in zip(ours, bleu, strict=True)},
        "rouge_l": difference(
            caption_rouge_l(predictions, references), oracle_scores(oracle("rouge.rouge", "Rouge"), tokens)[1]
        ),
        "cider": difference(cider, oracle_scores(oracle("cider.cider", "Cider"), tokens)[1]),
        "meteor": compare_meteor(images, tokens),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
