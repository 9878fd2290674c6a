/**
 * Packs the library for npm, `dist/fibrpc-<version>.tgz`:
 *
 *     deno task pack [--output <file>]
 *
 * `deno pack` makes JavaScript and declarations of the sources. What it can't
 * say in a `package.json` is added here. The same sources give the same bytes.
 *
 * @module
 */
import { createTarGzip, parseTarGzip } from "nanotar";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { run } from "./run.ts";
import config from "../deno.json" with { type: "json" };

const root = fileURLToPath(new URL("../", import.meta.url));

/** What `package.json` says beyond names, exports and dependencies. */
const MANIFEST = {
  description: "Request/reply over RabbitMQ that loses no call",
  keywords: ["rabbitmq", "amqp", "rpc", "request-reply"],
  sideEffects: false,
  // Node 22.2 has no `process.getBuiltinModule`; of the others these are the first that were tried.
  engines: { node: ">=22.3", bun: ">=1.4", deno: ">=2.9" },
};

/**
 * The library's own classes are extended, members that it keeps to itself among
 * them, so that each of its releases is tried before it is taken.
 */
const EXACT = ["@cloudamqp/amqp-client"] as const;

/** What only some of the library's parts need, and a program has its own version of. */
const OPTIONAL: Readonly<Record<string, string>> = {
  "@opentelemetry/api": ">=1.9 <2",
  "prom-client": ">=15.1 <16",
};

/** A module that nobody imports: it is started as a worker. */
const WORKER = "package/src/services/fibonacci/pool/compute_worker.js";

async function denoPack(): Promise<Uint8Array> {
  const folder = await Deno.makeTempDir();
  try {
    const args = ["pack", "--allow-dirty", "--no-source-maps", "--output", `${folder}/package.tgz`];
    const { success, output } = await run(Deno.execPath(), args);
    if (!success) throw new Error(`deno pack failed:\n${output}`);
    return await Deno.readFile(`${folder}/package.tgz`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function completed(text: string): string {
  const made = JSON.parse(text) as { dependencies: Record<string, string> };
  const exact = EXACT.map((name) => [name, config.imports[name].split("@").at(-1)]);
  const dependencies = { ...made.dependencies, ...Object.fromEntries(exact) };
  for (const name of Object.keys(OPTIONAL)) delete dependencies[name];
  const optional = Object.keys(OPTIONAL).map((name) => [name, { optional: true }]);
  const manifest = {
    ...made,
    ...MANIFEST,
    dependencies,
    peerDependencies: OPTIONAL,
    peerDependenciesMeta: Object.fromEntries(optional),
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

async function pack(output: string): Promise<void> {
  const files = (await parseTarGzip(await denoPack())).map(({ name, data, text }) => ({
    name,
    data: name === "package/package.json" ? completed(text) : data ?? "",
  }));
  if (!files.some(({ name }) => name === WORKER)) throw new Error(`${WORKER} was not packed`);
  await Deno.mkdir(dirname(output), { recursive: true });
  await Deno.writeFile(output, await createTarGzip(files, { attrs: { mode: "644", mtime: 0 } }));
}

const { values } = parseArgs({ options: { output: { type: "string" } } });
const output = resolve(values.output ?? `${root}dist/fibrpc-${config.version}.tgz`);
await pack(output);
Deno.stderr.writeSync(new TextEncoder().encode(`${output}\n`));
