/**
 * The process that this is: on Deno by Deno's own names where there are some,
 * since `process` takes 9 ms to load there, a sixth of a one-shot call.
 *
 * @module
 */
import { hostname } from "node:os";
import process from "node:process";
import type { EndSignal, Environment } from "./environment.ts";
import { EXIT_BY_SIGNAL } from "./exit_codes.ts";
import { StderrWriter } from "./io/stderr_writer.ts";
import { readStdin } from "./io/stdin.ts";
import { processInfo, writeTo } from "./io/stdout.ts";

const { Deno } = globalThis as { Deno?: typeof globalThis.Deno };

/** Called for each signal; before a command listens, a signal ends the process. */
let onSignal = (signal: EndSignal, _at: number): void => exit(EXIT_BY_SIGNAL[signal]);

// At once, before anything else is loaded: the first process of a container
// ignores every signal that it doesn't listen to.
if ((Deno?.build.os ?? process.platform).startsWith("win")) listen("SIGINT");
else {
  for (const signal of ["SIGINT", "SIGQUIT", "SIGTERM"] as const) listen(signal);
  isHangupIgnored().then((isIgnored) => isIgnored || listen("SIGHUP"));
}

const stderr = new StderrWriter((bytes) => writeTo("stderr", bytes));

/** The running process as an {@linkcode Environment}. */
export const thisProcess: Environment = {
  args: Deno?.args ?? process.argv.slice(2),
  env: Deno ? new Proxy({}, { get: (_, name) => Deno.env.get(String(name)) }) : process.env,
  allVariables: () => Deno ? Deno.env.toObject() : process.env,
  get identity() {
    return Deno ? `${Deno.hostname()}:${Deno.pid}` : `${hostname()}:${process.pid}`;
  },
  get stdin() {
    return readStdin();
  },
  writeStdout: (bytes) => writeTo("stdout", bytes),
  get isStdoutTerminal() {
    return Deno ? Deno.stdout.isTerminal() : process.stdout.isTTY === true;
  },
  stderr: Object.defineProperty(stderr, "isTTY", {
    get: () => Deno ? Deno.stderr.isTerminal() : process.stderr.isTTY,
  }),
  onSignal: (listener) => onSignal = listener,
  onWarning(listener) {
    process.removeAllListeners("warning"); // The runtime's own, which prints them.
    process.on("warning", (warning) => listener(String(warning)));
  },
  exit,
};

/** Ends the process when all that was written to standard error is there. */
export async function end(code: number): Promise<void> {
  await stderr.flush();
  exit(code);
}

function exit(code: number): void {
  if (Deno) Deno.exit(code);
  else process.exit(code);
}

function listen(signal: EndSignal): void {
  const listener = () => onSignal(signal, performance.now());
  if (Deno) Deno.addSignalListener(signal, listener);
  else process.on(signal, listener);
}

/** Whether the process was started with SIGHUP ignored, as `nohup` does; only Bun leaves that as it is and can see it. */
async function isHangupIgnored(): Promise<boolean> {
  const ignored = /^SigIgn:.*(.)$/m.exec(await processInfo("status"))?.[1] ?? "0";
  return (Number.parseInt(ignored, 16) & 1) !== 0;
}
