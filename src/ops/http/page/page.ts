/**
 * The page for people: one file, without any resource from elsewhere.
 *
 * @module
 */
import chartScript from "uplot/uPlot.iife.min.js" with { type: "text" };
import chartStyle from "uplot/uPlot.min.css" with { type: "text" };
import html from "./page.html" with { type: "text" };
import script from "./page.js" with { type: "text" };
import style from "./page.css" with { type: "text" };
import documentStyle from "../../document.css" with { type: "text" };
import { createHash } from "node:crypto";
import type { HttpAnswer } from "../listener.ts";

const STYLE = `${chartStyle}${documentStyle}${style}`;
const SCRIPT = `${chartScript}\n${script}`;

/** Runs nothing but the page's own script, and asks nobody but its own server. */
const POLICY = [
  "default-src 'none'",
  "connect-src 'self'",
  "img-src data:",
  "style-src 'unsafe-inline'", // The chart library sets styles of elements.
  `script-src 'sha256-${createHash("sha256").update(SCRIPT).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The page. */
export function page(): HttpAnswer {
  return {
    contentType: "text/html; charset=utf-8",
    // A function: "$" in what is put in means nothing.
    body: html
      .replace("<!--style-->", () => `<style>${STYLE}</style>`)
      .replace("<!--script-->", () => `<script>${SCRIPT}</script>`),
    headers: { "content-security-policy": POLICY, "referrer-policy": "no-referrer" },
  };
}
