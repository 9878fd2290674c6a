/**
 * All scenarios by their names.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import type { Peers } from "../peers.ts";
import type { Table } from "../table.ts";
import { bign } from "./bign.ts";
import { blocking } from "./blocking.ts";
import { command } from "./command.ts";
import { cores } from "./cores.ts";
import { lone } from "./lone.ts";
import { memory } from "./memory.ts";
import { oneshot } from "./oneshot.ts";
import { pipelined } from "./pipelined.ts";
import { process } from "./process.ts";

/** What is measured, and how. */
export type Scenario = (bench: Bench, peers: Peers) => Table[] | Promise<Table[]>;

/** In the order they run. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  pipelined,
  process,
  lone,
  oneshot,
  command,
  bign,
  blocking,
  cores,
  memory,
};
