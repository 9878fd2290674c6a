/**
 * What `fibrpc call -` does, with amqplib: a number on each line of its input,
 * as many in flight, and the results in the order asked.
 *
 * @module
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { connect } from "./amqplib.js";

const MAX_IN_FLIGHT = 256;

const { values } = parseArgs({
  options: {
    url: { type: "string", default: "" },
    queue: { type: "string", default: "" },
    reply: { type: "string", default: "direct" },
  },
});
const caller = await connect(values);

/**
 * Asked and not printed, in order.
 *
 * @type {{ digits?: string }[]}
 */
const results = [];
let text = "";
let onRoom = () => {};

/** @param {string} n */
async function ask(n) {
  /** @type {{ digits?: string }} */
  const result = {};
  results.push(result);
  result.digits = await caller.call(n);
  if (result === results[0]) print();
}

function print() {
  if (text === "") setImmediate(flush);
  while (results[0]?.digits !== undefined) text += `${results.shift()?.digits}\n`;
  onRoom();
}

function flush() {
  process.stdout.write(text);
  text = "";
}

/** @param {number} count */
async function fewerThan(count) {
  while (results.length >= count) {
    await new Promise((resolve) => onRoom = () => resolve(undefined));
  }
}

let rest = "";
for await (const chunk of process.stdin) {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop() ?? "";
  for (const n of lines) {
    if (results.length >= MAX_IN_FLIGHT) await fewerThan(MAX_IN_FLIGHT);
    ask(n);
  }
}
await fewerThan(1);
await caller.close();
