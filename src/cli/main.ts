/**
 * The executable: gives the process to the command line.
 *
 * @module
 */
import process from "node:process";
import { run } from "./program.ts";

/** Its file descriptor. */
const STDOUT = 1;

const exitCode = await run({
  args: process.argv.slice(2),
  env: process.env,
  // Streams are opened when they are used: each takes a millisecond or two.
  get stdin() {
    return process.stdin;
  },
  get stdout() {
    return process.stdout;
  },
  writeStdout: (bytes) =>
    globalThis.Deno?.stdout.writeSync(bytes) ??
      process.getBuiltinModule("node:fs").writeSync(STDOUT, bytes),
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
