import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { sharedBroker } from "../support/broker.ts";
import { run } from "../support/process.ts";

const broker = await sharedBroker();
const main = fileURLToPath(new URL("../../scripts/bench/main.ts", import.meta.url));

function bench(...args: string[]) {
  return run(Deno.execPath(), ["run", "-A", "--quiet", main, "--url", broker.url, ...args]);
}

Deno.test("bench: measures our programs, and names those that are missing", async () => {
  const args = ["--json", "--ours-only", "--only=pipelined", "--rounds=1", "--calls=200"];
  const { code, stdout, stderr } = await bench(...args);
  assertEquals(code, 0, stderr);
  const { environment, scenarios } = JSON.parse(stdout);
  assertEquals(environment.Deno, Deno.version.deno);
  assertEquals(Object.keys(scenarios), ["pipelined"]);
  const [{ columns, rows }] = scenarios.pipelined;
  assertEquals(columns[0].key, "perSecond");
  assertEquals(rows[0].samples.length, 1);
  assert(rows[0].summary.perSecond.median > 0, stdout);
  assert(rows[0].summary.clientUs.median > 0, stdout);
  assertEquals(rows[0].ratio, { median: 1, min: 1, max: 1 });
  const amqplib = rows.find((row: { name: string }) => row.name.startsWith("amqplib"));
  assertEquals(amqplib.samples, []);
  assertEquals(amqplib.missing, "left out by --ours-only");
});

Deno.test("bench: refuses what it doesn't know, and says what it does", async () => {
  const { code, stderr } = await bench("--only=everything");
  assertEquals(code, 2);
  assert(stderr.includes('no scenario "everything"; there are pipelined, '), stderr);
});
