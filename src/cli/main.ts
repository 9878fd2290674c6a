/**
 * The executable: gives the process to the command line.
 *
 * @module
 */
import { run } from "./program.ts";
import { thisProcess } from "./this_process.ts";

thisProcess.exit(await run(thisProcess));
