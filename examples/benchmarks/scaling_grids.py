# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The grids of the papers' analyses on planted brains: decoder capacity, training-set and language-model size, transfer.

    python examples/benchmarks/scaling_grids.py --output_dir runs/grids

Synthetic people read sentences of a grammar, with a signal in their brains that leaves room for better and for worse.
Decoders of the recipe of `demo.py` differ from one in the middle by one thing each: the width of what the encoder
says, how many passages they learnt from, or the language model (three Llamas that are taught the grammar on the spot,
from sentences that no test holds). Other people, with tunings of their own or with shared ones, and people who read
another corpus, make the matrices of transfer. Each cell stands beside a wrong brain, all beside a decoder of people
who have noise for a brain; trends and tests are those of `analyze.py`. What is there already is not done again. Ends
with tables, also written to `tables.md` and `tables.json`.
"""

import argparse
import json
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from datasets import DatasetDict, disable_progress_bars
from transformers import AutoTokenizer, LlamaForCausalLM, set_seed
from transformers.utils import logging


sys.path.append(str(Path(__file__).resolve().parents[1]))
import analyze
from small_recipe import plain_sentences, train_decoder, train_language_model

from dataset_builders import prepare_corpus
from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from trainers.analyses import brain_effects
from trainers.data.brain_format import with_brain_arrays
from trainers.data.corpora import keep_groups, keep_subjects
from trainers.evaluation.evaluate import evaluate
from trainers.loading import fit_statistics
from trainers.reports.report import REPORT_FILE
from trainers.reports.sections import Section
from trainers.statistics.resampling import cluster_bootstrap_ci


TASK = "sentence"
#: Corpora: who reads which sentences (a seed), and how alike their tunings are. Noise has no signal.
CORPORA: dict[str, dict[str, Any]] = {
    "strangers": {"corpus_seed": 0, "alignment": 0.0},
    "alike": {"corpus_seed": 0, "alignment": 0.8},
    "other-strangers": {"corpus_seed": 2, "alignment": 0.0},
    "other-alike": {"corpus_seed": 2, "alignment": 0.8},
    "noise": {"corpus_seed": 0, "signal_to_noise": 0.0},
}
PLAIN_TEXT_SEED = 1
NUM_COMPONENTS = (4, 24, 60)  # the language model in the middle has 64 dimensions
SHARES_OF_TRAINING = (8, 4, 2, 1)
LANGUAGE_MODELS = {
    "small": {"hidden_size": 32, "num_hidden_layers": 3},
    "medium": {"hidden_size": 64, "num_hidden_layers": 3},
    "large": {"hidden_size": 96, "num_hidden_layers": 4},
}


@dataclass(frozen=True)
class Decoder:
    """What one decoder is made of; the defaults are the middle of the grids. `train_share` is one in so many."""

    corpus: str = "strangers"
    subject: str = "sub-01"
    num_components: int = NUM_COMPONENTS[1]
    train_share: int = 1
    language_model: str = "medium"
    seed: int = 0

    @property
    def name(self) -> str:
        return "_".join(str(value) for value in asdict(self).values())


#: Kind of curve, as `analyze.py` names it → the decoders along it.
CURVES = {
    "decoder_capacity": [Decoder(num_components=number) for number in NUM_COMPONENTS],
    "training_set_size": [Decoder(train_share=share) for share in SHARES_OF_TRAINING],
    "language_model_size": [Decoder(language_model=name) for name in LANGUAGE_MODELS],
}
#: Title of a matrix → what is carried over, and who (corpus, person) is trained on and tested.
MATRICES = {
    "People with tunings of their own": ("subjects", [("strangers", "sub-01"), ("strangers", "sub-02")]),
    "People with shared tunings": ("subjects", [("alike", "sub-01"), ("alike", "sub-02")]),
    "Corpora of people with tunings of their own": (
        "corpora", [("strangers", "sub-01"), ("other-strangers", "sub-01")]),
    "Corpora of people with shared tunings": ("corpora", [("alike", "sub-01"), ("other-alike", "sub-01")]),
}  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write, and to go on from")
    parser.add_argument("--signal_to_noise", type=float, default=1.0, help="of the planted brains, as variances")
    parser.add_argument(
        "--num_passages", type=int, default=150, help="passages of a corpus, 70 or more; a third is tested"
    )
    parser.add_argument("--num_plain_passages", type=int, default=500, help="passages of plain text")
    parser.add_argument("--text_steps", type=int, default=200, help="training steps of each language model")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="trainings of every decoder, pooled")
    return parser.parse_args()


class Bench:
    """Corpora, plain text and language models of one folder, made when they are first asked for."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.folder = args, args.output_dir.resolve()
        self.corpora = {
            name: self._prepare(
                num_passages=args.num_passages, num_subjects=2, num_folds=3,
                **{"signal_to_noise": args.signal_to_noise} | options,
            )
            for name, options in CORPORA.items()
        }  # fmt: skip
        splits = [builder.as_dataset_dict() for builder in self.corpora.values()]
        require_no_common_text(splits)
        plain = self._prepare(num_passages=args.num_plain_passages, corpus_seed=PLAIN_TEXT_SEED, signal_to_noise=0.0)
        self.sentences = plain_sentences([rows["text"] for rows in plain.as_dataset_dict().values()], splits)

    def _prepare(self, **options: Any) -> Any:
        return prepare_corpus("synthetic_sentences", cache_dir=self.folder / "corpora", **options)

    def splits(self, corpus: str, subject: str) -> DatasetDict:
        return with_brain_arrays(keep_subjects(self.corpora[corpus].as_dataset_dict(), [subject]))

    def num_groups(self, decoder: Decoder) -> int:
        """Passages that a decoder is trained on."""
        train = self.splits(decoder.corpus, decoder.subject)["train"]
        return len(set(train["group"])) // decoder.train_share

    def language_model(self, name: str) -> Path:
        folder = self.folder / "language-models" / name
        if not (folder / "tokenizer.json").is_file():
            set_seed(0)
            train_language_model(self.sentences, folder, self.args.text_steps, **LANGUAGE_MODELS[name])
        return folder

    def train(self, decoder: Decoder) -> Path:
        folder = self.folder / "decoders" / decoder.name
        if not (folder / "model.safetensors").is_file():
            started = time.time()
            splits = self.splits(decoder.corpus, decoder.subject)
            splits["train"] = keep_groups(splits["train"], self.num_groups(decoder))
            text_model = self.language_model(decoder.language_model)
            set_seed(decoder.seed)
            train_decoder(
                splits, self.sentences, text_model, folder,
                num_components=decoder.num_components, seed=decoder.seed,
            )  # fmt: skip
            print(f"{decoder.name}: trained in {time.time() - started:.0f} s", flush=True)
        return folder

    def evaluate(self, decoder: Decoder, corpus: str, subject: str) -> Path:
        """The report of a decoder on the held-out passages of a person; all arms, one task, no texts."""
        folder = self.train(decoder)
        output = folder / "evaluation" / f"{corpus}_{subject}"
        if not (output / REPORT_FILE).is_file():
            model, processor = (kind.from_pretrained(folder) for kind in (BrainLlamaForCausalLM, BrainLlamaProcessor))
            splits = self.splits(corpus, subject)
            if (corpus, subject) != (decoder.corpus, decoder.subject):
                # Means and deviations of somebody else's features, from their training brains; no text is seen.
                fit_statistics(processor.feature_extractor, splits["train"])
            report = evaluate(
                model, processor, splits, corpus=asdict(self.corpora[corpus].corpus_info), tasks=[TASK],
                generate=False, max_identification=0, batch_size=64, checkpoint=decoder.name, progress=False,
            )  # fmt: skip
            report.save(output, allow=["ridge", "deaf_twin"])  # a grid compares decoders with each other
        return output


def require_no_common_text(corpora: Sequence[DatasetDict]) -> None:
    """Between corpora, too, no sentence may be trained on and tested: the grammar could write one twice."""
    trained, tested = ({text for splits in corpora for text in splits[name]["text"]} for name in ("train", "test"))
    if common := sorted(trained & tested):
        raise ValueError(
            f"`num_passages`: {len(common)} sentences are trained on in one corpus and tested in another (first: "
            f"'{common[0]}'). Choose another number of passages."
        )


def run_curve(bench: Bench, name: str, seeds: Sequence[int]) -> tuple[Section, list[dict[str, Any]]]:
    """The section that `analyze.py` writes, and a row for each size."""
    reports: dict[float, list[Path]] = {}
    labels = {}
    for middle in CURVES[name]:
        for decoder in (replace(middle, seed=seed) for seed in seeds):
            report = bench.evaluate(decoder, decoder.corpus, decoder.subject)
            parts = analyze.KINDS[name][3]
            size = analyze.count_parameters_of(bench.train(decoder), parts) if parts else bench.num_groups(decoder)
            reports.setdefault(size, []).append(report)
        labels[size] = f"{size:,.0f} {analyze.KINDS[name][1]}s"
        if name == "language_model_size":
            labels[size] += f", perplexity {held_out_perplexity(bench, middle.language_model):.2f}"
    pairs = [f"{size}={report}" for size, found in reports.items() for report in found]
    (section,) = analyze.scaling(Namespace(analysis=name, reports=pairs, task=TASK, seed=0))
    return section, [{"cell": labels[size]} | measure(reports[size]) for size in sorted(reports)]


@torch.inference_mode()
def held_out_perplexity(bench: Bench, name: str) -> float:
    """`exp` of the mean loss of a token of the test sentences, without any brain."""
    folder = bench.language_model(name)
    model, tokenizer = LlamaForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    texts = sorted(set(bench.splits("strangers", "sub-01")["test"]["text"]))
    batch = tokenizer([text + tokenizer.eos_token for text in texts], padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.exp().item()


def run_matrix(bench: Bench, title: str, seeds: Sequence[int]) -> tuple[Section, list[dict[str, Any]]]:
    """The same of a matrix, a row for each pair of people."""
    over, people = MATRICES[title]
    names = {person: person[1] if over == "subjects" else person[0] for person in people}
    reports = {
        (names[trained], names[tested]): [
            bench.evaluate(Decoder(*trained, seed=seed), *tested) for seed in seeds
        ]
        for trained in people for tested in people
    }  # fmt: skip
    pairs = [f"{trained}:{tested}={report}" for (trained, tested), found in reports.items() for report in found]
    (section,) = analyze.transfer(Namespace(reports=pairs, task=TASK, seed=0, over=over))
    return section, [{"cell": f"{a} → {b}"} | measure(found) for (a, b), found in reports.items()]


def measure(reports: Sequence[Path]) -> dict[str, Any]:
    """Pairwise accuracy of the own brain and of a wrong one in its place, with intervals; and of each training."""
    effects = brain_effects(analyze.read_samples(reports), TASK)
    low, high = cluster_bootstrap_ci(effects.null, effects.groups.tolist())
    null = {"null_accuracy": float(effects.null.mean()), "null_low": low, "null_high": high}
    each = [float(brain_effects(analyze.read_samples([report]), TASK).wins.mean()) for report in reports]
    return effects.summary() | null | {"accuracy_of_each_seed": each}


def to_lines(title: str, text: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """A table in Markdown under its title, and what the analysis says of it."""
    lines = [f"## {title}", "", "| cell | own brain | a wrong brain | gain, nats a token | each training |"]
    lines.append("|---" * 5 + "|")
    for row in rows:
        own, null, gain = (
            f"{row[name]:.3f} [{row[low]:.3f}, {row[high]:.3f}]"
            for name, low, high in (
                ("accuracy", "accuracy_low", "accuracy_high"),
                ("null_accuracy", "null_low", "null_high"),
                ("gain", "gain_low", "gain_high"),
            )
        )
        each = ", ".join(f"{value:.3f}" for value in row["accuracy_of_each_seed"])
        lines.append(f"| {row['cell']} | {own} | {null} | {gain} | {each} |")
    return [*lines, "", text, ""]


def main() -> None:
    args = parse_arguments()
    # Matrices this small gain nothing from threads, and lose much on a busy machine.
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()
    bench = Bench(args)
    found = {analyze.KINDS[name][2]: run_curve(bench, name, args.seeds) for name in CURVES}
    found |= {title: run_matrix(bench, title, args.seeds) for title in MATRICES}
    lines, figures = [], {}
    for title, (section, rows) in found.items():
        lines += to_lines(title, section.text, rows)
        figures[title] = {"rows": rows, "section": section.to_dict()}
    decoders = [Decoder("noise", seed=seed) for seed in args.seeds]
    rows = [{"cell": "middle"} | measure([bench.evaluate(one, one.corpus, one.subject) for one in decoders])]
    lines += to_lines("Noise for a brain", "The decoder in the middle, with nothing to be found.", rows)
    figures["Noise for a brain"] = {"rows": rows}
    tables = "\n".join(lines).strip()
    (args.output_dir / "tables.md").write_text(tables + "\n", encoding="utf-8")
    (args.output_dir / "tables.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False), encoding="utf-8")
    print(tables)


if __name__ == "__main__":
    main()
