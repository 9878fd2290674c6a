/**
 * The executable: gives the process to the command line.
 *
 * @module
 */
// First, since it listens for signals.
import { end, thisProcess } from "./this_process.ts";
import { run } from "./program.ts";

await end(await run(thisProcess));
