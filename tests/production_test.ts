/** What is to be copied from examples/production: each tool that reads it finds no fault, and each metric exists. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { CommandLine, READY } from "./cli/command_line.ts";
import { get, monitored } from "./ops/monitored.ts";
import { sharedBroker, uniqueQueue } from "./support/broker.ts";
import { run } from "./support/process.ts";
import { waitFor } from "./support/wait.ts";

const folder = fileURLToPath(new URL("../examples/production/", import.meta.url));
const operations = await Deno.readTextFile(new URL("../docs/operations.md", import.meta.url));
const file = (name: string) => Deno.readTextFile(`${folder}${name}`);

/** Runs a tool in the folder; it must succeed. */
async function check(command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, { cwd: folder });
  assertEquals(code, 0, `${command} ${args.join(" ")}\n${stdout}${stderr}`);
  return stdout + stderr;
}

Deno.test("production: promtool finds no fault in the alerts, and each fires when it should", async () => {
  await check("promtool", "check", "rules", "alerts.yaml");
  await check("promtool", "test", "rules", "alerts_test.yaml");
  const alerts = [...(await file("alerts.yaml")).matchAll(/- alert: (\w+)/g)].map(([, name]) =>
    name
  );
  assert(alerts.length > 15);
  const tests = await file("alerts_test.yaml");
  for (const name of alerts) {
    assert(tests.includes(`alertname: ${name}`), `${name} has no test`);
    assertMatch(operations, new RegExp(`^### ${name}$`, "m"), `${name} is not in operations.md`);
  }
});

Deno.test("production: every metric of the alerts and of the dashboard is one that serve has", async () => {
  const { url } = await sharedBroker();
  const queue = uniqueQueue("production");
  const args = ["--queue-metrics", "1s", "--", "cat"];
  await using server = await monitored(new CommandLine(url), queue, ...args);
  await server.program.waitForStderr(READY);
  await new CommandLine(url).run(["call", "--queue", queue, "--body", "x"]);
  const text = await waitFor(async () => {
    const [, metrics] = await get(`${server.url}/metrics`);
    return metrics.includes("fibrpc_queue_waiting{") && metrics;
  }, { what: "the queue's metrics" });
  const names = new Set([...text.matchAll(/^([a-z]\w*)/gm)].map(([, name]) => name));
  const dashboard = JSON.parse(await file("dashboard.json"));
  const expressions = [...dashboard.panels, ...dashboard.templating.list]
    .flatMap((panel: { targets?: { expr: string }[]; query?: unknown }) => [
      ...(panel.targets ?? []).map(({ expr }) => expr),
      JSON.stringify(panel.query ?? ""),
    ]);
  const used = `${expressions.join("\n")}\n${await file("alerts.yaml")}`
    .matchAll(/\b(fibrpc|process|nodejs)_\w+/g);
  const unknown = [...new Set([...used].map(([name]) => name))].filter((name) => !names.has(name));
  // Deno's base may not read them.
  assertEquals(unknown.filter((name) => !/^process_(open|max)_fds$/.test(name)), []);
  assert(expressions.length > 15);
});

Deno.test("production: the systemd unit is as closed as it says, and gives time for the drain", async () => {
  const unit = await file("fibrpc.service");
  const said = await check(
    "systemd-analyze",
    "security",
    "--offline=true",
    "--threshold=15",
    "./fibrpc.service",
  );
  assertMatch(said, /Overall exposure level for fibrpc.service: 1\.\d OK/);
  const drain = Number(/--drain-timeout (\d+)s/.exec(unit)?.[1]);
  const stop = Number(/^TimeoutStopSec=(\d+)s$/m.exec(unit)?.[1]);
  assert(stop > drain && drain > 0);
});

Deno.test("production: Kubernetes gives time for the drain, and probes what there is", async () => {
  const text = await file("kubernetes.yaml");
  const drain = Number(/- --drain-timeout\n\s+- (\d+)s/.exec(text)?.[1]);
  const grace = Number(/terminationGracePeriodSeconds: (\d+)/.exec(text)?.[1]);
  assert(grace > drain && drain > 0);
  const { url } = await sharedBroker();
  await using server = await monitored(new CommandLine(url), uniqueQueue("production"));
  await server.program.waitForStderr(READY);
  const paths = [...text.matchAll(/path: (\/\w+)/g)].map(([, path]) => path!);
  assertEquals([...paths].sort(), ["/livez", "/metrics", "/readyz"].sort());
  for (const path of paths) {
    await waitFor(async () => (await get(server.url + path))[0] === 200, { what: path });
  }
});

Deno.test("production: the options in all of it are serve's and status's", async () => {
  const all = await Promise.all(["fibrpc.service", "kubernetes.yaml", "Containerfile"].map(file));
  const commands = new CommandLine("");
  const help = (await Promise.all([
    commands.run(["serve", "--help"]),
    commands.run(["status", "--help"]),
  ])).map(({ stdout }) => stdout).join("");
  const lines = all.join("\n").split("\n").filter((line) =>
    /fibrpc (serve|status)|"--|- --/.test(line)
  );
  const options = lines.flatMap((line) => line.match(/--[a-z][\w-]+/g) ?? []);
  assert(options.length > 5);
  for (const option of options) assert(help.includes(`${option} `), option);
});
