/**
 * Commands that make only those of their options that are given: all of them
 * take a fifteenth of a one-shot call's time.
 *
 * @module
 */
import type { Command } from "@commander-js/extra-typings";
import { Command as PlainCommand } from "commander";

/** An option's flags, its description, and what reads its value. */
export type Definition = [flags: string, description?: unknown, parse?: unknown];

export class LeanCommand extends PlainCommand {
  /** By their flags: none has a short one. */
  readonly #definitions = new Map<string, Definition>();

  get definitions(): Iterable<Definition> {
    return this.#definitions.values();
  }

  override option(...definition: Definition): this {
    const [flag] = definition[0].split(" ", 1);
    this.#definitions.set(flag!, definition);
    return this;
  }

  override parseAsync(args: readonly string[], from: { from: "user" }): Promise<this> {
    for (const definition of this.#meantBy(args)) super.option(...definition as [string]);
    return super.parseAsync(args, from);
  }

  /** All options if an unknown flag is given: help and suggestions need them. */
  #meantBy(args: readonly string[]): Iterable<Definition> {
    const flags = args.filter((arg) => /^-./.test(arg)).map((arg) => arg.replace(/=.*/s, ""));
    if (flags.some((flag) => !this.#definitions.has(flag))) return this.#definitions.values();
    return new Set(flags.map((flag) => this.#definitions.get(flag)!));
  }
}

export function leanCommand(name: string): Command {
  return new LeanCommand(name) as unknown as Command;
}
