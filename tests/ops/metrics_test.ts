import { assert, assertEquals } from "@std/assert";
import { CommandLine, READY } from "../cli/command_line.ts";
import { RPC_ERROR_CODES } from "../../src/errors.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { run } from "../support/process.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";
import { get, monitored } from "./monitored.ts";

const { url } = await sharedBroker();
const fibrpc = new CommandLine(url);

/** The samples, by name and labels. */
async function scrape(server: { url: string }): Promise<Map<string, number>> {
  const [status, text] = await get(`${server.url}/metrics`);
  assertEquals(status, 200);
  return new Map(
    text.split("\n").filter((line) => /^[a-z]/.test(line)).map((line) => {
      const end = line.lastIndexOf(" ");
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

Deno.test("/metrics: what was asked, answered, dropped and is in hand; promtool finds no fault", async () => {
  const queue = uniqueQueue("metrics");
  await using server = await monitored(fibrpc, queue, "--queue-metrics", "1s", "--workers", "3");
  await server.program.waitForStderr(READY);
  const of = (name: string, labels = "") => `fibrpc_${name}{queue="${queue}"${labels}}`;

  const before = await scrape(server);
  for (const code of ["ok", ...RPC_ERROR_CODES]) {
    assertEquals(before.get(of("replies_total", `,code="${code}"`)), 0, code);
  }
  const zero = ["requests_total", "poisoned_total", "reconnects_total", "handling_seconds_count"];
  for (const name of zero) assertEquals(before.get(of(name)), 0, name);

  await fibrpc.run(["call", "30", "31", "99999999", "--queue", queue]);
  await using peer = await RawChannel.open(url);
  await peer.channel.basicPublish("", queue, "30"); // It can't be answered.
  await peer.channel.basicPublish("", queue, "x", { replyTo: `${queue}-none` });
  const samples = await waitFor(async () => {
    const found = await scrape(server);
    return found.get(of("replies_unroutable_total")) === 1 && found;
  }, { what: "the reply that comes back" });
  const expected: Record<string, number> = {
    [of("requests_total")]: 5,
    [of("replies_total", ',code="ok"')]: 2,
    [of("replies_total", ',code="out_of_range"')]: 1,
    [of("replies_total", ',code="invalid_argument"')]: 1,
    [of("requests_dropped_total", ',reason="rejected"')]: 1,
    [of("request_bytes_total")]: 2 + 2 + 8 + 2 + 1,
    [of("handling_seconds_count")]: 4,
    [of("handling_seconds_bucket", ',le="300"').replace(/\{(.*),(.*)\}/, "{$2,$1}")]: 4,
    [of("in_flight")]: 0,
    [of("prefetch")]: 64,
    [of("concurrency")]: 3,
    [of("connected")]: 1,
    [of("ready")]: 1,
    [of("blocked")]: 0,
    [of("draining")]: 0,
  };
  for (const [name, value] of Object.entries(expected)) {
    assertEquals(samples.get(name), value, name);
  }
  assert(samples.get(of("reply_bytes_total"))! > 13);
  for (const name of ["process_resident_memory_bytes", "process_cpu_seconds_total"]) {
    assert(samples.get(name)! > 0, name);
  }
  const buckets = [...samples.keys()].filter((name) => name.includes("seconds_bucket"));
  assertEquals(buckets.length, 18);
  const labels = [...samples.keys()].flatMap((name) =>
    name.startsWith("fibrpc_") ? [...name.matchAll(/[{,](\w+)=/g)].map(([, label]) => label) : []
  );
  assertEquals([...new Set(labels)].sort(), ["base", "code", "le", "queue", "reason", "version"]);

  await waitFor(async () => {
    const found = await scrape(server);
    return found.get(of("queue_consumers")) === 1 && found.get(of("queue_waiting")) === 0 &&
      found.get(of("queue_suspects")) === 0;
  }, { what: "the queue's metrics" });

  const [, text] = await get(`${server.url}/metrics`);
  const checked = await run("promtool", ["check", "metrics"], { stdin: `${text}\n` });
  // It does not know the client library's own convention.
  const said = checked.stdout + checked.stderr;
  assertEquals(said.split("\n").filter((line) => line.startsWith("fibrpc_")), [], said);
});

Deno.test("/metrics: how commands end; one that stays over its time is found by /livez", async () => {
  const queue = uniqueQueue("exits");
  const script = 'read -r how; case $how in term) kill -TERM $$;; *) exit "$how";; esac';
  await using server = await monitored(fibrpc, queue, "--", "sh", "-c", script);
  await server.program.waitForStderr(READY);
  const bodies = ["0", "0", "7", "65", "term"].flatMap((body) => ["--body", body]);
  await fibrpc.run(["call", "--queue", queue, "--output", "json", ...bodies]);
  const samples = await scrape(server);
  const exits = [...samples].filter(([name]) => name.startsWith("fibrpc_command_exits_total"))
    .map(([name, count]) => [/exit="(.*)"/.exec(name)![1], count]).sort();
  assertEquals(exits, [["0", 2], ["65", 1], ["7", 1], ["SIGTERM", 1]]);
});
