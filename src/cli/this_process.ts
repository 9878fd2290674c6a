/**
 * The process that this is: on Deno by Deno's own names where there are some,
 * since `process` takes 9 ms to load there, a sixth of a one-shot call.
 *
 * @module
 */
import { hostname } from "node:os";
import process from "node:process";
import type { EndSignal, Environment } from "./environment.ts";
import { writeStdout } from "./stdout.ts";

const { Deno } = globalThis as { Deno?: typeof globalThis.Deno };

/** Windows has no SIGTERM that could be heard. */
const END_SIGNALS: readonly EndSignal[] = Deno?.build.os === "windows"
  ? ["SIGINT"]
  : ["SIGINT", "SIGTERM"];

/** See the module. */
export const thisProcess: Environment = {
  args: Deno?.args ?? process.argv.slice(2),
  env: Deno ? new Proxy({}, { get: (_, name) => Deno.env.get(String(name)) }) : process.env,
  get identity() {
    return Deno ? `${Deno.hostname()}:${Deno.pid}` : `${hostname()}:${process.pid}`;
  },
  // Streams are opened when they are used: each takes a millisecond or two.
  get stdin() {
    return process.stdin;
  },
  writeStdout,
  get stderr() {
    return process.stderr;
  },
  onSignal(listener) {
    for (const signal of END_SIGNALS) {
      if (Deno) Deno.addSignalListener(signal, () => listener(signal));
      else process.on(signal, listener);
    }
  },
  exit: (code) => Deno ? Deno.exit(code) : process.exit(code),
};
