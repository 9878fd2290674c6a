/**
 * `fibrpc --version`: the version, and the runtime it was built on.
 *
 * @module
 */
import process from "node:process";
import config from "../../deno.json" with { type: "json" };

/** Such as `0.1.0 (deno 2.9.6)`. */
export function version(): string {
  const versions: { readonly [base: string]: string | undefined } = globalThis.Deno?.version ??
    process.versions;
  const base = ["bun", "deno", "node"].find((name) => versions[name] !== undefined);
  return `${config.version} (${base} ${versions[base!]})`;
}
