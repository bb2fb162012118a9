# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Cached scores against scores from nothing: both interfaces, with the past read anew, and with the past kept."""

import pytest
import torch
from testing_utils import BOS, INTERFACES, brain_inputs, save_tiny_text_model, tiny_brain_model

from trainers.story.decoding import take_brains
from trainers.story.scoring import StoryScorer


TEXT = torch.randint(3, 99, (2, 40), generator=torch.Generator().manual_seed(5))
SIZES = (3, 1, 4, 2)  # tokens of each window


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    def build(interface: str, **text):
        folder = save_tiny_text_model(tmp_path_factory.mktemp("text_model"), **text)
        model = tiny_brain_model(folder, interface, "frames", adapter_layers=(0,) if text else (0, 2))
        model = model.eval().double()  # logits of a random model are large: float32 alone would cost 1e-5
        features = model.model.get_brain_features(**brain_inputs("frames", brains=len(SIZES)))
        return model, features

    return build


def told(scorer: StoryScorer, features, rows: torch.Tensor = TEXT) -> torch.Tensor:
    """Log-probabilities `[rows, all tokens, vocabulary]` of a text that is read window by window."""
    found, said, same = [], 0, torch.arange(len(rows))
    for window, size in enumerate(SIZES):
        brain = None if features is None else take_brains(features, [window])
        found.append(scorer.begin(rows[:, max(said - 50, 0) : said], brain))
        for _ in range(size - 1):
            found.append(scorer.extend(same, rows[:, said]))
            said += 1
        scorer.keep(same)
        said += 1
    return torch.stack(found, dim=1)


def from_nothing(model, features, context: int) -> torch.Tensor:
    """The same by one whole forward pass for each token, over the bounded context of its window."""
    found, said = [], 0
    for window, size in enumerate(SIZES):
        brain = None if features is None else take_brains(features, [window])
        config, head = model.config, [BOS]
        if config.interface == "prefix" and brain is not None:
            block = [config.brain_token_id] * config.num_brain_tokens
            head = [BOS, config.brain_start_token_id, *block, config.brain_end_token_id]
        for number in range(size):
            text = TEXT[:, max(said - context, 0) : said + number]
            ids = torch.cat([torch.tensor([head] * 2), text], dim=1)
            inputs = (
                {} if brain is None else {"brain_features": brain, "brain_index": torch.zeros(2, dtype=torch.long)}
            )
            found.append(model(input_ids=ids, use_cache=False, **inputs).logits[:, -1].float().log_softmax(-1))
        said += size
    return torch.stack(found, dim=1)


def each_under_its_own_brain(model, features) -> torch.Tensor:
    """One pass without a cache in which each position reads the brain of the window that read its token."""
    ids = torch.cat([torch.full((2, 1), BOS), TEXT[:, : sum(SIZES) - 1]], dim=1)
    # The first token and those of a window but its last are read in it; the last waits for the next window.
    window = torch.tensor([number for number, size in enumerate(SIZES) for _ in range(size)])
    length, brains, core = ids.shape[1], features.tokens.shape[1], model.model
    hidden = core.language_model.embed_tokens(ids)
    positions = torch.arange(length)[None]
    causal = torch.full((length, length), -torch.inf, dtype=hidden.dtype).triu(1)[None, None]
    owner = torch.arange(len(SIZES)).repeat_interleave(brains)
    visible = torch.zeros(length, len(owner), dtype=hidden.dtype).masked_fill(
        owner[None] != window[:, None], -torch.inf
    )[None, None]
    rotary = core.language_model.rotary_emb(hidden, position_ids=positions)
    readers = zip(core.brain_interface.adapters, features.keys_values, strict=True)
    adapters = dict(zip(model.config.adapter_layers, readers, strict=True))
    for index, layer in enumerate(core.language_model.layers):
        hidden = layer(hidden, attention_mask=causal, position_embeddings=rotary, position_ids=positions)
        if index in adapters:
            adapter, (keys, values) = adapters[index]
            side_by_side = [part.transpose(0, 1).flatten(1, 2)[None].expand(2, -1, -1, -1) for part in (keys, values)]
            hidden = adapter(hidden, *side_by_side, visible)
    return model.lm_head(core.language_model.norm(hidden)).float().log_softmax(-1)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


class TestScores:
    @pytest.mark.parametrize("interface", INTERFACES)
    @pytest.mark.parametrize("context", [2, 50])
    def test_read_anew_equals_from_nothing(self, make, interface, context):
        model, features = make(interface)
        scorer = StoryScorer(model, BOS, context_tokens=context)
        torch.testing.assert_close(told(scorer, features), from_nothing(model, features, context), atol=1e-5, rtol=0)

    @pytest.mark.parametrize("interface", INTERFACES)
    def test_text_alone(self, make, interface):
        model, _ = make(interface)
        scorer = StoryScorer(model, BOS, context_tokens=3)
        torch.testing.assert_close(told(scorer, None), from_nothing(model, None, 3), atol=1e-5, rtol=0)

    def test_carried_equals_each_token_under_its_own_brain(self, make):
        model, features = make("cross_attention")
        scorer = StoryScorer(model, BOS, context_tokens=50, carry=True)
        torch.testing.assert_close(
            told(scorer, features), each_under_its_own_brain(model, features), atol=1e-5, rtol=0
        )

    @pytest.mark.parametrize("context", [1, 3, 50])
    def test_carried_and_trimmed_is_exact_where_layers_do_not_pile_up(self, make, context):
        """With one layer, keys and values hold their token alone: what is kept equals what would be read anew."""
        model, features = make("cross_attention", num_hidden_layers=1)
        scorer = StoryScorer(model, BOS, context_tokens=context, carry=True)
        torch.testing.assert_close(told(scorer, features), from_nothing(model, features, context), atol=1e-5, rtol=0)
        assert scorer.cache.get_seq_length() <= 1 + context + max(SIZES)

    def test_a_changed_brain_changes_the_scores(self, make):
        model, features = make("cross_attention")
        swapped = take_brains(features, [0, 1, 3, 2])
        scores = [told(StoryScorer(model, BOS, carry=True, context_tokens=50), some) for some in (features, swapped)]
        same = (scores[0] - scores[1]).abs().amax(dim=(0, 2)) < 1e-6
        assert same.tolist() == [True] * 4 + [False] * 6  # as long as the first two windows last

    @pytest.mark.parametrize("interface", INTERFACES)
    @pytest.mark.parametrize("carry", [False, True])
    def test_rows_may_read_different_brains_and_be_reordered(self, make, interface, carry):
        if carry and interface == "prefix":
            return
        model, features = make(interface)
        scorer = StoryScorer(model, BOS, context_tokens=4, carry=carry)
        owners, empty = torch.tensor([0, 1]), torch.empty(2, 0, dtype=torch.long)
        scorer.begin(empty, take_brains(features, [0, 1]), owners)
        parents, tokens = torch.tensor([1, 0, 1]), TEXT[0, :3]
        side_by_side = scorer.extend(parents, tokens)
        for row, (brain, token) in enumerate(zip([1, 0, 1], tokens, strict=True)):
            alone = StoryScorer(model, BOS, context_tokens=4, carry=carry)
            alone.begin(empty[:1], take_brains(features, [brain]))
            torch.testing.assert_close(
                side_by_side[row], alone.extend(torch.tensor([0]), token[None])[0], atol=1e-5, rtol=0
            )


class TestRefusals:
    def test_a_prefix_cannot_be_carried(self, make):
        with pytest.raises(ValueError, match="prefix interface puts the brain before the text"):
            StoryScorer(make("prefix")[0], BOS, carry=True)

    def test_no_context(self, make):
        with pytest.raises(ValueError, match="at least 1; found 0"):
            StoryScorer(make("prefix")[0], BOS, context_tokens=0)

    def test_nothing_to_begin_with(self, make):
        with pytest.raises(ValueError, match="no BOS. Give the story an `opening`"):
            StoryScorer(make("cross_attention")[0], None).begin(torch.empty(1, 0, dtype=torch.long), None)
