# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The processor with real tokenizers: where brain tokens stand, what stays as it was, what is refused, round trips."""

import json

import numpy as np
import pytest
import torch
from testing_utils import BOS, EOS, PAD, VOCAB_SIZE, VOXEL_COUNTS, save_tiny_text_model, shared_path, tiny_brain_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoProcessor, AutoTokenizer, LlamaConfig, PreTrainedTokenizerFast

from modeling_brainllm import (
    BrainLlamaConfig,
    BrainLlamaFeatureExtractor,
    BrainLlamaProcessor,
    FrameEncoderConfig,
    VoxelEncoderConfig,
)


FEATURES = 4
WORDS = ["the", "quick", "brown", "fox", "jumps", ".", "\n", "user", "assistant", "THE"]


def word_tokenizer(scheme="always", bos_token="<s>", padding_side="left", **kwargs):
    """Llama 2's manner: a space becomes `▁`, one more is put before the text, and no BOS is added by itself."""
    pieces = ["<unk>", "</s>", *([bos_token] if bos_token else []), "▁", *WORDS, *(f"▁{word}" for word in WORDS)]
    tokenizer = Tokenizer(models.WordLevel({piece: index for index, piece in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    special = {"bos_token": bos_token, "eos_token": "</s>", "unk_token": "<unk>", "padding_side": padding_side}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special, **kwargs)


def english_tokenizer():
    return AutoTokenizer.from_pretrained(shared_path("models/english-llama-28m"))


def config_for(tokenizer, vocab_size=None, encoder=None, **kwargs):
    text = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 4}
    text_config = LlamaConfig(vocab_size=vocab_size or len(tokenizer), **text)
    encoder = encoder or FrameEncoderConfig(num_features=FEATURES, num_frames=3)
    return BrainLlamaConfig(text_config=text_config, encoder_config=encoder, adapter_layers=[1], **kwargs)


def processor_for(tokenizer, **kwargs):
    return BrainLlamaProcessor.from_config(config_for(tokenizer, **kwargs), tokenizer)


@pytest.fixture(params=["always", "first", "no bos", "english-llama-28m"])
def tokenizer(request):
    if request.param == "english-llama-28m":
        return english_tokenizer()
    return word_tokenizer(bos_token=None) if request.param == "no bos" else word_tokenizer(request.param)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def brains(rng, *frames):
    return [rng.normal(size=(count, FEATURES)) for count in frames]


class TestSequence:
    """The ids are compared with the layout of the published model, built by hand from the bare tokenizer."""

    @pytest.mark.parametrize("text", ["the quick brown fox", " the", "the fox.\njumps", ""])
    @pytest.mark.parametrize("tokens_per_embedding", [1, 3])
    def test_prefix(self, tokenizer, rng, text, tokens_per_embedding):
        processor = processor_for(tokenizer, tokens_per_embedding=tokens_per_embedding)
        size = len(tokenizer)
        bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        placeholders = [size] * (2 * tokens_per_embedding)
        expected = [*bos, size + 1, *placeholders, size + 2, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        batch = processor(text=f"<|brain|>{text}", brain=brains(rng, 2))
        assert batch["input_ids"].tolist() == [expected]
        assert batch["attention_mask"].eq(1).all()

    @pytest.mark.parametrize("text", ["the quick brown fox", " the", ""])
    def test_cross_attention_takes_the_marker_out(self, tokenizer, rng, text):
        processor = processor_for(tokenizer, interface="cross_attention")
        batch = processor(text=f"<|brain|>{text}", brain=brains(rng, 2))
        assert torch.equal(batch["input_ids"], processor(text=text)["input_ids"])
        assert batch["brain_values"].shape == (1, 2, FEATURES)

    def test_exactly_one_bos(self, rng):
        tokenizer = word_tokenizer()
        processor = processor_for(tokenizer)
        bos = tokenizer.bos_token_id
        for text in ("<s>the fox", "the fox", "<s><|brain|>the fox", "<|brain|>the fox"):
            brain = brains(rng, 1) if "brain" in text else None
            ids = processor(text=text, brain=brain)["input_ids"][0].tolist()
            assert (ids[0], ids.count(bos)) == (bos, 1), text
        assert bos not in processor(text="the fox", add_special_tokens=False)["input_ids"]

    def test_a_marker_inside_gets_no_space_after_it(self, rng):
        tokenizer = word_tokenizer("first")
        ids = processor_for(tokenizer)(text="user<|brain|>the fox", brain=brains(rng, 1))["input_ids"][0].tolist()
        size, known = len(tokenizer), tokenizer.convert_tokens_to_ids
        assert ids == [*known(["<s>", "▁user"]), size + 1, size, size + 2, *known(["the", "▁fox"])]

    def test_voxels_have_as_many_tokens_as_the_encoder(self, rng):
        tokenizer = word_tokenizer()
        encoder = VoxelEncoderConfig(region_sizes=[3], num_tokens=5, num_queries=8, hidden_size=8)
        processor = processor_for(tokenizer, encoder=encoder, tokens_per_embedding=2)
        processor.feature_extractor.add_subject("s", rng.normal(size=(6, 3)), np.zeros((6, 1), int))
        ids = processor(text="<|brain|>fox", brain=[rng.normal(size=6)], subject="s")["input_ids"]
        assert ids.eq(len(tokenizer)).sum() == 10

    def test_encoder_outputs_in_place_of_brains(self):
        tokenizer = word_tokenizer()
        processor = processor_for(tokenizer, tokens_per_embedding=2)
        embeds = torch.randn(2, 3, 8)
        batch = processor(text=["<|brain|>fox", "<|brain|>the", "fox"], encoder_outputs=embeds, brain_index=[1, 1, -1])
        assert batch["input_ids"].eq(len(tokenizer)).sum(1).tolist() == [6, 6, 0]
        assert batch["encoder_outputs"] is embeds
        assert batch["brain_index"].tolist() == [1, 1, -1]


class TestPaddingAndOffsets:
    texts = ("<|brain|>the quick brown fox", "the", "<|brain|>")

    @pytest.mark.parametrize("side", ["left", "right"])
    def test_pads_to_the_longest_on_the_asked_side(self, rng, side):
        processor = processor_for(word_tokenizer(padding_side="left" if side == "right" else "right"))
        brain = brains(rng, 1, 3)
        batch = processor(text=list(self.texts), brain=brain, padding_side=side)
        for row, (text, own) in enumerate(zip(self.texts, [brain[:1], None, brain[1:]], strict=True)):
            alone = processor(text=text, brain=own)["input_ids"][0]
            real = batch["attention_mask"][row].bool()
            assert torch.equal(batch["input_ids"][row][real], alone)
            assert batch["attention_mask"][row, -1 if side == "left" else 0] == 1
        assert processor.tokenizer.pad_token == "</s>"

    def test_further_padding_arguments(self, rng):
        processor = processor_for(word_tokenizer())
        batch = processor(text="<|brain|>fox", brain=brains(rng, 1), pad_to_multiple_of=16, return_tensors="np")
        assert (batch["input_ids"].shape, {type(value) for value in batch.values()}) == ((1, 16), {np.ndarray})
        assert processor(text="fox", padding="max_length", max_length=9)["input_ids"].shape == (1, 9)

    @pytest.mark.parametrize("side", ["left", "right"])
    @pytest.mark.parametrize("interface", ["prefix", "cross_attention"])
    def test_offsets_point_into_the_given_text(self, tokenizer, rng, side, interface):
        processor = processor_for(tokenizer, interface=interface)
        texts = ["<|brain|>the quick brown fox", "the fox", "the <|brain|> quick brown"]
        batch = processor(text=texts, brain=brains(rng, 2, 1), return_offsets_mapping=True, padding_side=side)
        assert batch["offset_mapping"].shape == (*batch["input_ids"].shape, 2)
        for text, ids, spans, mask in zip(
            texts, batch["input_ids"], batch["offset_mapping"], batch["attention_mask"], strict=True
        ):
            assert not spans[mask == 0].any()
            for index, (start, end) in zip(ids[mask == 1].tolist(), spans[mask == 1].tolist(), strict=True):
                if index >= len(tokenizer):
                    assert text[start:end] == "<|brain|>"
                elif index != tokenizer.bos_token_id:
                    assert processor.decode([index]).strip() in ("", text[start:end].strip())
                    assert "brain" not in text[start:end]

    def test_offsets_tell_where_a_completion_starts(self, tokenizer, rng):
        processor = processor_for(tokenizer)
        prompt, completion = "<|brain|>the quick", " brown fox"
        batch = processor(text=prompt + completion, brain=brains(rng, 2), return_offsets_mapping=True)
        labels = batch["input_ids"][0][batch["offset_mapping"][0, :, 1] > len(prompt)]
        assert processor.decode(labels).strip() == "brown fox"


class TestMatching:
    def test_brains_go_to_the_marked_texts_in_order(self, rng):
        processor = processor_for(word_tokenizer())
        texts = ["the", "<|brain|>fox", "fox", "<|brain|>the"]
        batch = processor(text=texts, brain=brains(rng, 3, 1))
        assert batch["brain_index"].tolist() == [-1, 0, -1, 1]
        assert batch["input_ids"].eq(processor.brain_token_id).sum(1).tolist() == [0, 3, 0, 1]

    def test_texts_may_share_a_brain(self, rng):
        processor = processor_for(word_tokenizer())
        texts = ["<|brain|>fox", "the", "<|brain|>the", "<|brain|>"]
        batch = processor(text=texts, brain=brains(rng, 3, 1), brain_index=torch.tensor([1, -1, 0, 1]))
        assert batch["brain_index"].tolist() == [1, -1, 0, 1]
        assert batch["input_ids"].eq(processor.brain_token_id).sum(1).tolist() == [1, 0, 3, 1]
        assert len(batch["brain_values"]) == 2

    def test_grouping_by_subject_moves_the_index_along(self, rng):
        tokenizer = word_tokenizer()
        encoder = VoxelEncoderConfig(region_sizes=[3], num_tokens=2, num_queries=8, hidden_size=8)
        processor = processor_for(tokenizer, encoder=encoder)
        sizes = {"a": 6, "b": 9}
        for name, size in sizes.items():
            processor.feature_extractor.add_subject(name, rng.normal(size=(size, 3)), np.zeros((size, 1), int))
        subjects = ["b", "a", "b"]
        brain = [rng.normal(size=sizes[name]) for name in subjects]
        asked = [2, 1, -1, 0, 2]
        texts = ["fox" if sample < 0 else "<|brain|>fox" for sample in asked]
        batch = processor(text=texts, brain=brain, subject=subjects, brain_index=asked)
        in_order = [row for values in batch["brain_values"] for row in values]
        for sample, place in zip(asked, batch["brain_index"].tolist(), strict=True):
            assert place == -1 if sample < 0 else np.array_equal(in_order[place], brain[sample].astype(np.float32))

    @pytest.mark.parametrize("interface", ["prefix", "cross_attention"])
    @pytest.mark.parametrize(
        ("texts", "frames", "index", "message"),
        [
            (["<|brain|>fox"], [], None, r"1 texts hold the marker .* but 0 brain samples"),
            (["fox", "<|brain|>fox"], [1, 1], None, r"1 texts hold .* but 2 brain samples .*brain_index"),
            (["fox"], [1], None, r"0 texts hold"),
            (["<|brain|><|brain|>"], [1, 1], None, r"Text 0 must hold at most one <\|brain\|>"),
            (["fox", "the<|brain_end|>"], [], None, r"Text 1 must hold .* no .*<\|brain_end\|>"),
            (["<|brain|>fox"], [1], [1], r"one of the 1 brain samples .* found \[1\]"),
            (["<|brain|>fox"], [1], [-2], r"found \[-2\]"),
            (["<|brain|>fox"], [1], [-1], r"found \[-1\] for markers \[True\]"),
            (["fox"], [1], [0], r"found \[0\] for markers \[False\]"),
            (["fox"], [1], [-2], r"found \[-2\] for markers \[False\]"),
            (["<|brain|>fox"], [1], [0, 0], r"each of the 1 texts"),
        ],
    )
    def test_mismatches(self, rng, interface, texts, frames, index, message):
        processor = processor_for(word_tokenizer(), interface=interface)
        with pytest.raises(ValueError, match=message):
            processor(text=texts, brain=brains(rng, *frames) or None, brain_index=index)

    def test_faults_of_the_brain_reach_the_user(self, rng):
        processor = processor_for(word_tokenizer())
        processor.feature_extractor.fit(rng.normal(size=(9, FEATURES)), "P01")
        with pytest.raises(ValueError, match=r"'P02' is unknown; known are \['P01'\]"):
            processor(text="<|brain|>fox", brain=brains(rng, 1), subject="P02")
        with pytest.raises(ValueError, match=r"encoder_outputs.*encoder tokens, hidden.*found shape \[2, 3\]"):
            processor(text="<|brain|>fox", encoder_outputs=torch.zeros(2, 3))
        with pytest.raises(ValueError, match="`truncation` would cut the brain"):
            processor(text="fox", truncation=True)


class TestWithTheModel:
    @pytest.fixture
    def tokenizer(self):
        words = {"<s>": BOS, "</s>": EOS, "<pad>": PAD, **{f"w{i}": i for i in range(3, VOCAB_SIZE)}}
        tokenizer = Tokenizer(models.WordLevel(words, unk_token="w3"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
        )

    @pytest.mark.parametrize("interface", ["prefix", "cross_attention"])
    @pytest.mark.parametrize("encoder", ["frames", "voxels"])
    def test_each_text_of_a_batch_reads_its_own_brain(self, tokenizer, rng, tmp_path, interface, encoder):
        model = tiny_brain_model(save_tiny_text_model(tmp_path), interface, encoder).eval()
        processor = BrainLlamaProcessor.from_config(model.config, tokenizer)
        subjects, shapes = ["S2", "S1", "S2"], [(1, 6), (3, 6), (2, 6)]
        if encoder == "voxels":
            shapes = [(VOXEL_COUNTS[subject],) for subject in subjects]
            for name, count in VOXEL_COUNTS.items():
                places = rng.normal(scale=50, size=(count, 3)), rng.integers(-1, 3, size=(count, 2))
                processor.feature_extractor.add_subject(name, *places)
        brain = [rng.normal(size=shape) for shape in shapes]
        texts, asked = ["<|brain|>w7 w8", "w9", "<|brain|>w7 w8 w9", "<|brain|>", "<|brain|>w7 w8"], [2, -1, 1, 0, 0]
        batch = processor(text=texts, brain=brain, subject=subjects, brain_index=asked, padding_side="left")
        assert set(batch) == set(processor.model_input_names) - {"encoder_outputs", "token_type_ids"}
        logits = model(**batch).logits[:, -1]
        assert (logits[0] - logits[4]).abs().max() > 1e-2  # same text, another brain
        for row, (text, sample) in enumerate(zip(texts, asked, strict=True)):
            own = {"brain": [brain[sample]], "subject": subjects[sample]} if sample >= 0 else {}
            alone = model(**processor(text=text, **own)).logits[0, -1]
            torch.testing.assert_close(alone, logits[row], atol=1e-3, rtol=1e-3)


class TestVocabulary:
    def test_ids_are_the_models_also_where_its_table_is_padded(self, rng):
        tokenizer = word_tokenizer()
        size = len(tokenizer) + 40
        processor = processor_for(tokenizer, vocab_size=size)
        ids = processor(text="<|brain|>the fox", brain=brains(rng, 1))["input_ids"]
        assert ids[0, 1:4].tolist() == [size + 1, size, size + 2]
        assert processor.tokenizer.convert_tokens_to_ids("<|brain|>") == len(tokenizer)
        assert processor.decode(ids[0]) == "<s><|brain_start|><|brain|><|brain_end|> the fox"
        assert processor.batch_decode(ids, skip_special_tokens=True) == ["the fox"]
        assert "fox" in processor.tokenizer.decode(ids[0], skip_special_tokens=True)  # unknown ids do not crash it

    def test_decode_leaves_the_brain_out(self, tokenizer, rng):
        processor = processor_for(tokenizer)
        batch = processor(text=["<|brain|>the quick", "fox"], brain=brains(rng, 2))
        assert processor.batch_decode(batch["input_ids"], skip_special_tokens=True) == ["the quick", "fox"]
        assert processor.batch_decode(batch["input_ids"].numpy())[0].count("<|brain|>") == 2
        assert processor.decode(batch["input_ids"][1].tolist(), skip_special_tokens=True) == "fox"

    def test_the_given_tokenizer_is_left_alone(self):
        before = len(tokenizer := word_tokenizer())
        processor = processor_for(tokenizer)
        assert (len(tokenizer), tokenizer.pad_token, len(processor.tokenizer)) == (before, None, before + 3)
        again = BrainLlamaProcessor.from_config(config_for(tokenizer), processor.tokenizer)
        assert len(again.tokenizer) == before + 3

    def test_a_tokenizer_larger_than_the_model_is_refused(self):
        size = len(tokenizer := word_tokenizer())
        with pytest.raises(ValueError, match=rf"ids up to {size - 1}, but those from {size - 1}"):
            processor_for(tokenizer, vocab_size=size - 1)
        tokenizer.add_tokens(["<pad>"], special_tokens=True)
        with pytest.raises(ValueError, match=rf"ids up to {size}"):
            processor_for(tokenizer, vocab_size=size)

    def test_a_tokenizer_without_the_tokens_is_refused(self):
        with pytest.raises(ValueError, match="from_config"):
            BrainLlamaProcessor(BrainLlamaFeatureExtractor(), word_tokenizer(), 100, 101, 102)


class TestCheckConfig:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"interface": "cross_attention"}, r"interface: 'prefix' in the BrainLlamaProcessor, 'cross_attention'"),
            ({"tokens_per_embedding": 2}, r"tokens_per_embedding: 1 .* 2 in the model"),
            ({"vocab_size": 99}, r"brain_token_id: .* 99 in the model.*brain_end_token_id: .* 101 in the model"),
            ({"encoder": FrameEncoderConfig(num_features=5)}, r"num_features: 4 in the BrainLlamaFeature.*num_frames"),
            ({"encoder": VoxelEncoderConfig(num_tokens=7)}, r"embeddings_per_frame: 1.*, 7 .*input_kind: 'frames'"),
        ],
    )
    def test_names_each_difference(self, change, message):
        tokenizer = word_tokenizer()
        processor = processor_for(tokenizer)
        processor.check_config(config_for(tokenizer))
        with pytest.raises(ValueError, match=message):
            processor.check_config(config_for(tokenizer, **change))

    def test_a_feature_extractor_for_another_model_is_refused(self):
        tokenizer, other = word_tokenizer(), BrainLlamaFeatureExtractor(num_features=9, num_frames=3)
        with pytest.raises(ValueError, match="num_features: 9 in the BrainLlamaFeatureExtractor, 4 in the model"):
            BrainLlamaProcessor.from_config(config_for(tokenizer), tokenizer, other)


class TestChatTemplate:
    template = "{{ bos_token }}{% for m in messages %}{{ m['role'] }} {{ m['content'] | trim }}\n{% endfor %}"
    prompt = ({"type": "brain"}, {"type": "text", "text": "the fox"})

    def test_a_base_model_concatenates(self, rng):
        processor = processor_for(word_tokenizer())
        conversation = [{"role": "user", "content": list(self.prompt)}, {"role": "assistant", "content": " jumps"}]
        text = processor.apply_chat_template(conversation)
        assert text == "<|brain|>the fox jumps"
        given = {"brain": (brain := brains(rng, 2))}
        batch = processor.apply_chat_template(conversation, tokenize=True, processor_kwargs=given)
        assert torch.equal(batch["input_ids"], processor(text=text, brain=brain)["input_ids"])

    def test_a_text_only_template_serves(self, rng):
        tokenizer = word_tokenizer(chat_template=self.template)
        processor = processor_for(tokenizer)
        brain = brains(rng, 2, 1)
        contents = [[{"type": "brain", "brain": sample}, self.prompt[1]] for sample in brain]
        chats = [[{"role": "user", "content": content}] for content in contents]
        texts = processor.apply_chat_template(chats)
        assert texts == ["<s>user <|brain|>the fox\n"] * 2
        batch = processor.apply_chat_template(chats, tokenize=True)
        direct = processor(text=texts, brain=brain)
        assert batch.keys() == direct.keys()
        assert all(torch.equal(batch[name], direct[name]) for name in batch)
        assert batch["input_ids"].eq(tokenizer.bos_token_id).sum(1).tolist() == [1, 1]
        assert torch.equal(processor.apply_chat_template(chats, tokenize=True, return_dict=False), batch["input_ids"])

    def test_parts_carry_their_subject(self, rng):
        processor = processor_for(word_tokenizer())
        processor.feature_extractor.fit(rows := rng.normal(3, 2, (9, FEATURES)), "P01")
        chat = [{"role": "user", "content": [{"type": "brain", "brain": rows[0], "subject": "P01"}]}]
        values = processor.apply_chat_template(chat, tokenize=True)["brain_values"]
        assert torch.equal(values, processor.feature_extractor(rows[0], subject="P01")["brain_values"])

    def test_other_parts_are_refused(self):
        with pytest.raises(ValueError, match=r"\"text\" or \"brain\"; found \['image'\]"):
            processor_for(word_tokenizer()).apply_chat_template([{"role": "user", "content": [{"type": "image"}]}])


LOAD = """
import json, sys
import numpy as np
from transformers import AutoProcessor, AutoFeatureExtractor, AutoTokenizer
processor = AutoProcessor.from_pretrained(sys.argv[1], trust_remote_code=True)
"""
CALL = """
batch = processor(text="<|brain|>the fox", brain=[np.arange(4.0)], subject="P01")
extractor = AutoFeatureExtractor.from_pretrained(sys.argv[1], trust_remote_code=True)
print(json.dumps({
    "module": type(processor).__module__, "ids": batch["input_ids"].tolist(), "values": batch["brain_values"].tolist(),
    "subjects": list(extractor.subjects), "prompt": processor.apply_chat_template([{"content": "fox"}]),
}))
"""


class TestSaving:
    @pytest.fixture
    def processor(self, rng):
        processor = processor_for(word_tokenizer(), vocab_size=64, tokens_per_embedding=2)
        processor.feature_extractor.fit(rng.normal(5, 3, (20, FEATURES)), "P01")
        return processor

    def assert_loaded(self, printed, processor):
        found = json.loads(printed.splitlines()[-1])
        batch = processor(text="<|brain|>the fox", brain=[np.arange(4.0)], subject="P01")
        assert found["module"].startswith("transformers_modules.")
        assert found["ids"] == batch["input_ids"].tolist()
        assert found["values"] == batch["brain_values"].tolist()
        assert (found["subjects"], found["prompt"]) == (["P01"], "fox")

    @pytest.mark.parametrize("load", [BrainLlamaProcessor, AutoProcessor])
    def test_round_trip(self, processor, rng, tmp_path, load):
        processor.save_pretrained(tmp_path)
        loaded = load.from_pretrained(tmp_path)
        assert type(loaded) is BrainLlamaProcessor
        assert {"auto_map": processor.auto_map, **loaded.to_dict()} == processor.to_dict()
        assert loaded.chat_template == processor.chat_template
        brain = brains(rng, 2, 3)
        both = [p(text=["<|brain|>the", "<|brain|>"], brain=brain, subject="P01") for p in (processor, loaded)]
        assert both[0].keys() == both[1].keys()
        assert all(torch.equal(both[0][name], both[1][name]) for name in both[0])

    def test_the_real_tokenizer_survives(self, rng, tmp_path):
        processor = processor_for(english_tokenizer())
        processor.save_pretrained(tmp_path)
        loaded = AutoProcessor.from_pretrained(tmp_path)
        batch = loaded(text="<|brain|>It was a dark night", brain=brains(rng, 1))
        assert batch["input_ids"][0, :4].tolist() == [0, 8193, 8192, 8194]
        assert loaded.batch_decode(batch["input_ids"], skip_special_tokens=True) == ["It was a dark night"]

    def test_loads_without_our_package(self, processor, run_python, tmp_path):
        processor.save_pretrained(tmp_path / "saved")
        self.assert_loaded(run_python(LOAD + CALL, str(tmp_path / "saved"), isolated=True), processor)

    @pytest.mark.slow
    @pytest.mark.parametrize("push", ["push_to_hub(", "save_pretrained(sys.argv[1], push_to_hub=True, repo_id="])
    def test_travels_over_the_hub(self, processor, local_hub, run_python, tmp_path, push):
        processor.save_pretrained(tmp_path / "saved")
        environment = local_hub.environment(tmp_path)
        script = (
            LOAD + "scans = np.arange(80.0).reshape(20, 4) ** 0.5\nprocessor.feature_extractor.fit(scans, 'P01')\n"
            f"processor.{push}'tester/brain', share_statistics=True)"
        )
        run_python(script, str(tmp_path / "saved"), env=environment, isolated=True)
        assert local_hub.files("tester/brain").keys() >= {"brain_subjects.safetensors", "processor_config.json"}
        processor.feature_extractor.fit(np.arange(80.0).reshape(20, 4) ** 0.5, "P01")
        self.assert_loaded(run_python(LOAD + CALL, "tester/brain", env=environment, isolated=True), processor)
