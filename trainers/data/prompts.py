# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""How an instruction reads: the prompt around the brain, where an answer begins and ends, and what is stored of it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

from transformers import GenerationConfig

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from modeling_brainllm.processing_brainllama import PLAIN_CHAT_TEMPLATE

from .instruction_tasks import SYSTEM, find_task


Message = dict[str, Any]

# A base model was taught no turns: requests and answers follow one another as sentences do, and an answer ends as a
# text does. The system's words would only be one sentence more before the brain.
BASE_CHAT_TEMPLATE = (
    "{% for message in messages if message['role'] != 'system' %}"
    "{{ '' if loop.first else ' ' }}{{ message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '' }}{% endfor %}"
)
# Llama 3 writes today's date into its prompt, which would then differ from the one that was taught.
TEMPLATE_DATE = "26 Jul 2024"


def caption_prompt(processor: BrainLlamaProcessor) -> str:
    """
    The prompt, with the marker `<|brain|>`, under which a model describes what is seen: one and the same for
    instruction tuning, reward tuning and evaluation.

    It is the one that the checkpoint's processor keeps since its instruction tuning; else the canonical wording of the
    task `caption`, in the chat template of the processor.
    """
    return processor.caption_prompt or Renderer(processor).prompt(find_task("caption").prompts[0])


def store_caption_settings(model: BrainLlamaForCausalLM, processor: BrainLlamaProcessor, max_new_tokens: int) -> None:
    """
    Writes into model and processor, and so into every checkpoint, how captions are made: under which prompt, and by
    greedy decoding (BIT-LLM: temperature 0, top-p 1) until the end of the turn.

    Args:
        model ([`BrainLlamaForCausalLM`]):
            Its `generation_config` is replaced.
        processor ([`BrainLlamaProcessor`]):
            Its `caption_prompt` is set.
        max_new_tokens (`int`):
            Longest caption.
    """
    tokenizer = processor.tokenizer
    end = tokenizer(Renderer(processor).end, add_special_tokens=False)["input_ids"][-1]
    processor.caption_prompt = caption_prompt(processor)
    model.generation_config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=sorted({end, tokenizer.eos_token_id}),
        pad_token_id=tokenizer.pad_token_id,
    )


class Renderer:
    """
    Writes prompts and answers by a chat template, exactly as they stand in the whole conversation.

    Args:
        processor ([`BrainLlamaProcessor`]):
            Its chat template serves; the processor of a base model, which has none, gets [`BASE_CHAT_TEMPLATE`].

    Attributes:
        end (`str`): what ends an answer, such as `<|eot_id|>`.

    Raises:
        ValueError: the template ends no answer, or rewrites what was said before.
    """

    def __init__(self, processor: BrainLlamaProcessor):
        self.processor = processor
        is_base = processor.chat_template == PLAIN_CHAT_TEMPLATE
        self.template: Any = BASE_CHAT_TEMPLATE if is_base else processor.chat_template
        self.prompt = lru_cache(maxsize=1024)(self._prompt)
        opening, answer = _opening("request"), "answer"
        whole = self._render([*opening, {"role": "assistant", "content": answer}])
        rest = self._behind(self._render(opening), whole)
        self.lead, found, end = rest.partition(answer)
        self.end = end.strip()
        if not found or not self.end:
            raise ValueError(
                f"The chat template ends no answer, so that no model would learn to stop; behind a prompt and "
                f"'{answer}' stands {end!r}. Give the processor a `chat_template` that ends an answer with a token."
            )

    def _prompt(self, request: str) -> str:
        """The text up to where the answer to a request about a brain begins."""
        return self._render(_opening(request))

    def answer(self, text: str, ends: bool = True) -> str:
        """An answer as it stands behind its prompt; one that was cut short does not end."""
        return self.lead + text + (self.end if ends else "")

    def dialogue(self, turns: Sequence[Message]) -> tuple[str, list[str]]:
        """
        The prompt of a dialogue, and the pieces that follow it: answers and what stands between them, in turn.

        Args:
            turns (`Sequence[dict]`):
                Messages `{"role": ..., "content": ...}` of user and assistant, who alternate.
        """
        messages: list[Message] = [*_opening(turns[0]["content"]), *turns[1:]]
        whole, pieces, place = self._render(messages), [], 0
        for number in range(2, len(messages), 2):
            rest = self._behind(self._render(messages[:number]), whole)
            answer = self.answer(messages[number]["content"])
            self._behind(answer, rest)
            start = len(whole) - len(rest)
            pieces += [whole[place:start], answer]
            place = start + len(answer)
        return pieces[0], pieces[1:]

    def _behind(self, beginning: str, whole: str) -> str:
        if not whole.startswith(beginning):
            raise ValueError(
                "The chat template rewrites earlier turns when later ones follow, so that what is taught is not what "
                f"is asked; {whole!r} does not begin with {beginning!r}. Give the processor another `chat_template`."
            )
        return whole[len(beginning) :]

    def _render(self, messages: Sequence[Message]) -> str:
        """The conversation as text, ready for an answer if the user spoke last."""
        date: dict[str, Any] = {"date_string": TEMPLATE_DATE} if "date_string" in self.template else {}
        awaits_answer = messages[-1]["role"] == "user"
        return cast(
            "str",
            self.processor.apply_chat_template(
                list(messages), chat_template=self.template, add_generation_prompt=awaits_answer, **date
            ),
        )


def _opening(request: str) -> list[Message]:
    content = [{"type": "brain"}, {"type": "text", "text": request}]
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]


__all__ = ["BASE_CHAT_TEMPLATE", "Renderer", "caption_prompt", "store_caption_settings"]
