# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A run that learns is left alone; each way of exploiting a reward is found, and only when the reward rises by it."""

import json
import logging

import numpy as np
import pytest

from trainers.grpo.reward_monitor import RewardMonitor, completion_figures


WINDOW, SIZE = 5, 32
NAMES = [f"thing{i}" for i in range(400)]


def captions(generator: np.random.Generator, words: int = 9, copied: float = 0.0) -> list[str]:
    """Random sentences, a share of them the same."""
    texts = [" ".join(generator.choice(NAMES, words)) for _ in range(SIZE)]
    return ["a man on a horse" if generator.random() < copied else text for text in texts]


def run(monitor: RewardMonitor, batches: list[list[str]], rewards: list[float]) -> list[dict[str, float]]:
    return [
        monitor.observe(
            batch,
            list(range(SIZE)),
            {"cider": [reward] * SIZE, "text_similarity": [0.5] * SIZE},
            {"cider": 2.0, "text_similarity": 1.0},
            step,
        )
        for step, (batch, reward) in enumerate(zip(batches, rewards, strict=True))
    ]


STEPS = np.arange(3 * WINDOW)
RISING = (0.3 + 0.05 * STEPS).tolist()
EXPLOITS = {
    "length": lambda generator, step: captions(generator, words=9 + 2 * step),
    "shrinking": lambda generator, step: captions(generator, words=max(1, 9 - step)),
    "repetition": lambda generator, step: [
        f"{text.split()[0]} {'red cat ' * 4}" if step >= WINDOW else text for text in captions(generator)
    ],
    "copies": lambda generator, step: captions(generator, copied=step / 15),
}
SAYS = {
    "length": r"captions went from \d+\.\d to \d+\.\d words",
    "shrinking": r"captions went from \d+\.\d to \d+\.\d words",
    "repetition": "share of distinct pairs of words fell from",
    "copies": "share of captions that are given to several images went from",
}


def batches_of(kind: str) -> list[list[str]]:
    generator = np.random.default_rng(0)
    return [EXPLOITS[kind](generator, step) for step in STEPS]


class TestFigures:
    def test_by_hand(self):
        figures = completion_figures(["a cat sits.", "A cat sits", "a dog", ""], ["one", "two", "two", "two"])
        # words: 3 3 2 0; distinct: a cat sits dog of 8; pairs: a-cat cat-sits a-dog of 5.
        assert figures == {"words": 2.0, "distinct_1": 4 / 8, "distinct_2": 3 / 5, "copies": 0.5}

    def test_the_same_caption_twice_for_one_image_is_no_copy(self):
        assert completion_figures(["a cat", "a cat"], ["one", "one"])["copies"] == 0

    def test_empty_completions(self):
        assert completion_figures(["", ""], ["one", "two"]) == {
            "words": 0.0,
            "distinct_1": 0.0,
            "distinct_2": 0.0,
            "copies": 1.0,
        }


class TestMonitor:
    def test_the_log(self):
        log = run(RewardMonitor(), [["a cat sits"] * SIZE], [0.4])[0]
        assert log == {
            "completions/words": 3.0,
            "completions/distinct_1": 3 / (3 * SIZE),
            "completions/distinct_2": 2 / (2 * SIZE),
            "completions/copies": 1.0,
            "rewards/cider/weighted": pytest.approx(0.8),
            "rewards/text_similarity/weighted": 0.5,
        }

    def test_learning_is_no_exploit(self, caplog):
        generator = np.random.default_rng(0)
        run(RewardMonitor(WINDOW, action="raise"), [captions(generator) for _ in STEPS], RISING)
        assert not caplog.records

    @pytest.mark.parametrize("kind", EXPLOITS)
    def test_exploits_stop_the_run(self, kind):
        with pytest.raises(ValueError, match=rf"the reward has risen .*{SAYS[kind]}.*largest term is 'cider'"):
            run(RewardMonitor(WINDOW, action="raise"), batches_of(kind), RISING)

    @pytest.mark.parametrize("kind", EXPLOITS)
    def test_drift_without_a_rising_reward_is_not_its_matter(self, kind):
        run(RewardMonitor(WINDOW, action="raise"), batches_of(kind), RISING[::-1])

    def test_a_warning_comes_once(self, caplog):
        with caplog.at_level(logging.WARNING, logger="trainers.grpo.reward_monitor"):
            run(RewardMonitor(WINDOW), batches_of("length"), RISING)
        assert [record.getMessage().count("words.") for record in caplog.records] == [1]

    def test_a_resumed_run_goes_on(self):
        batches = batches_of("length")
        first = RewardMonitor(WINDOW, action="raise")
        run(first, batches[:7], RISING[:7])
        second = RewardMonitor(WINDOW, action="raise")
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        whole, messages = RewardMonitor(WINDOW, action="raise"), []
        for monitor, done in ((second, 7), (whole, 0)):
            with pytest.raises(ValueError, match="risen") as error:
                run(monitor, batches[done:], RISING[done:])
            messages.append(str(error.value).partition("the reward")[2])
        assert messages[0] == messages[1]

    @pytest.mark.parametrize(
        "options", [{"window": 0}, {"max_length_ratio": 1.0}, {"min_distinct_ratio": 1.0}, {"action": "stop"}]
    )
    def test_bad_options(self, options):
        with pytest.raises(ValueError, match=f"found .*{next(iter(options.values()))}"):
            RewardMonitor(**options)
