/**
 * A walk through everything between a call and its reply, which finds what is
 * wrong and names the one thing to do about it. It changes nothing.
 *
 * @module
 */
import type { BrokerUrl } from "../../amqp/broker_url.ts";
import type { ConnectionOptions } from "../../amqp/connection.ts";
import type { QueueInspection } from "../../amqp/queue.ts";
import type { RpcErrorCode } from "../../errors.ts";
import { messageOf } from "../../text.ts";
import type { ManagementApi } from "../management.ts";
import type { Probe } from "../probe.ts";
import { NoAnswer, within } from "../../time.ts";

/** How long the walk may take, in milliseconds. */
const WALK_MS = 10_000;

/**
 * - `ok`: as it should be.
 * - `warn`: it works, and will hurt some day.
 * - `fail`: calls can't work.
 * - `skip`: not looked at: something before it failed, or nobody asked for it.
 * - `bug`: the check itself failed.
 */
export type Status = "ok" | "warn" | "fail" | "skip" | "bug";

/** What a check found. */
export interface Finding {
  readonly status: Status;
  readonly text: string;
  /** The one thing to do, of a warning or a failure. */
  readonly action?: string;
  /** What a call would fail with, of a failure. */
  readonly code?: RpcErrorCode;
}

/** What is examined. */
export interface DoctorSubject {
  readonly broker: BrokerUrl;
  readonly options: ConnectionOptions;
  readonly queue: string;
  /** The settings, and where each came from. */
  readonly settings: readonly Setting[];
  readonly process: ProcessFacts;
  /** Without it the policies of the queue can't be seen. */
  readonly management?: ManagementApi | undefined;
  /** Calls the service; without it there is no call. */
  readonly call?: ((signal: AbortSignal) => Promise<string>) | undefined;
}

/** A setting that is in force. */
export interface Setting {
  readonly name: string;
  /** Without any password. */
  readonly value: string;
  /** Such as `--url` or `FIBRPC_URL`. */
  readonly from: string;
  /** What is wrong with it. */
  readonly problem?: string;
}

/** What the system gives to this process; `undefined` where that can't be seen. */
export interface ProcessFacts {
  readonly openFiles: number | undefined;
  readonly memoryBytes: number | undefined;
  readonly cpus: number | undefined;
  readonly workers: number;
  readonly prefetch: number;
}

/** What earlier checks have found out for later ones. */
export interface Known {
  addresses?: readonly string[];
  /** One of the addresses, which takes connections. */
  reachable?: string;
  probe?: Probe;
  /** Such as `4.3.6`. */
  version?: string | undefined;
  requests?: QueueInspection;
}

/** One thing to look at. */
export interface Check {
  readonly name: string;
  /** How long it may take, in milliseconds. */
  readonly limitMs: number;
  /** Which checks must not have failed. */
  readonly needs: readonly string[];
  run(subject: DoctorSubject, known: Known, signal: AbortSignal): Promise<Finding[]> | Finding[];
}

/** A finding, and which check it is of. */
export interface Diagnosis extends Finding {
  readonly check: string;
}

/**
 * Runs the checks in their order.
 *
 * @param report Is called with each finding as it comes.
 */
export async function examine(
  subject: DoctorSubject,
  checks: readonly Check[],
  report: (diagnosis: Diagnosis) => void,
  signal: AbortSignal,
): Promise<Diagnosis[]> {
  const known: Known = {};
  const found: Diagnosis[] = [];
  const broken = new Set<string>();
  const end = performance.now() + WALK_MS;
  const add = (check: string, finding: Finding) => {
    const diagnosis = { check, ...finding };
    found.push(diagnosis);
    report(diagnosis);
    if (finding.status === "fail" || finding.status === "skip") broken.add(check);
  };
  try {
    for (const check of checks) {
      const { name, limitMs, needs } = check;
      const missing = needs.find((need) => broken.has(need));
      if (missing !== undefined) {
        add(name, { status: "skip", text: `not looked at: see ${missing}` });
        continue;
      }
      const leftMs = Math.max(Math.min(limitMs, end - performance.now()), 1);
      const stop = new AbortController();
      const both = AbortSignal.any([signal, stop.signal]);
      const work = async () => await check.run(subject, known, both);
      try {
        for (const finding of await within(work(), leftMs, signal, "no answer")) add(name, finding);
      } catch (error) {
        signal.throwIfAborted();
        add(name, crashed(error));
      } finally {
        stop.abort();
      }
    }
  } finally {
    await known.probe?.[Symbol.asyncDispose]();
  }
  return found;
}

function crashed(error: unknown): Finding {
  if (error instanceof NoAnswer) {
    return { status: "warn", text: messageOf(error), action: "look again: the broker is slow" };
  }
  const text = `this check failed, which is a bug of fibrpc: ${messageOf(error)}`;
  return { status: "bug", text, action: "report it with what is printed here" };
}
