/**
 * The process's own metrics, those of prom-client that are true here.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { collectDefaultMetrics, Gauge, type Registry } from "prom-client";

/** Those that only Node knows; elsewhere they are 0 or missing. */
const OF_NODE_ONLY = /^nodejs_(active|heap_space|version|gc)_/;

/** Those that are read from `/proc`; without that they would be 0. */
const FROM_PROC = [
  "process_resident_memory_bytes",
  "process_virtual_memory_bytes",
  "process_heap_bytes",
  "process_open_fds",
  "process_max_fds",
];

export function collectProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
  for (const { name } of registry.getMetricsAsArray()) {
    if (OF_NODE_ONLY.test(name)) registry.removeSingleMetric(name);
  }
  if (canReadProc()) return;
  for (const name of FROM_PROC) registry.removeSingleMetric(name);
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory size in bytes.",
    registers: [registry],
    collect() {
      this.set(process.memoryUsage().rss);
    },
  });
}

/** Deno lets only a program with all permissions read there. */
function canReadProc(): boolean {
  try {
    readFileSync("/proc/self/status");
    return true;
  } catch {
    return false;
  }
}
