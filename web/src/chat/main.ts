import { mount } from "svelte";
import "../styles/tokens.css";
import "../styles/base.css";
import "../styles/markdown.css";
import { policy } from "../lib/trusted";
import App from "./App.svelte";
import { startSettings } from "./settings.svelte";

startSettings();
mount(App, { target: document.getElementById("app") ?? document.body });

// Installed as an app, the page opens without a connection, too.
if ("serviceWorker" in navigator && import.meta.env.PROD) {
  const script = policy.createScriptURL(`${import.meta.env.BASE_URL}sw.js`);
  navigator.serviceWorker.register(script, { scope: "/paliadin" }).catch((error: unknown) => {
    console.info("no service worker:", error);
  });
}
