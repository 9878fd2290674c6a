/**
 * What a command says for people.
 *
 * @module
 */
import { printable } from "../text.ts";
import { withOptionNames } from "./options/option_names.ts";
import type { Environment } from "./environment.ts";

/** Writes one line to standard error; whatever `text` holds, it is one, and does nothing to a terminal. */
export function report({ stderr }: Environment, text: string): void {
  stderr.write(`fibrpc: ${printable(withOptionNames(text))}\n`);
}
