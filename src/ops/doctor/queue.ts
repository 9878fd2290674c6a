/**
 * Whether somebody serves, and keeps up.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import { SUSPECTS_SUFFIX } from "../../protocol/names.ts";
import { diagnose } from "../../rpc/queue_diagnosis.ts";
import { count } from "../../text.ts";
import type { Check } from "./doctor.ts";

/** More requests than this a consumer should not have before it. */
const BACKLOG_PER_CONSUMER = 100;

export const queue: Check = {
  name: "queue",
  limitMs: 2_000,
  needs: ["login"],
  async run({ queue }, known) {
    const found = await known.probe!.inspect(queue);
    known.requests = found;
    if (found.found === "unknown") {
      const action = `let the user look at it: configure, write or read ^${queue}$`;
      return [{ status: "warn", text: `${queue}: the broker does not let this user look`, action }];
    }
    const text = `${queue}: ${diagnose(found) ?? ""}`;
    if (!found.found) {
      const action = `start a server: fibrpc serve --queue ${queue}`;
      return [{ status: "fail", code: "no_server", text: `${queue} does not exist`, action }];
    }
    if (found.consumers === 0) {
      const action = `start a server: fibrpc serve --queue ${queue}`;
      return [{ status: "fail", code: "no_server", text, action }];
    }
    if (found.messages > BACKLOG_PER_CONSUMER * found.consumers) {
      return [{ status: "warn", text, action: "start more servers, or look at why they are slow" }];
    }
    return [{ status: "ok", text }];
  },
};

export const suspects: Check = {
  name: "suspects",
  limitMs: 2_000,
  needs: ["login", "queue"],
  async run({ queue }, { probe }) {
    const found = await probe!.inspect(queue + SUSPECTS_SUFFIX);
    if (found.found !== true || found.messages === 0) {
      return [{ status: "ok", text: "no request has taken a server with it" }];
    }
    const text = `${count(found.messages, "request")} came back from servers that died`;
    const action = 'search the servers\' logs for "took its server with it"';
    return [{ status: "warn", text, action }];
  },
};

export const call: Check = {
  name: "call",
  limitMs: 6_000,
  needs: ["login", "replies", "queue"],
  async run({ call }, _, signal) {
    if (call === undefined) return [{ status: "skip", text: "not asked for (--call)" }];
    try {
      return [{ status: "ok", text: await call(signal) }];
    } catch (thrown) {
      const { code, message } = RpcError.from(thrown);
      return [{ status: "fail", code, text: message, action: "look at the servers' logs" }];
    }
  },
};
