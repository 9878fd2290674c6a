/**
 * Runs the tests that take seconds: those that start no broker and no program.
 * Arguments are for `deno test`.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));

/** What starts something that takes time. */
const SLOW = /support\/(broker|private_broker|process|fibrpc_command|deno_bundle)\.ts$/;

interface Module {
  readonly specifier: string;
  readonly dependencies?: readonly { readonly code?: { readonly specifier: string } }[];
}

function* testFiles(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* testFiles(`${folder}/${name}`);
    else if (name.endsWith("_test.ts")) yield `${folder}/${name}`;
  }
}

async function isQuick(file: string): Promise<boolean> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--quiet", file],
    cwd: root,
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as { modules: Module[] };
  return !modules.some(({ specifier }) => SLOW.test(specifier));
}

const files = [...testFiles(`${root}tests`)];
const quick = await Promise.all(files.map(isQuick));
const { code } = await new Deno.Command(Deno.execPath(), {
  args: [
    "test",
    "--parallel",
    "--permission-set",
    ...Deno.args,
    ...files.filter((_, i) => quick[i]),
  ],
  cwd: root,
}).spawn().status;
Deno.exit(code);
