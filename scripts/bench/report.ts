/**
 * Results as text.
 *
 * @module
 */
import type { Column, RowResult, Summary, TableResult } from "./table.ts";

/** A table as Markdown: each cell holds a median, and the least and the greatest. */
export function tableText({ title, columns, compare, rows }: TableResult): string {
  const heads = ["", ...columns.map((column) => column.title)];
  if (compare) heads.push("first is x times as good");
  const cells = rows.map((row) => cellsOf(row, columns, compare !== undefined));
  const widths = heads.map((head, at) =>
    Math.max(...[head, ...cells.map((line) => line[at] ?? "")].map((cell) => cell.length))
  );
  const line = (texts: readonly string[]) =>
    `| ${widths.map((width, at) => pad(texts[at] ?? "", width, at)).join(" | ")} |`;
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  const missing = rows.filter((row) => row.missing !== undefined)
    .map((row) => `missing: ${row.name}: ${row.missing}`);
  if (missing.length > 0) missing.unshift("");
  return [title, "", line(heads), rule, ...cells.map(line), ...missing].join("\n");
}

function cellsOf(row: RowResult, columns: readonly Column[], isCompared: boolean): string[] {
  const cells = columns.map(({ key, digits = 0 }) => cell(row.summary[key], digits));
  return [row.name, ...cells, ...(isCompared ? [cell(row.ratio, 2)] : [])];
}

function cell(summary: Summary | undefined, digits: number): string {
  if (summary === undefined) return "-";
  const { median, min, max } = summary;
  const [middle, least, greatest] = [median, min, max].map((value) => value.toFixed(digits));
  return least === greatest ? middle! : `${middle} (${least}-${greatest})`;
}

function pad(text: string, width: number, at: number): string {
  return at === 0 ? text.padEnd(width) : text.padStart(width);
}
