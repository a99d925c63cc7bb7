/** The page of `impasto export --as html`: reads its own parts and starts. */
import { mount } from "svelte";
import type { Model } from "../painting/model.ts";
import App from "./App.svelte";
import "./page.css";

/** The text of a part of the page, which is removed to free its memory. */
function part(id: string): string {
  const element = document.getElementById(id)!;
  element.remove();
  return element.textContent ?? "";
}

const script = new Blob([part("painter")], { type: "text/javascript" });
mount(App, {
  target: document.body,
  props: {
    model: JSON.parse(part("model")) as Model,
    worker: new Worker(URL.createObjectURL(script)),
    wasm: part("wasm"),
    weights: part("weights"),
    enlarger: part("enlarger"),
  },
});
