/** The page of `impasto studio`. */
import { mount } from "svelte";
import "../page/page.css";
import App from "./App.svelte";
import "./studio.css";

mount(App, { target: document.body });
