/**
 * A benchmark's report for people: one file, without any resource from elsewhere.
 *
 * @module
 */
import chartScript from "uplot/uPlot.iife.min.js" with { type: "text" };
import chartStyle from "uplot/uPlot.min.css" with { type: "text" };
import html from "./report.html" with { type: "text" };
import script from "./report.js" with { type: "text" };
import style from "./report.css" with { type: "text" };
import documentStyle from "../../document.css" with { type: "text" };
import { createHash } from "node:crypto";
import type { BenchResult } from "../result.ts";
import { benchText } from "../text.ts";

const SCRIPT = `${chartScript}\n${script}`;

/** Runs nothing but the report's own script, and asks nobody. */
const POLICY = [
  "default-src 'none'",
  "img-src data:",
  "style-src 'unsafe-inline'", // The chart library sets styles of elements.
  `script-src 'sha256-${createHash("sha256").update(SCRIPT).digest("base64")}'`,
].join("; ");

/**
 * The report.
 *
 * @param about What made it, and when.
 */
export function htmlReport(results: readonly BenchResult[], about: string): string {
  const data = {
    about,
    queue: results[0]?.target.queue ?? "",
    runs: results.map((result) => ({
      title: titleOf(result),
      text: benchText(result),
      seconds: result.seconds,
      curve: result.curve,
    })),
  };
  // Nothing in it ends the element that holds it.
  const json = JSON.stringify(data).replaceAll("<", "\\u003c");
  // Functions: "$" in what is put in means nothing.
  return html
    .replace(
      "<!--policy-->",
      () => `<meta http-equiv="Content-Security-Policy" content="${POLICY}">`,
    )
    .replace("<!--style-->", () => `<style>${chartStyle}${documentStyle}${style}</style>`)
    .replace("<!--data-->", () => `<script id="data" type="application/json">${json}</script>`)
    .replace("<!--script-->", () => `<script>${SCRIPT}</script>`);
}

function titleOf({ settings: { pace } }: BenchResult): string {
  return pace.model === "open" ? `${pace.rate} calls a second` : `${pace.inFlight} in flight`;
}
