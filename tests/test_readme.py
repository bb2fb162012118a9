# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What README.md, the guide and their neighbours claim is so: blocks, links, figures in prose, the example."""

import re
import subprocess
import sys

import numpy as np
import pytest
from repository import PROJECT, REPOSITORY, ROOMS, python_files, relative
from testing_utils import save_tiny_text_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dataset_builders.corpora.brainllm2025 import _PEREIRA_FACTS
from dataset_builders.splitting.leaks import LEAK_KINDS
from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor, FrameEncoderConfig


sys.path.insert(0, str(REPOSITORY / "docs"))
import blocks
import overview


GUIDE = sorted((REPOSITORY / "docs").glob("*.md"))
DOCUMENTS = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")]
RESULTS = sorted((REPOSITORY / "examples" / "benchmarks" / "results").glob("*.md"))
NUMBER_WORDS = {20: "twenty"}
#: A figure that prose may name, and what it is counted from.
CLAIMS = {
    r"(\w+) kinds of\s+leak": NUMBER_WORDS.get(len(LEAK_KINDS), str(len(LEAK_KINDS))),
    r"(\d+) sentences, \d+ passages": str(_PEREIRA_FACTS["sentences"]),
    r"\d+ sentences, (\d+) passages": str(_PEREIRA_FACTS["stories"]),
}


class TestReadme:
    README = (REPOSITORY / "README.md").read_text()

    def test_is_short_and_shows_python_on_its_first_screen(self):
        assert len(self.README.splitlines()) <= 200
        assert self.README[: self.README.index("```python")].count("\n") <= 50

    def test_generated_blocks_are_up_to_date(self):
        """Tables of results, corpora and columns and the tree of folders: none of them can be typed."""
        changed = list(blocks.out_of_date())
        assert changed == [], f"{changed} are out of date: run `python docs/blocks.py`"

    def test_the_tree_lists_every_folder_of_the_rooms(self):
        """Counted by other means than those of the generator."""
        drawn = re.search(r"<!-- tree:start -->\n```text\n(.*?)```", self.README, re.DOTALL)[1]
        names = [line.split()[0] for line in drawn.splitlines()]
        folders = {path.parent for path in python_files(*ROOMS) if path.parent.name != "templates"}
        assert sorted(names) == sorted([f"{f.name}/" for f in folders] + ["brainllm/", "examples/", "tests/", "docs/"])
        assert all(len(line.split(maxsplit=1)) == 2 for line in drawn.splitlines()), "each folder says what it is for"

    def test_every_results_page_is_shown_or_named(self):
        guide = "".join(path.read_text() for path in GUIDE)
        assert [path.name for path in RESULTS if path.read_text().strip() not in guide and path.name not in guide
                and re.sub("(?m)^#", "##", path.read_text().strip()) not in guide] == []  # fmt: skip

    def test_the_gain_over_the_twin_is_what_was_measured(self):
        """A results page that speaks of the deaf twin must be the one that the block shows."""
        measured = [path.name for path in RESULTS if path.name == blocks.TWIN]
        block = re.search(r"<!-- twin:start -->\n(.*?)<!-- twin:end -->", self.README, re.DOTALL)[1].strip()
        assert block.startswith("*The gain over the deaf twin is being measured") == (not measured)

    def test_the_picture_is_drawn_by_its_script(self):
        assert (REPOSITORY / "docs" / "overview.svg").read_text() == overview.draw()

    @pytest.mark.parametrize("document", [*DOCUMENTS, *GUIDE], ids=lambda path: path.name)
    def test_links_inside_the_repository_lead_somewhere(self, document):
        targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text())
        generated = re.compile(r"reference/.*\.md")
        assert [t for t in targets if not generated.fullmatch(t) and not (document.parent / t).exists()] == []

    @pytest.mark.parametrize("document", [*DOCUMENTS, *GUIDE], ids=lambda path: path.name)
    def test_figures_in_prose_are_counted(self, document):
        text = document.read_text()
        for pattern, counted in CLAIMS.items():
            assert {found.lower() for found in re.findall(pattern, text)} <= {counted}, pattern

    def test_named_make_targets_exist(self):
        makefile = (REPOSITORY / "Makefile").read_text()
        for document in (*DOCUMENTS, *GUIDE):
            for target in re.findall(r"`make ([a-z-]+)", document.read_text()):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{document.name} names `make {target}`"

    def test_one_version_everywhere(self):
        assert f"version: {PROJECT['version']}" in (REPOSITORY / "CITATION.cff").read_text()
        assert f"## [{PROJECT['version']}]" in (REPOSITORY / "CHANGELOG.md").read_text()

    def test_the_table_of_examples_names_every_script(self):
        table = (REPOSITORY / "examples" / "README.md").read_text()
        assert set(re.findall(r"^\| `([\w/]+\.py)`", table, re.MULTILINE)) == {
            relative(path).removeprefix("examples/") for path in python_files("examples")
        }

    def test_the_changelog_is_one_short_line_a_change(self):
        lines = [line for line in (REPOSITORY / "CHANGELOG.md").read_text().splitlines() if line.startswith("- ")]
        rest = (REPOSITORY / "CHANGELOG.md").read_text().splitlines()
        assert [line for line in lines if len(line) > 160] == []
        assert [line for line in rest if line.startswith("  ")] == []


class TestGenerator:
    def test_an_edited_figure_is_noticed(self, tmp_path, monkeypatch):
        for document in {document for document, _ in blocks.BLOCKS}:
            (tmp_path / document).parent.mkdir(exist_ok=True)
            text = (REPOSITORY / document).read_text()
            (tmp_path / document).write_text(text.replace("0.819 [0.801, 0.836]", "0.919 [0.901, 0.936]"))
        for room in (*ROOMS, "pyproject.toml"):
            (tmp_path / room).symlink_to(REPOSITORY / room)
        for folder in blocks.BESIDE_THE_ROOMS:
            (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.setattr(blocks, "REPOSITORY", tmp_path)
        assert set(blocks.out_of_date()) == {"README.md", "docs/results.md"}

    def test_a_block_that_is_gone_is_named(self, tmp_path, monkeypatch):
        (tmp_path / "README.md").write_text("nothing")
        monkeypatch.setattr(blocks, "REPOSITORY", tmp_path)
        with pytest.raises(ValueError, match=r"README.md has no block 'headline'"):
            blocks.out_of_date()


@pytest.mark.slow
class TestExample:
    def test_the_decode_example_runs_as_printed(self, tmp_path):
        """In an empty folder that holds what the example names: a checkpoint and one recording."""
        (script,) = re.findall(r"```python\n(.*?)```", TestReadme.README, re.DOTALL)
        words = ["<unk>", "<s>", "</s>", "The", "river", *(f"word{index}" for index in range(94))]
        tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
        )
        model = BrainLlamaForCausalLM.from_text_model(
            save_tiny_text_model(tmp_path / "llama"), FrameEncoderConfig(num_features=6, hidden_size=8, num_frames=3)
        )
        processor = BrainLlamaProcessor.from_config(model.config, tokenizer)
        recording = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
        processor.feature_extractor.fit(recording, subject="M15")
        np.save(tmp_path / "frames.npy", recording[:3])
        for part in (model, processor):
            part.save_pretrained(tmp_path / "runs" / "sft")
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("The river word"), done.stdout
