/**
 * `fibrpc --version`: the version, and the runtime it was built on.
 *
 * @module
 */
import process from "node:process";
import config from "../../deno.json" with { type: "json" };

/** What runs. */
export interface ProgramInfo {
  /** Such as `0.2.0`. */
  readonly version: string;
  /** The runtime below it, such as `deno 2.9.6`. */
  readonly base: string;
}

export function programInfo(): ProgramInfo {
  const versions: { readonly [base: string]: string | undefined } = globalThis.Deno?.version ??
    process.versions;
  const base = ["bun", "deno", "node"].find((name) => versions[name] !== undefined);
  return { version: config.version, base: `${base} ${versions[base!]}` };
}

/** Such as `0.2.0 (deno 2.9.6)`. */
export function version(): string {
  const { version, base } = programInfo();
  return `${version} (${base})`;
}
