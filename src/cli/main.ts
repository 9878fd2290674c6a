/**
 * The executable: gives the process to the command line.
 *
 * @module
 */
import process from "node:process";
import { run } from "./program.ts";
import { writeStdout } from "./stdout.ts";

const exitCode = await run({
  args: process.argv.slice(2),
  env: process.env,
  // Streams are opened when they are used: each takes a millisecond or two.
  get stdin() {
    return process.stdin;
  },
  writeStdout,
  get stderr() {
    return process.stderr;
  },
  onSignal(listener) {
    process.on("SIGINT", listener);
    process.on("SIGTERM", listener);
  },
  exit: (code) => process.exit(code),
});
process.exit(exitCode);
