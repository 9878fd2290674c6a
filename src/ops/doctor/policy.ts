/**
 * What a queue's arguments and policies do to requests, which nobody is told of
 * when it happens.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import { managedQueue } from "../management.ts";
import type { ManagedQueue } from "../management.ts";
import type { Check, Finding } from "./doctor.ts";

export const policy: Check = {
  name: "policy",
  limitMs: 4_000,
  needs: ["login"],
  async run({ broker, queue, management }, { requests }, signal) {
    if (requests?.found === false) return [{ status: "skip", text: "not looked at: see queue" }];
    if (management === undefined) {
      return [{ status: "skip", text: "only the management API knows it (--management)" }];
    }
    let found: ManagedQueue | undefined;
    try {
      found = await managedQueue(management, broker, queue, signal);
    } catch (thrown) {
      const { message } = RpcError.from(thrown);
      const action = "correct --management, or give the user the tag monitoring";
      return [{ status: "warn", text: message, action }];
    }
    if (found === undefined) {
      const action = "correct --management: it shows another broker, or another vhost";
      return [{ status: "warn", text: `the management API has no ${queue}`, action }];
    }
    const findings = judge(found, queue);
    if (findings.length > 0) return findings;
    const { type, unacknowledged } = found;
    return [{ status: "ok", text: `${type}, ${unacknowledged} requests with servers` }];
  },
};

function judge({ type, policy, settings }: ManagedQueue, queue: string): Finding[] {
  const where = policy === undefined ? "the queue's arguments" : `the policy ${policy}`;
  const findings: Finding[] = [];
  const warn = (text: string, action: string) => findings.push({ status: "warn", text, action });
  if (type === "stream") {
    return [{
      status: "fail",
      code: "no_server",
      text: `${queue} is a stream, which keeps what was consumed`,
      action: "delete it, and let serve declare a queue",
    }];
  }
  for (const name of ["max-length", "max-length-bytes"]) {
    if (settings[name] === undefined) continue;
    const isRefusing = String(settings.overflow ?? "").startsWith("reject-publish");
    const text = `${name} ${settings[name]}: requests beyond it are ${
      isRefusing ? "refused" : "dropped, the oldest first"
    }, and their callers wait in vain`;
    warn(text, `remove ${name} from ${where}; callers' timeouts bound the queue`);
  }
  if (settings["message-ttl"] !== undefined) {
    const text = `message-ttl ${settings["message-ttl"]} ms: older requests are dropped`;
    warn(text, `remove message-ttl from ${where}; each request has its own time`);
  }
  if (settings.expires !== undefined) {
    const text =
      `expires ${settings.expires} ms: the queue is deleted when no server was there so long`;
    warn(text, `remove expires from ${where}`);
  }
  if (settings["single-active-consumer"] === true) {
    const text = "single active consumer: one server works, the others wait";
    warn(text, "delete the queue, and let serve declare it");
  }
  // By the default exchange a request's own routing key leads back here as well.
  const deadLettersTo = settings["dead-letter-routing-key"] ?? queue;
  if (settings["dead-letter-exchange"] === "" && deadLettersTo === queue) {
    const text = "dead letters come back to the queue itself, again and again";
    warn(text, `remove dead-letter-exchange from ${where}`);
  }
  return findings;
}
