/**
 * This process: its settings, and what the system gives to it.
 *
 * @module
 */
import { DEFAULT_MAX_MESSAGE_BYTES } from "../../protocol/names.ts";
import type { Check, Finding } from "./doctor.ts";

export const settings: Check = {
  name: "settings",
  limitMs: 1_000,
  needs: [],
  run: ({ settings }) =>
    settings.map(({ name, value, from, problem }): Finding => {
      const text = `${name} ${value} (${from})`;
      return problem === undefined
        ? { status: "ok", text }
        : { status: "warn", text, action: problem };
    }),
};

/** A server with 64 connections to reply addresses, logs and threads needs so many. */
const MIN_OPEN_FILES = 256;

/** What a process needs besides messages, in bytes. */
const BASE_BYTES = 256 * 1024 * 1024;

const MIB = 1024 * 1024;

/** Of a server on this host. */
export const limits: Check = {
  name: "limits",
  limitMs: 1_000,
  needs: [],
  run({ process: { openFiles, memoryBytes, cpus, workers, prefetch } }) {
    const findings: Finding[] = [];
    if (openFiles !== undefined && openFiles < MIN_OPEN_FILES) {
      const text = `${openFiles} open files`;
      const action = `raise the limit to ${MIN_OPEN_FILES} at least: ulimit -n, LimitNOFILE=`;
      findings.push({ status: "warn", text, action });
    }
    const needed = BASE_BYTES + prefetch * DEFAULT_MAX_MESSAGE_BYTES;
    if (memoryBytes !== undefined && memoryBytes < needed) {
      const text =
        `${Math.floor(memoryBytes / MIB)} MiB of memory, and a prefetch of ${prefetch} ` +
        `can hold ${(prefetch * DEFAULT_MAX_MESSAGE_BYTES) / MIB} MiB of messages`;
      const action = "serve large messages with a smaller --prefetch, or give more memory";
      findings.push({ status: "warn", text, action });
    }
    if (cpus !== undefined && workers > Math.ceil(cpus)) {
      const text = `${workers} threads for ${cpus} processors`;
      findings.push({ status: "warn", text, action: `serve with --workers ${Math.ceil(cpus)}` });
    }
    if (findings.length > 0) return findings;
    const known = [
      openFiles !== undefined && `${openFiles} open files`,
      memoryBytes !== undefined && `${Math.floor(memoryBytes / MIB)} MiB of memory`,
      cpus !== undefined && `${cpus} processors`,
    ].filter(Boolean);
    return [{ status: "ok", text: known.join(", ") || "none that can be seen" }];
  },
};
