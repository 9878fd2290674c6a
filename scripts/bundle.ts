/**
 * Makes one file of a module and all that it imports, quick to start.
 *
 * @module
 */
import process from "node:process";
import { BuildError } from "./build_error.ts";
import { run } from "./run.ts";

/**
 * Modules of the runtime that are imported on top and used late, if ever: by
 * commander for commands in other files, by logtape to print an object, by us
 * for what Deno has names of its own for. Loading them takes 4 ms of a one-shot
 * call's 20 on Bun, 16 of 65 on Deno, so they are loaded when they are used.
 */
const LATE = [
  "node:child_process",
  "node:fs",
  "node:os",
  "node:path",
  "node:process",
  "node:timers",
  "node:util",
];

const IMPORT = /^import (?:(\w+)|\{([^}]*)\}) from "([^"]+)";$/gm;

/** On Deno, the AMQP library is as fast without `Buffer`, which takes 2 ms to load. */
const LOAD = `const Buffer = globalThis.Deno ? undefined : globalThis.Buffer;
const __load = (name) => globalThis.process.getBuiltinModule(name);
const __late = (name) => new Proxy({}, {
  get(_, key) {
    const module = __load(name);
    return typeof module[key] === "function" ? module[key].bind(module) : module[key];
  },
});
`;

/** The main module, and what it starts as a worker. */
export type Bundles = readonly [main: string, worker: string];

/**
 * Bundles the command line.
 *
 * @param folder Where to write the files.
 */
export async function bundleProgram(folder: string, signal?: AbortSignal): Promise<Bundles> {
  const main = `${folder}/fibrpc.js`;
  await bundle("src/cli/main.ts", main, signal);
  // The compute pool looks for it beside its own module, by this name.
  const worker = `${folder}/compute_worker.js`;
  await bundle("src/services/fibonacci/pool/compute_worker.ts", worker, signal);
  return [main, worker];
}

/**
 * Bundles. Not minified: 0.1 % of the executable's size, no slower to start,
 * and a stack trace that can be read.
 *
 * @param module The path from the project's root.
 * @param output The file to write.
 */
export async function bundle(module: string, output: string, signal?: AbortSignal): Promise<void> {
  const args = ["bundle", "--quiet", "--output", output, module];
  const bundled = await run(Deno.execPath(), args, { signal });
  signal?.throwIfAborted();
  if (!bundled.success) throw new BuildError(`Could not bundle ${module}:\n${bundled.output}`);
  await Deno.writeTextFile(output, LOAD + late(await Deno.readTextFile(output)));
}

/** The same program, with the imports of {@linkcode LATE} made late. */
function late(text: string): string {
  return text.replace(IMPORT, (line, whole, parts, name) => {
    if (!LATE.includes(name)) return line;
    if (whole !== undefined) return `const ${whole} = __late("${name}");`;
    return parts.split(",").map((part: string) => {
      const [imported, local = imported] = part.trim().split(" as ") as [string, string?];
      const module = process.getBuiltinModule(name) as Record<string, unknown>;
      if (typeof module[imported] !== "function") {
        throw new BuildError(`Only a function can be loaded late, not ${imported} of ${name}`);
      }
      return `const ${local} = (...args) => __load("${name}").${imported}(...args);`;
    }).join("\n");
  });
}
