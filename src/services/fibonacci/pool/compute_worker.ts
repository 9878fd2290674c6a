/**
 * What runs in a worker of the compute pool: numbers come in, digits go out,
 * one after the other. `compute_thread.ts` starts it.
 *
 * It is a file of its own, and not a part of the program that starts it, so
 * that a worker loads the mathematics and nothing else.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { checkpointOf } from "./compute_signals.ts";
import { fibonacciDigits } from "../math/decimal.ts";

/** F(n) in ASCII digits, or why there is none. */
export type ComputeResult =
  | { readonly kind: "digits"; readonly digits: Uint8Array<ArrayBuffer> }
  | { readonly kind: "failure"; readonly reason: string };

/** What a worker sends: once that it listens, then a result for each number. */
export type ComputeReply = { readonly kind: "ready" } | ComputeResult;

const checkpoint = checkpointOf(workerData);

parentPort?.on("message", (n: number) => {
  let reply: ComputeResult;
  try {
    reply = { kind: "digits", digits: fibonacciDigits(n, checkpoint) };
  } catch (error) {
    reply = { kind: "failure", reason: String(error) };
  }
  // Moved, not copied: with the encoding that a string would need on the other
  // side, fib(10^7) in 2 MB takes the receiver 0.1 to 0.8 ms instead of 0.9 to
  // 1.0 (Deno 2.9), and 1.0 instead of 2.2 (Node 20).
  parentPort!.postMessage(reply, reply.kind === "digits" ? [reply.digits.buffer] : []);
});
parentPort?.postMessage({ kind: "ready" } satisfies ComputeReply);
