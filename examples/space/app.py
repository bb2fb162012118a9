# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[space]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
r"""
A page to play with: choose a brain or upload one, decode it, and see what is decoded without it.

    python examples/demo.py && python examples/space/app.py

starts it on the checkpoint of the demonstration, without a network; `make space` does both. Other checkpoints need
their brain-deaf twin and a prepared corpus with a test split:

    python examples/space/app.py --checkpoint runs/sft --twin runs/twin --corpus runs/pereira
"""

import argparse
import html
import os
from pathlib import Path


os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # the page tells nobody of its visitors

import gradio as gr
import numpy as np
from decoder import ARMS, UPLOADS, Brain, Decoder, draw_brain, draw_likelihoods

from modeling_brainllm.processing_brainllama import PLAIN_CHAT_TEMPLATE


LIMITS = (
    "From a recorded brain this model guesses a text of the kind it was trained on; it cannot read thoughts, and most "
    "of every sentence comes from the language model: compare with the twin, another brain and no brain."
)
UNTAUGHT = "This checkpoint was not taught to answer questions: what it writes here is no answer."
HOUR = 3600


def guarded(function):
    """A visitor's mistake becomes one message on the page."""

    def call(*args):
        try:
            return function(*args)
        except (ValueError, FloatingPointError) as error:
            raise gr.Error(str(error), duration=None) from error

    return call


def texts_as_html(texts: dict[str, str], truth: str | None) -> str:
    rows = [
        f"<tr><th>{ARMS[arm]}</th><td id='text-{arm}'>{html.escape(text)}</td></tr>" for arm, text in texts.items()
    ]
    rows.insert(0, f"<tr><th>what was perceived</th><td>{html.escape(truth or 'not known')}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def tokens_as_html(tokens: list[str], found: dict[str, np.ndarray]) -> str:
    """Each token with what this brain adds to it over another brain; darker helps more, a sign says which way."""
    gains = found["brain"] - found["other"]
    bound = max(float(np.abs(gains).max()), 1e-6)
    cells = []
    for token, gain in zip(tokens, gains, strict=True):
        color = f"rgba({'0, 137, 123' if gain > 0 else '230, 110, 0'}, {0.6 * abs(gain) / bound:.2f})"
        shown = html.escape(token.strip() or "␣")
        cells.append(
            f"<span class='token' style='background:{color}'>{shown}<br><small>{gain + 0.0:+.2f}</small></span>"
        )
    lead = "Where this brain helped, token by token (nats over another brain; below zero it misled):"
    return f"<p>{lead}</p><p>{' '.join(cells)}</p>"


def build(decoder: Decoder) -> gr.Blocks:
    """The page; what visitors upload is deleted once read, and their brain goes with their session."""
    choices = [(f"{i + 1}. {brain.text}", i) for i, brain in enumerate(decoder.brains)]
    with gr.Blocks(title="brainllm", delete_cache=(60, 60)) as page:
        gr.Markdown(LIMITS, elem_id="limits")
        uploaded = gr.State(None, time_to_live=HOUR)
        with gr.Row():
            choice = gr.Dropdown(choices, value=0, label="A held-out brain", elem_id="choice")
            subject = gr.Dropdown(decoder.subjects, value=decoder.subjects[0], label="Whose brain an upload is")
            upload = gr.UploadButton(f"Upload a brain ({', '.join(UPLOADS)})", elem_id="upload")
        status = gr.Markdown("", elem_id="status")
        picture = gr.Plot(label="The brain")

        def current(number: int, own: Brain | None) -> Brain:
            return own or decoder.brains[number]

        def choose(number: int):
            return None, "", draw_brain(decoder, decoder.brains[number]), decoder.brains[number].text

        def take(path: str, name: str):
            own = decoder.upload(path, name)
            size = " × ".join(map(str, own.values.shape))
            return (
                own,
                f"Your brain ({size} values) is decoded now; it is forgotten with this session.",
                draw_brain(decoder, own),
            )

        with gr.Tab("Decode"):
            with gr.Row():
                guidance = gr.Slider(0.5, 5, 1, step=0.25, label="Guidance: exponent on what the brain adds")
                temperature = gr.Slider(0, 1.5, 0, step=0.1, label="Temperature (0: the likeliest text)")
                beams = gr.Slider(1, 8, 3, step=1, label="Beams")
                length = gr.Slider(4, 64, 12, step=1, label="Most tokens")
                seed = gr.Number(0, label="Seed", precision=0)
            decode = gr.Button("Decode", variant="primary", elem_id="decode")
            texts = gr.HTML(elem_id="texts")
        with gr.Tab("Compare a text"):
            text = gr.Textbox(label="A text of your own", elem_id="typed", value=decoder.brains[0].text)
            compare = gr.Button("How likely is it?", variant="primary", elem_id="compare")
            bars, tokens = gr.Plot(label="Likelihood"), gr.HTML(elem_id="tokens")
        with gr.Tab("Ask"):
            taught = decoder.models["brain"][1].chat_template != PLAIN_CHAT_TEMPLATE
            gr.Markdown("Answers with the brain, and without it." if taught else UNTAUGHT)
            question = gr.Textbox(label="Question", value="What does this person perceive?", elem_id="question")
            ask = gr.Button("Ask", elem_id="ask")
            with_brain = gr.Textbox(label="With this brain", interactive=False)
            without_brain = gr.Textbox(label="Without a brain", interactive=False)

        def options(scale, heat, width, most, draw) -> dict:
            return {
                "brain_guidance_scale": float(scale), "temperature": float(heat), "num_beams": int(width),
                "max_new_tokens": int(most), "seed": int(draw or 0),
            }  # fmt: skip

        def decode_all(number, own, *given):
            brain = current(number, own)
            return texts_as_html(decoder.decode(brain, **options(*given)), brain.text)

        def compare_all(number, own, typed):
            pieces, found = decoder.likelihoods(current(number, own), typed)
            return draw_likelihoods(found), tokens_as_html(pieces, found)

        def ask_both(number, own, asked, *given):
            return decoder.ask(current(number, own), asked, **options(*given))

        brain_now, settings = [choice, uploaded], [guidance, temperature, beams, length, seed]
        # One at a time: visitors share the model and the generator of random numbers.
        turn = {"concurrency_id": "model", "concurrency_limit": 1}
        shown = [uploaded, status, picture]
        page.load(lambda number: draw_brain(decoder, decoder.brains[number]), choice, picture)
        choice.input(choose, choice, [*shown, text])
        upload.upload(guarded(take), [upload, subject], shown, **turn)
        decode.click(guarded(decode_all), brain_now + settings, texts, **turn)
        compare.click(guarded(compare_all), [*brain_now, text], [bars, tokens], **turn)
        ask.click(guarded(ask_both), [*brain_now, question, *settings], [with_brain, without_brain], **turn)
    return page


STYLE = ".token {display: inline-block; padding: 2px 6px; text-align: center} th {text-align: left}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    demo = Path(os.environ.get("BRAINLLM_DEMO", "outputs/demo"))
    parser.add_argument("--checkpoint", default=str(demo / "signal"), help="folder or Hub id of the model")
    parser.add_argument(
        "--twin", default=str(demo / "signal" / "twin"), help="folder or Hub id of its brain-deaf twin"
    )
    parser.add_argument("--corpus", default=str(demo / "rows"), help="prepared corpus, whose test split is shown")
    parser.add_argument("--port", type=int, default=7860, help="where the page listens")
    args = parser.parse_args()
    page = build(Decoder(args.checkpoint, args.twin, args.corpus))
    page.launch(server_port=args.port, css=STYLE, max_file_size="64mb", footer_links=[])


if __name__ == "__main__":
    main()
