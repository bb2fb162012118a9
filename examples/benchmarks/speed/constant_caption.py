# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Row 12: the search for the best constant caption of each score, and every caption scored on every image.

    python examples/benchmarks/speed/constant_caption.py --captions captions_val2017.json    # COCO's annotations

Prints one JSON object: whether both searches find the same captions, CPU seconds before and after in turns. The whole
report is timed by `examples/benchmarks/report_time.py`.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measuring import in_turns, module_at


sys.path.insert(0, str(Path(__file__).parents[1]))
from report_time import read_images

from trainers.metrics import Cider, DocumentFrequencies, best_constant_captions


def count(references: list[list[str]], captions: list[str]) -> dict[str, int]:
    """Pairs of caption and reference that are compared one by one to score every caption on every image."""
    pairs = 0
    similarity = Cider._similarity

    def counted(self, texts, own, others):
        nonlocal pairs
        pairs += len(own)
        return similarity(self, texts, own, others)

    scorer, found = Cider(DocumentFrequencies.fit(references)), {}
    Cider._similarity = counted
    try:
        for name, score in (("before", partial(by_pairs, scorer)), ("after", scorer.matrix)):
            pairs = 0
            score(captions, references)
            found[f"pairs {name}"] = pairs
    finally:
        Cider._similarity = similarity
    return found


def by_pairs(scorer: Cider, captions: list[str], references: list[list[str]]) -> np.ndarray:
    return np.stack([scorer([caption] * len(references), references) for caption in captions], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--captions", help="references of images, such as COCO's captions_val2017.json")
    parser.add_argument("--images", type=int, default=1000, help="images")
    parser.add_argument("--repeats", type=int, default=1, help="turns, of which the median is told")
    parser.add_argument("--seed", type=int, default=0, help="seed of the grammar, where no captions are given")
    args = parser.parse_args()
    torch.set_num_threads(1)
    images = list(read_images(args).values())
    captions, references = [texts[0] for texts in images], [texts[1:] for texts in images]
    former, told = module_at("trainers/metrics/baselines.py"), {}

    def before() -> None:
        for metric in ("cider", "bleu_1", "bleu_2", "bleu_3", "bleu_4"):
            told.setdefault("before", {})[metric] = former.best_constant_caption(references, metric)

    def after() -> None:
        told["after"] = best_constant_captions(references)

    search = in_turns(args.repeats, before=before, after=after)
    gallery = captions[:256], references[:256]
    scorer = Cider(DocumentFrequencies.fit(references))
    matrix = in_turns(args.repeats, before=partial(by_pairs, scorer, *gallery), after=partial(scorer.matrix, *gallery))
    difference = float(abs(by_pairs(scorer, *gallery) - scorer.matrix(*gallery)).max())
    found = {
        "search": search | {"same captions": told["before"] == told["after"], "captions": told["after"]},
        "every caption on every image": matrix | {"difference": difference} | count(*gallery[::-1]),
    }
    for row in found.values():
        row["times faster"] = row["before"] / row["after"]
    print(json.dumps({"arguments": vars(args), **found}, indent=2))


if __name__ == "__main__":
    main()
