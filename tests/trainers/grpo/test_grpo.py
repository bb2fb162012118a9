# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Reward tuning: shared prefill against TRL's own path, log-probabilities by hand, and all that may go wrong."""

import json
import math

import pytest
import torch
from grpo_runs import adapter_weights, low_words, make_model, make_rows, make_trainer
from safetensors import safe_open
from testing_utils import EOS, VARIANTS, VOCAB_SIZE, save_tiny_text_model, save_tiny_tokenizer

from trainers.grpo.grpo_config import BrainGRPOConfig
from trainers.grpo.grpo_trainer import BrainGRPOTrainer
from trainers.grpo.reward_monitor import RewardMonitor


SETTINGS = {
    "plain": {},
    "no reference": {"beta": 0.0},
    "slices": {"steps_per_generation": 2, "num_iterations": 2, "max_steps": 4},
    "accumulation": {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4},
    "split groups": {"per_device_train_batch_size": 6, "num_generations": 4, "steps_per_generation": 2},
    "checkpointing": {"gradient_checkpointing": True},
    "truncated": {"mask_truncated_completions": True, "max_completion_length": 12, "max_steps": 3},
}


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_tiny_tokenizer(save_tiny_text_model(tmp_path_factory.mktemp("llama")))


class Spy(BrainGRPOTrainer):
    """Keeps the slices of the update, with the log-probabilities that entered it."""

    def __init__(self, *args, **kwargs):
        self.seen, self.passes, self.gradients = [], [], []
        super().__init__(*args, **kwargs)

    def _get_per_token_logps_and_entropies(self, model, input_ids, attention_mask, logits_to_keep, *args, **kwargs):
        out = super()._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, logits_to_keep, *args, **kwargs
        )
        self.passes.append((torch.is_grad_enabled(), out[0].detach()))
        return out

    def _compute_loss(self, model, inputs):
        loss = super()._compute_loss(model, inputs)
        self.seen.append({**inputs, "logps": self.passes[-1][1]})
        return loss

    def training_step(self, *args, **kwargs):
        loss = super().training_step(*args, **kwargs)
        trained = [parameter.grad.flatten() for parameter in self.model.parameters() if parameter.requires_grad]
        self.gradients.append(torch.cat(trained))
        return loss


def open_adapter(trainer):
    """Gives the matrices that start at zero random values, as if there had been training."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in trainer.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1, generator=generator)


def by_hand(trainer, inputs, adapter=True):
    """Log-probabilities of a slice: one forward pass of the model a row, no trainer, no packing."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    rows = []
    for row in range(len(inputs["prompt_ids"])):
        prompt = inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()]
        completion = inputs["completion_ids"][row][inputs["completion_mask"][row].bool()]
        brains, place = trainer._brains["train"], inputs["brain_index"][row : row + 1]
        ids, brain = torch.cat([prompt, completion])[None], brains.inputs_of_rows(place)
        with torch.no_grad():
            if adapter:
                logits = model(ids, **brain).logits
            else:
                with model.disable_adapter():
                    logits = model(ids, **brain).logits
        scores = (logits[0, len(prompt) - 1 : -1] / trainer.temperature).log_softmax(-1)
        scores = scores.gather(-1, completion[:, None])[:, 0]
        rows.append(torch.nn.functional.pad(scores, (0, inputs["completion_ids"].shape[1] - len(scores))))
    return torch.stack(rows)


class TestSharing:
    @pytest.mark.parametrize(("interface", "encoder"), VARIANTS)
    def test_both_ways_learn_the_same(self, tmp_path, text_model, interface, encoder):
        runs = []
        for share_prefill in (True, False):
            trainer = make_trainer(tmp_path, text_model, interface, encoder, share_prefill=share_prefill)
            trainer.train()
            runs.append((trainer.state.log_history[:-1], adapter_weights(trainer)))
        (logs, weights), (other_logs, other_weights) = runs
        for log, other in zip(logs, other_logs, strict=True):
            log, other = ({k: v for k, v in entry.items() if k != "step_time"} for entry in (log, other))
            assert log == pytest.approx(other, abs=1e-5, rel=1e-4, nan_ok=True)
        for name, weight in weights.items():
            torch.testing.assert_close(weight, other_weights[name], atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("setting", SETTINGS)
    def test_tokens_and_gradients(self, tmp_path, text_model, setting):
        interface = ("prefix", "cross_attention")[(list(SETTINGS).index(setting) + 1) % 2]
        runs = []
        for share_prefill in (True, False):
            options = {**SETTINGS[setting], "learning_rate": 0.0, "share_prefill": share_prefill}
            trainer = make_trainer(tmp_path, text_model, interface, trainer_class=Spy, **options)
            open_adapter(trainer)
            trainer.train()
            runs.append(trainer)
        shared, apart = runs
        assert len(shared.gradients) == len(apart.gradients) >= 2
        for inputs, other in zip(shared.seen, apart.seen, strict=True):
            assert torch.equal(inputs["completion_ids"], other["completion_ids"])
            assert inputs["sample_id"] == other["sample_id"]
        assert max(gradient.norm() for gradient in apart.gradients) > 0.01
        for gradient, other in zip(shared.gradients, apart.gradients, strict=True):
            assert (gradient - other).norm() <= 1e-5 * other.norm()

    def test_slices_split_no_group(self, tmp_path, text_model):
        trainer = make_trainer(tmp_path, text_model, trainer_class=Spy, steps_per_generation=3, max_steps=3)
        trainer.train()
        groups = [inputs["sample_id"] for inputs in trainer.seen]
        assert all(names[:4] == [names[0]] * 4 and names[4:] == [names[4]] * 4 for names in groups)
        assert len({name for names in groups for name in names}) == 6

    def test_a_packed_row_holds_a_prompt_once(self, tmp_path, text_model):
        trainer = make_trainer(tmp_path, text_model, "prefix")
        widths = []
        trainer.model.get_base_model().model.language_model.layers[0].register_forward_hook(
            lambda module, args, output: widths.append(tuple(args[0].shape[:2]))
        )
        trainer.train()
        prompt, completions = 2 + 2 + 3 * 2 + 2, 4 * 6  # bos, text, boundaries, three frames as two tokens each
        assert all(rows == 2 for rows, width in widths if width > 1)
        assert max(width for _, width in widths) <= prompt + completions


class TestLogProbabilities:
    @pytest.mark.parametrize("share_prefill", [True, False])
    def test_equal_those_by_hand(self, tmp_path, text_model, share_prefill):
        options = {"steps_per_generation": 2, "num_iterations": 2, "max_steps": 4, "temperature": 0.7}
        trainer = make_trainer(
            tmp_path, text_model, trainer_class=Spy, share_prefill=share_prefill, learning_rate=0.0, **options
        )
        open_adapter(trainer)
        trainer.train()
        assert len(trainer.seen) == 4
        for inputs in trainer.seen:
            mask = inputs["completion_mask"]
            expected = by_hand(trainer, inputs)
            # The rows were shuffled since the old ones were computed, and the weights have stayed.
            torch.testing.assert_close(inputs["logps"] * mask, expected, atol=1e-5, rtol=0)
            torch.testing.assert_close(inputs["old_per_token_logps"] * mask, expected, atol=1e-5, rtol=0)
            reference = by_hand(trainer, inputs, adapter=False)
            torch.testing.assert_close(inputs["ref_per_token_logps"] * mask, reference, atol=1e-5, rtol=0)
            assert (reference - expected).abs().max() > 0.1

    def test_the_brain_moves_them(self, tmp_path, text_model):
        trainer = make_trainer(tmp_path, text_model, trainer_class=Spy, max_steps=1)
        trainer.train()
        inputs = trainer.seen[0]
        other = {**inputs, "brain_index": inputs["brain_index"].flip(0)}
        assert (by_hand(trainer, inputs) - by_hand(trainer, other)).abs().max() > 0.5

    @pytest.mark.parametrize(
        ("options", "passes"),
        [({"beta": 0.0}, 0), ({}, 1), ({"beta": 0.0, "steps_per_generation": 2}, 2), ({"steps_per_generation": 2}, 4)],
        ids=["update", "+ reference", "+ old", "+ old and reference"],
    )
    def test_passes_that_nobody_needs_are_left_out(self, tmp_path, text_model, options, passes):
        trainer = make_trainer(tmp_path, text_model, trainer_class=Spy, max_steps=1, **options)
        counted = []
        trainer.model.get_base_model().model.language_model.norm.register_forward_hook(
            lambda module, args, output: counted.append(output.shape[1] > 1 and not torch.is_grad_enabled())
        )
        trainer.train()
        assert sum(counted) == 1 + passes  # 1: the prefill; old and reference go through slices one by one


class TestAdapter:
    def test_only_lora_learns_and_is_saved(self, tmp_path, text_model):
        trainer = make_trainer(tmp_path, text_model, save_strategy="steps", save_steps=2)
        before = {name: value.clone() for name, value in trainer.model.named_parameters()}
        trainer.train()
        changed = {name for name, value in trainer.model.named_parameters() if not torch.equal(value, before[name])}
        assert changed
        assert all("lora_" in name and "language_model" in name for name in changed)
        with safe_open(tmp_path / "checkpoint-2" / "adapter_model.safetensors", framework="pt") as handle:
            names = set(handle.keys())
        assert names
        assert not [name for name in names if "brain_" in name or "lora_" not in name]
        assert (tmp_path / "checkpoint-2" / "processor_config.json").exists()

    def test_of_another_model_or_a_second_one(self, tmp_path, text_model):
        model, processor = make_model(text_model)
        trainer = make_trainer(tmp_path, text_model)
        args = BrainGRPOConfig(output_dir=str(tmp_path), use_cpu=True, report_to=[])
        with pytest.raises(ValueError, match="must be a BrainLlamaForCausalLM.*PeftModel.*merge_and_unload"):
            BrainGRPOTrainer(trainer.model, low_words, args, make_rows(), processing_class=processor)
        pushed = BrainGRPOConfig(output_dir=str(tmp_path), use_cpu=True, report_to=[], push_to_hub=True)
        model.name_or_path = str(text_model)
        with pytest.raises(ValueError, match="a local folder, makes an adapter that nobody else can load"):
            BrainGRPOTrainer(model, low_words, pushed, make_rows(), processing_class=processor)
        _, other = make_model(text_model, "prefix")
        with pytest.raises(ValueError, match="do not agree"):
            BrainGRPOTrainer(model, low_words, args, make_rows(), processing_class=other)


class TestRewards:
    def test_are_logged_one_by_one(self, tmp_path, text_model):
        def length(completions, **columns):
            return [float(len(text.split())) for text in completions]

        trainer = make_trainer(tmp_path, text_model, reward=[low_words, length], reward_weights=[1.0, 0.5])
        trainer.train()
        for log in trainer.state.log_history[:-1]:
            total = log["rewards/low_words/mean"] + 0.5 * log["rewards/length/mean"]
            assert log["reward"] == pytest.approx(total, abs=1e-5)

    def test_see_the_columns_of_their_rows(self, tmp_path, text_model):
        calls = []

        def keep(completions, references, sample_id, subject, **columns):
            calls.extend(zip(sample_id, references, subject, columns["brain_values"], strict=True))
            return low_words(completions)

        make_trainer(tmp_path, text_model, reward=keep, max_steps=1).train()
        rows = {row["sample_id"]: row for row in make_rows()}
        assert len(calls) == 8
        for name, references, subject, values in calls:
            row = rows[name]
            assert (references, subject, values) == (row["references"], row["subject"], row["brain_values"])

    @pytest.mark.parametrize("level", [0.0, 3.3333, 0.7])
    def test_a_constant_one_teaches_nothing_and_is_counted(self, tmp_path, text_model, level):
        trainer = make_trainer(
            tmp_path, text_model, reward=lambda completions, **columns: [level] * len(completions), beta=0.0,
            trainer_class=Spy,
        )  # fmt: skip
        before = adapter_weights(trainer)
        trainer.train()
        assert all((inputs["advantages"] == 0).all() for inputs in trainer.seen)
        assert {log["frac_reward_zero_std"] for log in trainer.state.log_history[:-1]} == {1.0}
        assert all(torch.equal(weight, before[name]) for name, weight in adapter_weights(trainer).items())

    def test_the_share_of_constant_groups(self, tmp_path, text_model):
        def first_brain_alone(completions, sample_id, **columns):
            return [place if name == sample_id[0] else 0.1 for place, name in enumerate(sample_id)]

        trainer = make_trainer(tmp_path, text_model, reward=first_brain_alone, max_steps=1)
        trainer.train()
        assert trainer.state.log_history[0]["frac_reward_zero_std"] == 0.5

    @pytest.mark.parametrize("value", [math.nan, math.inf, None])
    def test_one_that_is_no_number_names_itself_and_the_sample(self, tmp_path, text_model, value):
        def broken(completions, sample_id, **columns):
            return [value if name == "tiny/3" else 1.0 for name in sample_id]

        options = {"per_device_train_batch_size": 24, "save_strategy": "steps", "save_steps": 1}
        trainer = make_trainer(tmp_path, text_model, reward=[low_words, broken], **options)
        with pytest.raises(ValueError, match=r"4 rewards at step 1 .*broken of 'tiny/3' is (nan|inf)"):
            trainer.train()
        assert not list(tmp_path.glob("checkpoint-*"))

    @pytest.mark.parametrize("share_prefill", [True, False])
    def test_an_empty_completion_gets_one(self, tmp_path, text_model, share_prefill):
        texts = []

        def keep(completions, **columns):
            texts.extend(completions)
            return [float(place) for place in range(len(completions))]

        silence = {"suppress_tokens": [token for token in range(VOCAB_SIZE) if token != EOS]}
        trainer = make_trainer(
            tmp_path, text_model, reward=keep, generation_kwargs=silence, share_prefill=share_prefill
        )
        trainer.train()
        assert set(texts) == {""}
        assert all(math.isfinite(log["loss"]) for log in trainer.state.log_history[:-1])


class TestMonitor:
    def test_sees_training_alone_and_enters_the_log(self, tmp_path, text_model):
        options = {"eval_strategy": "steps", "eval_steps": 1, "per_device_eval_batch_size": 4}
        monitor = RewardMonitor(window=5)
        kwargs = {"reward_monitor": monitor, "eval_dataset": make_rows(brains=2)}
        trainer = make_trainer(tmp_path, text_model, trainer_kwargs=kwargs, reward_weights=[0.5], **options)
        trainer.train()
        assert len(monitor.state_dict()["first"]) == 2
        logs = [log for log in trainer.state.log_history if "reward" in log]
        for log, row in zip(logs, monitor.state_dict()["first"], strict=True):
            assert log["rewards/low_words/weighted"] == pytest.approx(0.5 * log["rewards/low_words/mean"], abs=1e-6)
            assert log["completions/words"] == pytest.approx(row["words"])
            assert 0 <= log["completions/distinct_2"] <= 1

    def test_an_exploit_stops_the_run(self, tmp_path, text_model):
        def longer_every_step(completions, trainer_state, **columns):
            return [trainer_state.global_step + len(text) / 1e3 for text in completions]

        monitor = RewardMonitor(window=1, max_length_ratio=1.0001, action="raise")
        trainer = make_trainer(
            tmp_path, text_model, reward=longer_every_step, max_steps=4, trainer_kwargs={"reward_monitor": monitor}
        )
        with pytest.raises(ValueError, match=r"At step \d the reward has risen"):
            trainer.train()


class TestStops:
    def test_a_loss_that_is_no_number(self, tmp_path, text_model):
        class Breaks(BrainGRPOTrainer):
            def _prepare_inputs(self, generation_batch):
                inputs = super()._prepare_inputs(generation_batch)
                if self.state.global_step == 2:
                    inputs["advantages"][0] = math.nan
                return inputs

        options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 1}
        trainer = make_trainer(tmp_path, text_model, trainer_class=Breaks, **options)
        with pytest.raises(
            FloatingPointError, match=r"loss of step 3 is nan, in the batch of samples tiny/\d\. Look for"
        ):
            trainer.train()
        state = json.loads((tmp_path / "checkpoint-2" / "trainer_state.json").read_text())
        assert state["global_step"] == 2
        with safe_open(tmp_path / "checkpoint-2" / "adapter_model.safetensors", framework="pt") as handle:
            saved = {name: handle.get_tensor(name) for name in list(handle.keys())}
        for name, weight in adapter_weights(trainer).items():
            assert torch.equal(weight, saved[name.replace(".default", "")])

    @pytest.mark.parametrize("share_prefill", [True, False])
    def test_a_gradient_that_is_no_number(self, tmp_path, text_model, share_prefill):
        options = {"save_strategy": "steps", "save_steps": 1, "save_total_limit": 1, "share_prefill": share_prefill}
        trainer = make_trainer(tmp_path, text_model, **options)
        weight = next(weight for name, weight in trainer.model.named_parameters() if "lora_B" in name)
        weight.register_hook(lambda gradient: gradient * (math.nan if trainer.state.global_step == 1 else 1.0))
        with pytest.raises(FloatingPointError, match=r"gradient of step 2 is NaN .* samples tiny/\d, tiny/\d\. Look"):
            trainer.train()
        assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-1"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"remove_unused_columns": True}, "would drop the brain values"),
            ({"use_transformers_continuous_batching": True}, "token ids alone and would drop the brain"),
        ],
    )
    def test_options_that_would_lose_the_brain(self, tmp_path, options, message):
        with pytest.raises(ValueError, match=message):
            BrainGRPOConfig(output_dir=str(tmp_path), use_cpu=True, **options)


def test_evaluation_between_rollouts_and_update_disturbs_neither(tmp_path, text_model):
    options = {"steps_per_generation": 2, "num_iterations": 2, "max_steps": 4, "learning_rate": 0.0}
    trainer = make_trainer(
        tmp_path, text_model, trainer_class=Spy, eval_strategy="steps", eval_steps=1, per_device_eval_batch_size=4,
        trainer_kwargs={"eval_dataset": make_rows(brains=2)}, **options,
    )  # fmt: skip
    trainer.train()
    training = [inputs for inputs in trainer.seen if "old_per_token_logps" in inputs]
    assert len([log for log in trainer.state.log_history if "eval_reward" in log]) == 4
    updates = [inputs for inputs in training if len(inputs["prompt_ids"]) == 8]
    for inputs in updates:
        mask = inputs["completion_mask"]
        torch.testing.assert_close(inputs["logps"] * mask, inputs["old_per_token_logps"] * mask, atol=1e-5, rtol=0)
    assert len(updates) == 4
