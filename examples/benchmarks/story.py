# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Time to tell a window of a story, with the work of the past kept and with all of it read again: both in one run.

    python examples/benchmarks/story.py                                         # the script itself, in a minute
    python examples/benchmarks/story.py --shapes llama-28m --places 75 150 300  # two CPU cores, some minutes
    python examples/benchmarks/story.py --shapes llama-3.2-3b --device cuda     # one GPU with 24 GB

Prints one JSON object. Weights, brains and texts are random. Three ways tell the same windows with the same beam:
`naive` reads the whole past of every hypothesis for every token, as a decoder without a cache does; `read_anew` reads
a bounded past once a window and then one token at a time; `carry` (cross-attention only) keeps keys and values and
changes the brain's. `places` are windows into the story at which they are timed, taking turns: 300 windows of 2 s are
10 minutes. `story` is a whole story of each length, whose time must grow as the length does.
"""

import argparse
import json
import statistics
import time

import torch
from throughput import SHAPES
from transformers import LlamaConfig

from modeling_brainllm import BrainLlamaConfig, BrainLlamaForCausalLM, FrameEncoderConfig
from trainers.story import BeamSearch, Hypothesis, Proposals, SearchOptions, StoryScorer
from trainers.story.decoding import take_brains


class NaiveScorer(StoryScorer):
    """All of the past, for every token, from nothing."""

    def begin(self, contexts, features, owners=None) -> torch.Tensor:
        head = [*self.head, *self._brain_block(features)]
        heads = torch.tensor([head] * len(contexts), dtype=torch.long, device=contexts.device)
        self.ids, self.features = torch.cat([heads, contexts], dim=1), features
        return self._read_all()

    def extend(self, parents, tokens) -> torch.Tensor:
        self.ids = torch.cat([self.ids[parents], tokens[:, None]], dim=1)
        return self._read_all()

    def keep(self, parents) -> None:
        """Nothing is kept."""

    def _read_all(self) -> torch.Tensor:
        index = torch.zeros(len(self.ids), dtype=torch.long, device=self.ids.device)
        outputs = self.model(
            input_ids=self.ids, use_cache=False, brain_features=self.features, brain_index=index, logits_to_keep=1
        )
        return outputs.logits[:, -1].float().log_softmax(-1)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--shapes", choices=SHAPES, default="toy", help="sizes of the language model")
    parser.add_argument("--device", default="cpu", help="torch device")
    parser.add_argument("--places", type=int, nargs="+", default=[75, 150, 300], help="windows into the story")
    parser.add_argument("--tokens", type=int, default=5, help="tokens of a window")
    parser.add_argument("--context_tokens", type=int, default=10, help="tokens of the past that bounded ways read")
    parser.add_argument("--beam_width", type=int, default=3, help="hypotheses that are kept")
    parser.add_argument(
        "--repeats", type=int, default=3, help="timed windows of each way, of which the median is told"
    )
    return parser.parse_args()


def build(args: argparse.Namespace, interface: str) -> BrainLlamaForCausalLM:
    shapes = SHAPES[args.shapes]
    longest = args.tokens * max(args.places) + 64
    config = BrainLlamaConfig(
        text_config=LlamaConfig(**shapes["text"], pad_token_id=0, max_position_embeddings=longest),
        encoder_config=FrameEncoderConfig(num_features=256, hidden_size=256, num_frames=4),
        interface=interface,
        adapter_layers=shapes["adapter_layers"],
        dtype=torch.bfloat16 if args.device != "cpu" else torch.float32,
    )
    with torch.device(args.device):
        return BrainLlamaForCausalLM._from_config(config).eval()


def make_search(args: argparse.Namespace, model: BrainLlamaForCausalLM, way: str) -> BeamSearch:
    context = args.tokens * max(args.places) if way == "naive" else args.context_tokens
    maker = NaiveScorer if way == "naive" else StoryScorer
    scorer = maker(model, 1, context_tokens=context, carry=way == "carry")
    free = Proposals(bar_bigrams=False, bar_repeats=False, bar_stop_words=0)
    allowed = torch.ones(model.config.text_config.vocab_size, dtype=torch.bool, device=args.device)
    return BeamSearch([scorer], SearchOptions(args.beam_width), free, allowed, ())


def clock(args: argparse.Namespace) -> float:
    if args.device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def time_window(args: argparse.Namespace, model: BrainLlamaForCausalLM, features, ways: list[str], place: int) -> dict:
    """Median seconds of a window so many windows into a story, the ways taking turns."""
    past = torch.randint(10, 100, (args.tokens * place,)).tolist()
    searches = {way: make_search(args, model, way) for way in ways}
    decoded_texts = {way: search.start(1, past) for way, search in searches.items()}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for window in range(args.repeats + 1):
        for way, search in searches.items():
            brain = take_brains(features, [window % len(features.tokens)])
            start = clock(args)
            decoded_texts[way] = search.advance(decoded_texts[way], args.tokens, [brain])
            seconds[way].append(clock(args) - start)
    # The first window fills caches; a story has one of it.
    return {way: statistics.median(times[1:]) for way, times in seconds.items()}


def time_story(args: argparse.Namespace, model: BrainLlamaForCausalLM, features, way: str, length: int) -> float:
    """Seconds of a whole story of so many windows."""
    search = make_search(args, model, way)
    decoded_text: list[list[Hypothesis]] = search.start()
    start = clock(args)
    for window in range(length):
        decoded_text = search.advance(
            decoded_text, args.tokens, [take_brains(features, [window % len(features.tokens)])]
        )
    decoded_text[0][0].tokens()
    return clock(args) - start


@torch.inference_mode()
def measure(args: argparse.Namespace, interface: str) -> dict:
    torch.manual_seed(0)
    model = build(args, interface)
    values = torch.randn(16, 4, 256, device=args.device)
    features = model.model.get_brain_features(brain_values=values)
    bounded = ["read_anew"] if interface == "prefix" else ["read_anew", "carry"]
    found: dict = {"window": {}, "story": {}, "times_faster": {}}
    for place in args.places:
        seconds = time_window(args, model, features, ["naive", *bounded], place)
        found["window"][place] = seconds
        found["times_faster"][place] = {way: seconds["naive"] / seconds[way] for way in bounded}
    for way in bounded:
        seconds_of = {length: time_story(args, model, features, way, length) for length in args.places}
        longest, shortest = max(args.places), min(args.places)
        growth = seconds_of[longest] / seconds_of[shortest] / (longest / shortest)
        found["story"][way] = {"seconds": seconds_of, "growth_over_linear": growth}
    return found


def main() -> None:
    args = parse_arguments()
    result = {"arguments": vars(args), "torch": torch.__version__}
    result["device"] = torch.cuda.get_device_name() if args.device != "cpu" else "cpu"
    for interface in ("prefix", "cross_attention"):
        result[interface] = measure(args, interface)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
