/**
 * What an executable on Deno's base runs, where none can be made.
 *
 * @module
 */
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleProgram } from "../../scripts/bundle.ts";
import { type Command, modified, newest, onDeno, ROOT } from "./fibrpc_command.ts";

const FOLDER = new URL("dist/bundle/", ROOT);

/**
 * The command line's bundle on this very Deno, with the permissions that the
 * executable has built in. It is made anew when it is older than what it is
 * made of.
 */
export async function fibrpcOnDeno(): Promise<Command> {
  const sources = ["src/", "scripts/"].map((folder) => newest(new URL(folder, ROOT)));
  const built = modified(new URL("fibrpc.js", FOLDER));
  if (built === undefined || built < Math.max(...sources)) await make();
  return onDeno(new URL("fibrpc.js", FOLDER));
}

/** Elsewhere first: another process may run what is there. */
async function make(): Promise<void> {
  await Deno.mkdir(FOLDER, { recursive: true });
  const temporary = await Deno.makeTempDir({ dir: fileURLToPath(FOLDER) });
  const [main, ...others] = await bundleProgram(temporary);
  for (const file of [...others, main]) await Deno.rename(file, new URL(basename(file), FOLDER));
  await Deno.remove(temporary);
}
