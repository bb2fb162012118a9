# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Time of a whole report on captions, without the model's own generation, and where it goes.

    python examples/benchmarks/report_time.py --captions captions_val2017.json    # COCO's annotations
    python examples/benchmarks/report_time.py                                     # captions from a small grammar

Prints one JSON object. The table has as many images and arms as a report on a test set of NSD: people's first captions
stand for the model's, kept for some images and handed to others for the rest, and are scored on the other captions.
`metrics` is what scores captions (arms, baselines, ceiling, identification), `resampling` what draws intervals and
tests from these scores; each in seconds of the clock and of the processor, which on a busy machine is the fairer one.
"""

import argparse
import functools
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trainers.evaluation.caption_arms import MANDATORY_ARMS, OPTIONAL_ARMS
from trainers.evaluation.predictions import read_references
from trainers.metrics.captions import DocumentFrequencies
from trainers.reports import report as reports
from trainers.scoring import captions
from trainers.scoring.rules import CAPTION_RULES


#: Arm → share of images whose caption is kept; the rest get that of another image.
KEPT = dict.fromkeys((*MANDATORY_ARMS, *OPTIONAL_ARMS), 0.0) | {"brain": 0.5, "other_subject_same_stimulus": 0.4}
STAGES = {
    "score_captions": "metrics",
    "arm_scores": "resampling",
    "compare": "resampling",
}
SPLIT = {
    "corpus": "benchmark", "policy": "official", "fold": 0, "num_folds": 1, "sizes": {"test": 0}, "leaks": [],
    "evaluated": "test",
}  # fmt: skip
PROTOCOL = {"name": None}
GRAMMAR = (
    ("a", "the", "one", "two", "some", "a pair of"),
    ("small", "large", "red", "white", "old", "young", "wooden", "happy", "striped", "wet"),
    (
        "man",
        "woman",
        "dog",
        "cat",
        "train",
        "giraffe",
        "boat",
        "clock",
        "pizza",
        "zebra",
        "bus",
        "bear",
        "kite",
        "cow",
    ),
    ("standing", "sitting", "waiting", "shown", "resting", "seen", "pictured"),
    ("on", "near", "beside", "in front of", "behind", "next to", "under"),
    ("a table", "the road", "a lake", "tall trees", "a fence", "the beach", "a building", "a field", "the sea"),
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--captions", help="references of images, such as COCO's captions_val2017.json")
    parser.add_argument("--images", type=int, default=1000, help="images, each with a caption of every arm")
    parser.add_argument("--num_resamples", type=int, default=1001, help="resamples; permutations are one fewer")
    parser.add_argument("--seed", type=int, default=0, help="seed of the table and of all draws")
    return parser.parse_args()


def read_images(args: argparse.Namespace) -> dict[str, list[str]]:
    """Captions of so many images, two of each at least."""
    if args.captions:
        found = {image: texts for image, texts in read_references(args.captions).items() if len(texts) > 1}
        return dict(list(found.items())[: args.images])
    generator = np.random.default_rng(args.seed)
    images = {}
    for image in range(args.images):
        scene = [int(generator.integers(len(words))) for words in GRAMMAR]
        images[str(image)] = [_say(scene, generator) for _ in range(5)]
    return images


def _say(scene: list[int], generator: np.random.Generator) -> str:
    """A caption of a scene, some of whose words are another's."""
    strange = generator.random(len(scene)) < 0.3
    words = [
        options[int(generator.integers(len(options)))] if other else options[place]
        for options, place, other in zip(GRAMMAR, scene, strange, strict=True)
    ]
    return " ".join(words) + "."


def make_samples(images: dict[str, list[str]], seed: int) -> list[dict]:
    """One row per image, with a caption of every arm."""
    firsts = [texts[0] for texts in images.values()]
    arms = {}
    for number, (arm, kept) in enumerate(KEPT.items()):
        generator = np.random.default_rng((seed, number))
        others = generator.permutation(len(firsts))
        arms[arm] = [text if generator.random() < kept else firsts[others[i]] for i, text in enumerate(firsts)]
    return [
        {
            "task": "caption", "sample_id": image, "subject": "one", "group": image, "brain_id": image,
            "references": texts[1:],
            "texts": {arm: captions[i] for arm, captions in arms.items()}
        }
        for i, (image, texts) in enumerate(images.items())
    ]  # fmt: skip


class Stopwatch:
    """Seconds of each function that the report calls, by the clock and by the processor."""

    def __init__(self):
        self.seconds: dict[str, dict[str, float]] = {}

    def measure(self, name: str, function: Callable) -> Callable:
        @functools.wraps(function)
        def measured(*arguments, **options):
            clock, processor = time.perf_counter(), time.process_time()
            result = function(*arguments, **options)
            spent = {"clock": time.perf_counter() - clock, "processor": time.process_time() - processor}
            self.seconds[name] = spent
            return result

        return measured

    def total(self, stage: str) -> dict[str, float]:
        rows = [self.seconds[name] for name, of in STAGES.items() if of == stage]
        return {key: sum(row[key] for row in rows) for key in rows[0]}


def main() -> None:
    args = parse_arguments()
    samples, watch = make_samples(read_images(args), args.seed), Stopwatch()
    for name in STAGES:
        module = reports if hasattr(reports, name) else captions
        setattr(module, name, watch.measure(name, getattr(module, name)))
    settings = {"seed": args.seed, "num_resamples": args.num_resamples}
    conditions = {"split": SPLIT, "protocol": PROTOCOL, "parameters": {}, "versions": {}, "fingerprint": {}}

    def write_report() -> None:
        frequencies = DocumentFrequencies.fit(captions.references_of_images(samples))
        scored = captions.score_captions(samples, captions.CaptionScorer(frequencies), seed=args.seed)
        rules = {"caption": CAPTION_RULES}
        report = reports.EvaluationReport.from_samples(scored, rules=rules, settings=settings, **conditions)
        with tempfile.TemporaryDirectory() as folder:
            # There are no brains, hence nothing that ridge regression could be fitted to.
            watch.measure("save", report.save)(Path(folder), allow=["retrieval", "ridge"])

    watch.measure("whole", write_report)()
    result = {
        "arguments": vars(args),
        "images": len(samples),
        "arms": len(KEPT),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "seconds": watch.seconds | {stage: watch.total(stage) for stage in ("metrics", "resampling")},
    }
    metrics, resampling = (result["seconds"][stage]["processor"] for stage in ("metrics", "resampling"))
    print(json.dumps(result | {"resampling_over_metrics": resampling / metrics}, indent=2))


if __name__ == "__main__":
    main()
