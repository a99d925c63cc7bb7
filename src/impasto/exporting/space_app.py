"""Paints with the model in this folder, in a browser: an app for a Space of the Hugging Face hub."""

from pathlib import Path

import gradio as gr

import impasto

MODEL = impasto.Model.load(Path(__file__).parent)
FIELDS = MODEL.record.labels
DRAWN, NONE = "as the seed draws it", 3.0


def paint(seed, truncation, *classes):  # type: ignore[no-untyped-def]
    """Sixteen pictures, from a seed on."""
    chosen = {f.name: c for f, c in zip(FIELDS, classes, strict=True) if c not in (None, DRAWN)}
    limit = truncation if truncation < NONE else None
    try:
        return MODEL.grid(range(int(seed), int(seed) + 16), chosen, truncation=limit)
    except impasto.ImpastoError as error:
        raise gr.Error(str(error)) from error


inputs = [
    gr.Number(0, label="First seed", precision=0, minimum=0),
    gr.Slider(0.3, NONE, NONE, step=0.1, label=f"Truncation ({NONE:g}: none)"),
    *(gr.Dropdown([DRAWN, *f.classes], value=DRAWN, label=f.name) for f in FIELDS),
]
output = gr.Image(label="Pictures", format="png", height=512)
look = {"title": "Paint with impasto", "submit_btn": "Paint", "flagging_mode": "never"}
with gr.Interface(paint, inputs, output, clear_btn=None, **look) as demo:
    demo.load(paint, inputs, output)

if __name__ == "__main__":
    demo.launch()
