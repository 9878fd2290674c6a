/**
 * What the servers in JavaScript share.
 *
 * @module
 */
import process from "node:process";
import { parseArgs } from "node:util";

/** Where to serve. */
export function place() {
  const { values } = parseArgs({
    options: {
      url: { type: "string", default: "" },
      queue: { type: "string", default: "" },
    },
  });
  return values;
}

/** Tells that requests are taken. */
export function sayReady() {
  process.stdout.write("ready\n");
}
