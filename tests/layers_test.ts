import { assertEquals } from "@std/assert";

/** What each place may import of ours; the leaves are open to all. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  "mod.ts": ["api"],
  api: ["api", "ops", "services", "rpc", "amqp"],
  cli: ["cli", "ops", "services", "rpc", "amqp", "protocol"],
  ops: ["ops", "rpc", "amqp", "protocol"],
  services: ["services", "rpc", "amqp", "protocol"],
  rpc: ["rpc", "amqp", "protocol"],
  amqp: ["amqp"],
  protocol: ["protocol"],
};

const LEAVES = ["bytes.ts", "checks.ts", "errors.ts", "text.ts", "time.ts"];

interface Module {
  specifier: string;
  dependencies?: {
    specifier: string;
    code?: { specifier: string };
    type?: { specifier: string };
    isDynamic?: boolean;
  }[];
}

const root = new URL("../", import.meta.url).href;

async function modules(): Promise<Module[]> {
  const found: Module[] = [];
  for (const entry of ["mod.ts", "src/cli/main.ts"]) {
    const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--quiet", entry],
      cwd: new URL(root),
    }).output();
    assertEquals(success, true, new TextDecoder().decode(stderr));
    found.push(...JSON.parse(new TextDecoder().decode(stdout)).modules);
  }
  return found.filter(({ specifier }) => specifier.startsWith(root));
}

/** The file from the root, and the place it belongs to. */
function place(specifier: string): string {
  const path = specifier.slice(root.length).replace(/^src\//, "");
  return path.split("/")[0]!;
}

function edges(all: readonly Module[]): [from: string, to: string][] {
  return all.flatMap(({ specifier, dependencies = [] }) =>
    dependencies.map((dependency): [string, string] => [
      specifier,
      dependency.code?.specifier ?? dependency.type?.specifier ?? dependency.specifier,
    ])
  );
}

Deno.test("layers: imports point one way", async () => {
  const wrong = edges(await modules())
    .filter(([, to]) => to.startsWith(`${root}src/`) || to === `${root}mod.ts`)
    .filter(([from, to]) => {
      const target = place(to);
      return !LEAVES.includes(target) && !MAY_IMPORT[place(from)]?.includes(target);
    });
  assertEquals(wrong, []);
});

Deno.test("layers: the two ends don't know each other", async () => {
  const ENDS = [`${root}src/rpc/client/`, `${root}src/rpc/server/`];
  const wrong = edges(await modules()).filter(([from, to]) =>
    ENDS.some((end) => from.startsWith(end)) && ENDS.some((end) => to.startsWith(end)) &&
    from.slice(0, ENDS[0]!.length) !== to.slice(0, ENDS[0]!.length)
  );
  assertEquals(wrong, []);
});

/** What the others may use of amqp/. */
const DOORS = [
  "broker_url",
  "channel",
  "connection",
  "credentials",
  "failure",
  "message",
  "queue",
  "supervisor",
].map((name) => `${root}src/amqp/${name}.ts`);

Deno.test("layers: amqp has few doors", async () => {
  const others = edges(await modules())
    .filter(([from, to]) => to.startsWith(`${root}src/amqp/`) && place(from) !== "amqp")
    .filter(([, to]) => !DOORS.includes(to))
    .map(([from, to]) => `${from.slice(root.length)} -> ${to.slice(root.length)}`);
  assertEquals(
    [...new Set(others)].sort(),
    [
      // What a connection does at once, step by step.
      "src/ops/doctor/certificate.ts -> src/amqp/socket/tls.ts",
      "src/ops/doctor/reach.ts -> src/amqp/socket/addresses.ts",
      "src/ops/doctor/reach.ts -> src/amqp/socket/open.ts",
      // Settings that are checked before anything connects.
      "src/cli/options/access.ts -> src/amqp/socket/tls.ts",
      "src/rpc/connect_options.ts -> src/amqp/handshake.ts",
      "src/rpc/connect_options.ts -> src/amqp/socket/tls.ts",
      // A process that makes one attempt and ends may use faster sockets.
      "src/cli/commands/call_command.ts -> src/amqp/socket/open.ts",
    ].sort(),
  );
});

Deno.test("layers: the AMQP library is imported by amqp only", async () => {
  const all = edges(await modules());
  const importers = all.filter(([, to]) => to.includes("@cloudamqp/amqp-client"));
  assertEquals([...new Set(importers.map(([from]) => place(from)))], ["amqp"]);
});

Deno.test("layers: the library doesn't import the command line's packages", async () => {
  const users = edges(await modules())
    .filter(([, to]) => /commander|bomb\.sh|parse-duration/.test(to))
    .map(([from]) => place(from));
  assertEquals([...new Set(users)], ["cli"]);
});

Deno.test("layers: no cycles", async () => {
  const graph = new Map<string, string[]>();
  for (const [from, to] of edges(await modules())) {
    if (to.startsWith(root)) graph.set(from, [...graph.get(from) ?? [], to]);
  }
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (node: string, path: readonly string[]) => {
    if (path.includes(node)) cycles.push([...path.slice(path.indexOf(node)), node].join(" -> "));
    if (done.has(node)) return;
    done.add(node);
    for (const next of graph.get(node) ?? []) visit(next, [...path, node]);
  };
  for (const node of graph.keys()) visit(node, []);
  assertEquals(cycles, []);
});

Deno.test("layers: only the command line touches the process", async () => {
  const users = edges(await modules())
    .filter(([from, to]) => /^node:(os|process|fs|child_process)/.test(to) && place(from) !== "cli")
    .map(([from, to]) => `${from.slice(root.length)} imports ${to}`);
  // Builtins that aren't always needed, the process id in a connection's name, commands, and the process's own metrics.
  assertEquals([...new Set(users)].sort(), [
    "src/amqp/socket/tls.ts imports node:process",
    "src/ops/process_metrics.ts imports node:fs",
    "src/ops/process_metrics.ts imports node:process",
    "src/rpc/connect_options.ts imports node:process",
    "src/services/command/group_keeper.ts imports node:child_process",
    "src/services/command/process_group.ts imports node:child_process",
    "src/services/command/process_group.ts imports node:process",
    "src/services/fibonacci/pool/compute_thread.ts imports node:process",
  ]);
});

/** The files of `src/` that a program loads which imports one of them. */
async function loadedBy(file: string): Promise<string[]> {
  const all = new Map((await modules()).map((module) => [module.specifier, module]));
  const loaded = new Set<string>();
  const visit = (specifier: string) => {
    if (loaded.has(specifier)) return;
    loaded.add(specifier);
    for (const { code, isDynamic } of all.get(specifier)?.dependencies ?? []) {
      if (!isDynamic && code?.specifier.startsWith(root)) visit(code.specifier);
    }
  };
  visit(`${root}src/${file}`);
  return [...loaded].map((specifier) => specifier.slice(`${root}src/`.length));
}

const LOADS_NONE_OF: Record<string, RegExp> = {
  "cli/main.ts": /^cli\/commands|^ops|^rpc\/(client|server)|^services/,
  "cli/commands/call_command.ts": /^ops|^rpc\/server|\/(pool|math|command)\/|\/serve/,
  "cli/commands/call_bodies.ts": /^rpc\/server|^services|\/serve/,
  "cli/commands/call_numbers.ts": /^rpc\/server|\/(pool|math|command)\/|\/serve/,
  "api/client.ts": /^rpc\/server|^services/,
  "api/server.ts": /^rpc\/client|^services/,
  "api/service.ts": /^rpc\/(client|server)|^services|^amqp/,
};

for (const [file, others] of Object.entries(LOADS_NONE_OF)) {
  Deno.test(`layers: ${file} loads nothing that it can do without`, async () => {
    const loaded = await loadedBy(file);
    assertEquals(loaded[0], file);
    assertEquals(loaded.length > 1, true);
    assertEquals(loaded.filter((path) => others.test(path)), []);
  });
}
