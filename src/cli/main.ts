/**
 * The executable: gives the process to the command line.
 *
 * @module
 */
import process from "node:process";
import { run } from "./program.ts";

const exitCode = await run({
  args: process.argv.slice(2),
  env: process.env,
  // Opened when it is read: that takes a millisecond.
  get stdin() {
    return process.stdin;
  },
  stdout: process.stdout,
  stderr: process.stderr,
  onSignal(listener) {
    process.on("SIGINT", listener);
    process.on("SIGTERM", listener);
  },
  exit: (code) => process.exit(code),
});
process.exit(exitCode);
