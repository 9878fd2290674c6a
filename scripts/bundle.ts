/**
 * Makes few files of a module and all that it imports, quick to start.
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

/** On Deno, the AMQP library is as fast without `Buffer`, which takes 2 ms to load; others need it. */
const WITHOUT_BUFFER = "const Buffer = globalThis.Deno ? undefined : globalThis.Buffer;\n";

/** In what is bundled, a comment names the file of each module. */
const AMQP_LIBRARY = /^\/\/ .*@cloudamqp\/amqp-client/m;

const LOAD = `const __load = (name) => globalThis.process.getBuiltinModule(name);
const __late = (load) => new Proxy({}, {
  get(_, key) {
    const object = load();
    return typeof object[key] === "function" ? object[key].bind(object) : object[key];
  },
});
`;

/** The main module, what it starts as a worker, and what it imports when it is needed. */
export type Bundles = readonly [main: string, worker: string, ...chunks: string[]];

/**
 * Bundles the command line: what only some commands need is in files of its own.
 *
 * @param folder An empty one for the files.
 */
export async function bundleProgram(folder: string, signal?: AbortSignal): Promise<Bundles> {
  await write(["--code-splitting", "--outdir", folder], "src/cli/main.ts", signal);
  const main = `${folder}/fibrpc.js`;
  await Deno.rename(`${folder}/main.js`, main);
  const chunks: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    const file = `${folder}/${name}`;
    if (file !== main) chunks.push(file);
    await quicken(file);
  }
  // The compute pool looks for it beside its own module, by this name.
  const worker = `${folder}/compute_worker.js`;
  await bundle("src/services/fibonacci/pool/compute_worker.ts", worker, signal);
  return [main, worker, ...chunks.sort()];
}

/**
 * Bundles. Not minified: 0.1 % of the executable's size, no slower to start,
 * and a stack trace that can be read.
 *
 * @param module The path from the project's root.
 * @param output The file to write.
 */
export async function bundle(module: string, output: string, signal?: AbortSignal): Promise<void> {
  await write(["--output", output], module, signal);
  await quicken(output);
}

async function write(
  options: readonly string[],
  module: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const bundled = await run(Deno.execPath(), ["bundle", "--quiet", ...options, module], { signal });
  signal?.throwIfAborted();
  if (!bundled.success) throw new BuildError(`Could not bundle ${module}:\n${bundled.output}`);
}

async function quicken(file: string): Promise<void> {
  const text = await Deno.readTextFile(file);
  const first = AMQP_LIBRARY.test(text) ? WITHOUT_BUFFER : "";
  await Deno.writeTextFile(file, first + LOAD + late(text));
}

/** The same program, with the imports of {@linkcode LATE} made late. */
function late(text: string): string {
  return text.replace(IMPORT, (line, whole, parts, name) => {
    if (!LATE.includes(name)) return line;
    if (whole !== undefined) return `const ${whole} = __late(() => __load("${name}"));`;
    return parts.split(",").map((part: string) => {
      const [imported, local = imported] = part.trim().split(" as ") as [string, string?];
      const module = process.getBuiltinModule(name) as Record<string, unknown>;
      if (typeof module[imported] === "object") {
        return `const ${local} = __late(() => __load("${name}").${imported});`;
      }
      if (typeof module[imported] !== "function") {
        throw new BuildError(
          `A function or an object can be loaded late, not ${imported} of ${name}`,
        );
      }
      return `const ${local} = (...args) => __load("${name}").${imported}(...args);`;
    }).join("\n");
  });
}
