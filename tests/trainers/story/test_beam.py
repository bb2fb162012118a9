# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The beam against all paths there are, its filters by hand, and its quota."""

import itertools
import math

import pytest
import torch
from testing_utils import BOS, INTERFACES, brain_inputs, save_tiny_text_model, tiny_brain_model
from transformers import PreTrainedTokenizerFast

from trainers.story.beam import BeamSearch, SearchOptions
from trainers.story.decoding import take_brains
from trainers.story.proposals import Proposals, allowed_ids, stop_word_ids
from trainers.story.scoring import StoryScorer


FREE = Proposals(bar_bigrams=False, bar_repeats=False, bar_stop_words=0)
SAYABLE = (5, 20, 33)
SIZES = (2, 0, 2)


@pytest.fixture(scope="module", params=INTERFACES)
def model_and_brains(request, tmp_path_factory):
    model = (
        tiny_brain_model(
            save_tiny_text_model(tmp_path_factory.mktemp("text_model")), request.param, "frames", adapter_layers=(0, 2)
        )
        .eval()
        .double()
    )
    with torch.inference_mode():
        return model, model.model.get_brain_features(**brain_inputs("frames", brains=len(SIZES)))


def few(tokens=SAYABLE) -> torch.Tensor:
    return torch.zeros(99, dtype=torch.bool).scatter(0, torch.tensor(tokens), True)


def search(model, options, proposals=FREE, stop_ids=(), allowed=SAYABLE, num_scorers=1, context=3) -> BeamSearch:
    scorers = [StoryScorer(model, BOS, context_tokens=context) for _ in range(num_scorers)]
    return BeamSearch(scorers, options, proposals, few(allowed), stop_ids)


def path_scores(model, features, paths: torch.Tensor, reference: bool, context: int = 3) -> torch.Tensor:
    """Sum over the tokens of each path, one forward pass a token, under the brain of its window or none."""
    scores, said, config, same = torch.zeros(len(paths)).double(), 0, model.config, torch.arange(len(paths))
    for window, size in enumerate(SIZES):
        for number in range(size):
            head, inputs = [BOS], {}
            if not reference:
                index = torch.zeros(len(paths), dtype=torch.long)
                inputs = {"brain_features": take_brains(features, [window]), "brain_index": index}
                if config.interface == "prefix":
                    block = [config.brain_token_id] * config.num_brain_tokens
                    head = [BOS, config.brain_start_token_id, *block, config.brain_end_token_id]
            text = paths[:, max(said - context, 0) : said + number]
            ids = torch.cat([torch.tensor([head] * len(paths)), text], dim=1)
            log_probs = model(input_ids=ids, use_cache=False, **inputs).logits[:, -1].log_softmax(-1)
            scores += log_probs[same, paths[:, said + number]]
        said += size
    return scores


class TestBeam:
    @pytest.mark.parametrize("weight", [0.0, 0.7])
    @torch.inference_mode()
    def test_wide_enough_equals_brute_force(self, model_and_brains, weight):
        model, features = model_and_brains
        options = SearchOptions(beam_width=81, extensions=81, score_tokens=None, contrast_weight=weight)
        beam = search(model, options, num_scorers=1 + (weight > 0))
        decoded_texts = beam.start()
        for window, size in enumerate(SIZES):
            brain = take_brains(features, [window])
            decoded_texts = beam.advance(decoded_texts, size, [brain, None][: 1 + (weight > 0)])
        found = {tuple(h.tokens()): sum(h.scores) for h in decoded_texts[0]}
        paths = torch.tensor(list(itertools.product(SAYABLE, repeat=sum(SIZES))))
        own, text = (path_scores(model, features, paths, reference) for reference in (False, True))
        scores = (own + weight * (own - text)).tolist()
        truth = {tuple(path): score for path, score in zip(paths.tolist(), scores, strict=True)}
        # The hypothesis of rank r of B goes on in ceil(81 (B - r) / B) >= 3 ways, so that all 3^4 paths survive.
        assert list(found) == sorted(truth, key=truth.get, reverse=True)
        assert max(abs(found[path] - truth[path]) for path in truth) < 1e-5

    @torch.inference_mode()
    def test_tellings_side_by_side_equal_tellings_alone(self, model_and_brains):
        model, features = model_and_brains
        options = SearchOptions(beam_width=2, extensions=2)
        beam, control_brains = search(model, options), [[0, 1, 2], [2, 0, 1], [1, 1, 1]]
        together = beam.start(3)
        for window, size in enumerate(SIZES):
            brains = take_brains(features, [row[window] for row in control_brains])
            together = beam.advance(together, size, [brains])
        for row, decoded_text in zip(control_brains, together, strict=True):
            alone = search(model, options)
            hypotheses = alone.start()
            for number, size in zip(row, SIZES, strict=True):
                hypotheses = alone.advance(hypotheses, size, [take_brains(features, [number])])
            assert [h.tokens() for h in decoded_text] == [h.tokens() for h in hypotheses[0]]

    def test_quota_and_moving_score_by_hand(self):
        """Ranks 0, 1, 2 of three may go on in 3, 2 and 1 ways; old scores fall out of the sum."""

        class Table:
            """Next-token log-probabilities from a list, in place of a model."""

            context_tokens = 1

        beam = BeamSearch([Table()], SearchOptions(beam_width=9, extensions=3, score_tokens=1), FREE, few(), ())
        start = beam.start()[0][0]
        hypotheses = [beam._follow(beam._follow(start, 5, -9.0), 5, score) for score in (-1.0, -1.5, -2.0)]
        assert [h.scores for h in hypotheses] == [(-1.0,), (-1.5,), (-2.0,)]
        log_probs = torch.full((3, 99), -torch.inf)
        log_probs[:, list(SAYABLE)] = torch.tensor([0.5, 0.3, 0.2]).log()
        (chosen,) = beam._select([hypotheses], [log_probs])
        assert [sum(1 for row, _, _ in chosen if row == rank) for rank in range(3)] == [3, 2, 1]
        assert chosen[0][:2] == (0, 5)
        assert chosen[0][2] == pytest.approx(math.log(0.5))
        assert chosen[1][:2] == (1, 5)  # -1.5 + log .5 beats -1.0 + log .3

    @torch.inference_mode()
    def test_nothing_left(self, model_and_brains):
        model, features = model_and_brains
        beam = search(model, SearchOptions(), Proposals())
        with pytest.raises(ValueError, match=r"No token is left after \(\d+, \d+, \d+\): all 200"):
            beam.advance(beam.start(), 4, [take_brains(features, [0])])

    def test_refusals(self):
        for wrong in ({"beam_width": 0}, {"extensions": 0}, {"contrast_weight": -1}):
            with pytest.raises(ValueError, match="at least 1, and no negative weight"):
                SearchOptions(**wrong)
        with pytest.raises(ValueError, match="or None for all"):
            SearchOptions(score_tokens=-1)


class TestProposals:
    def test_barred_by_hand(self):
        stop_ids, recent = {1, 2}, (7, 1, 8, 2, 9, 5, 1, 6, 2, 4)
        no_filter = FREE.blocked(recent, stop_ids)
        bigrams = Proposals(bar_repeats=False, bar_stop_words=0).blocked((*recent, 1), stop_ids)
        repeats = Proposals(bar_bigrams=False, bar_stop_words=0).blocked(recent, stop_ids)
        stops = Proposals(bar_bigrams=False, bar_repeats=False).blocked(recent, stop_ids)
        assert no_filter == set()
        assert bigrams == {8, 6}  # what followed 1 within the last ten
        assert repeats == {7, 8, 9, 5, 6, 4}
        assert stops == {2}  # 1 is farther back than three
        assert Proposals(context=3, bar_bigrams=False, bar_stop_words=0).blocked(recent, stop_ids) == {6, 4}
        assert Proposals().blocked((), stop_ids) == set()

    def test_nucleus_by_hand(self):
        log_probs = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.05, 0.05, 0.0, 0.9]]).log()
        chosen = Proposals(nucleus=0.8).choose(log_probs).tolist()
        assert chosen == [[True, True, False, False], [False, False, False, True]]
        assert Proposals(top_k=3).choose(log_probs).tolist() == [[True, True, True, False], [True, True, False, True]]

    def test_refusal(self):
        for wrong in ({"top_k": 0}, {"nucleus": 0.0}, {"nucleus": 1.1}, {"context": -1}, {"bar_stop_words": -1}):
            with pytest.raises(ValueError, match="expected `top_k` of at least 1"):
                Proposals(**wrong)

    def test_words_of_a_tokenizer(self, text_model):
        tokenizer = PreTrainedTokenizerFast.from_pretrained(text_model)
        names = {tokenizer.convert_ids_to_tokens(index) for index in stop_word_ids(tokenizer)}
        assert names == {"the", "is", "was", "and", "very"}
        allowed = allowed_ids(tokenizer, None, len(tokenizer))
        never = tokenizer.convert_ids_to_tokens((~allowed).nonzero()[:, 0].tolist())
        assert never == ["<unk>", "<s>", "</s>"]
        heard = allowed_ids(tokenizer, ["the cat", "cat unheard"], len(tokenizer))
        assert tokenizer.convert_ids_to_tokens(heard.nonzero()[:, 0].tolist()) == ["the", "cat"]
