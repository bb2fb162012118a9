# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Tells a held-out story from its brain, and scores it beside its nulls.

    python examples/reconstruct_story.py --checkpoint runs/sft --dataset runs/stories --output_dir runs/sft/story

writes `reconstruction.json` (what was told and heard, with times, and all scores), `reconstruction.txt`, and the page
of evidence as `sections.json`, `sections.md` and `sections.html`; `--report` adds it to a saved report of the same
checkpoint. The word rate is fitted on the training rows of the corpus, so nothing of the true text reaches the
decoded text. The defaults search as the released code of Ye et al. (2025) does; wider, without its filters, weighing
what the brain adds, and with the past kept (cross-attention only):

    python examples/reconstruct_story.py --checkpoint runs/sft --dataset runs/stories --output_dir runs/sft/story \
        --beam_width 20 --extensions 5 --no_filters --contrast_weight 0.5 --carry
"""

import argparse
import json
from pathlib import Path

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from trainers.arguments import DataArguments
from trainers.data.corpora import load_corpus_splits
from trainers.embedders.token_embeddings import TokenEmbedder
from trainers.reports.folders import find_report, save_sections
from trainers.reports.report import EvaluationReport
from trainers.story import (
    WINDOW_METRICS,
    DecodingOptions,
    Proposals,
    Reconstruction,
    SearchOptions,
    WindowMetric,
    bert_recall,
    reconstruct_story,
    spoken_text,
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True, help="folder or Hub id of the model")
    parser.add_argument("--dataset", required=True, help="folder written by prepare_dataset.py, or Hub id of such")
    parser.add_argument("--dataset_config", help="configuration of a Hub dataset")
    parser.add_argument("--output_dir", required=True, help="folder to write")
    parser.add_argument("--report", help="folder of a saved report to which the page of evidence is added")
    parser.add_argument("--split", default="test", help="split of the story")
    parser.add_argument("--story", help="its name, where the split has several")
    parser.add_argument("--subject", help="whose brain, where several people heard it")
    parser.add_argument("--beam_width", type=int, default=3, help="hypotheses that are kept")
    parser.add_argument("--extensions", type=int, default=3, help="most continuations of one hypothesis")
    parser.add_argument("--top_k", type=int, default=200, help="likeliest tokens that are considered")
    parser.add_argument("--nucleus", type=float, default=1.0, help="probability mass of these; 1 cuts nothing")
    parser.add_argument("--no_filters", action="store_true", help="allow what the published filters bar: repeats")
    parser.add_argument("--training_vocabulary", action="store_true", help="say tokens of the training stories only")
    parser.add_argument("--contrast_weight", type=float, default=0.0, help="weight of what the brain adds to a token")
    parser.add_argument("--contrast_reference", default="none", help="contrast with no brain (none) or a mean one")
    parser.add_argument("--context_tokens", type=int, default=10, help="tokens of the past that are read")
    parser.add_argument("--carry", action="store_true", help="keep keys and values of the past; cross-attention only")
    parser.add_argument("--opening", default="", help="what the story begins after")
    parser.add_argument("--length_penalty", type=float, default=0.3, help="tokens taken off each window's rate")
    parser.add_argument("--rate_alpha", type=float, default=1.0, help="ridge penalty of the word rate")
    parser.add_argument(
        "--num_others",
        type=int,
        default=20,
        help="decoded texts of each null: another time's brain, random likelihood",
    )
    parser.add_argument("--token_encoder", help="folder or Hub id of an encoder: BERTScore recall joins the scores")
    parser.add_argument("--seed", type=int, default=0, help="seed of the nulls")
    parser.add_argument("--dtype", default="float32", help="type of the weights")
    parser.add_argument("--device", default="cpu", help="where to run, such as cuda")
    return parser.parse_args()


def choose_metrics(args: argparse.Namespace) -> dict[str, WindowMetric]:
    if args.token_encoder is None:
        return WINDOW_METRICS
    embed = TokenEmbedder.from_pretrained(args.token_encoder)
    embed.model.to(args.device)
    return WINDOW_METRICS | {f"bert_recall by {args.token_encoder}": bert_recall(embed)}


def reconstruct(args: argparse.Namespace) -> Reconstruction:
    splits = load_corpus_splits(DataArguments(dataset=args.dataset, dataset_config=args.dataset_config))
    filters = {"bar_bigrams": False, "bar_repeats": False, "bar_stop_words": 0} if args.no_filters else {}
    options = DecodingOptions(
        length_penalty=args.length_penalty,
        context_tokens=args.context_tokens,
        carry=args.carry,
        opening=args.opening,
        contrast_reference=args.contrast_reference,
        search=SearchOptions(args.beam_width, args.extensions, contrast_weight=args.contrast_weight),
        proposals=Proposals(args.top_k, args.nucleus, **filters),
        vocabulary=sorted(set(splits["train"]["completion"])) if args.training_vocabulary else None,
    )
    return reconstruct_story(
        BrainLlamaForCausalLM.from_pretrained(args.checkpoint, dtype=args.dtype).to(args.device),
        BrainLlamaProcessor.from_pretrained(args.checkpoint),
        splits,
        split=args.split,
        name=args.story,
        subject=args.subject,
        options=options,
        num_others=args.num_others,
        rate_alpha=args.rate_alpha,
        metrics=choose_metrics(args),
        seed=args.seed,
    )


def main() -> None:
    args = parse_arguments()
    # A report that cannot be read is told before the work.
    find_report(args.output_dir)
    if args.report:
        EvaluationReport.load(args.report)
    found = reconstruct(args)
    folder, section = Path(args.output_dir), found.section()
    for place in filter(None, (folder, args.report)):
        save_sections(place, [section])
    content = json.dumps(found.to_dict(), indent=2, ensure_ascii=False)
    (folder / "reconstruction.json").write_text(content, encoding="utf-8")
    texts = {"heard": found.story.words, "told": found.told, "no brain": found.no_brain}
    lines = [f"{title}: {spoken_text(words)}\n" for title, words in texts.items()]
    (folder / "reconstruction.txt").write_text("\n".join(lines), encoding="utf-8")
    print(section.text)
    for row in section.rows:
        print(
            "  ".join(f"{key} {value:.3f}" if isinstance(value, float) else str(value) for key, value in row.items())
        )


if __name__ == "__main__":
    main()
