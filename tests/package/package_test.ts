/** The package for npm, installed as its README says, on each runtime. */
import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { startBroker, uniqueQueue } from "../support/broker.ts";
import { makeCertificates } from "../support/certificates.ts";
import { run, spawn } from "../support/process.ts";
import { attributes, CLIENT, SERVER, type Span, startReceiver } from "../support/span_receiver.ts";
import { startProxy } from "../support/proxy.ts";
import { bun, NODE_VERSIONS, nodeBinary, npmProgram } from "../support/runtimes.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const program = `${root}tests/package/program.ts`;

const NPM_VERSION = "11.21.2";
const TYPESCRIPT_VERSION = "5.9.3";

/** What the program says, whatever it runs on. */
const EXPECTED = `\
an order: {"id":7,"tenant":"t"}
no order: ["not_found",true,{"id":101}]
no JSON: ["invalid_argument",true,null]
2 MiB: [2097152,true]
many: 500
over maxTimeMs: ["resource_exhausted",true,null]
over the timeout: ["deadline_exceeded",false,null]
given up: ["cancelled",false,null]
nobody: ["no_server",false,null]
drained: ["slept",true,"closed"]
closed: [["cancelled",false,null],"closed",0]
before the cut: "answered"
ready to be cut: true
after the cut: "answered"
states: ["connected","connecting","connected","closed"]
by TLS: [3,2,1]
unknown authority: ["unavailable",false,null]
fib(30): "832040"
fib(1000000): 208988
fib(100000000): ["resource_exhausted",true,null]
a command: "a b\\n"
exit 65: ["invalid_argument",true,null]
exit 3: ["internal",true,null]
2 MB: 2000000
too long: ["resource_exhausted",true,null]
`;

/** What the observed program says. */
const OBSERVED = `\
ONCE
invalid_argument
fibrpc_replies_total{queue="q",code="ok"} 2
fibrpc_replies_total{queue="q",code="invalid_argument"} 1
`;

/** OpenTelemetry's SDK, and what the parts of the library need that are not always used. */
const SDK = [
  "api",
  "context-async-hooks",
  "core",
  "exporter-trace-otlp-http",
  "sdk-trace-base",
].map((name) => `@opentelemetry/${name}@${importedVersion(`@opentelemetry/${name}`)}`)
  .concat(`prom-client@${importedVersion("prom-client")}`);

function importedVersion(name: string): string {
  const imports: Record<string, string> = config.imports;
  return imports[name]!.split("@").at(-1)!;
}

/** Runs a command that has to succeed. */
async function must(command: string, args: string[], cwd: string): Promise<string> {
  // npm and TypeScript leave their compiled code in the folder for temporary files.
  const env = { NODE_DISABLE_COMPILE_CACHE: "1" };
  const { code, stdout, stderr } = await run(command, args, { cwd, env, timeoutMs: 180_000 });
  assertEquals(code, 0, `${command} ${args.join(" ")}\n${stdout}${stderr}`);
  return stdout;
}

Deno.test("package", async (t) => {
  await using files = await makeCertificates();
  await using broker = await startBroker({ tls: { ca: files.ca, ...files.server } });
  await using proxy = await startProxy(Number(new URL(broker.url).port));
  const folder = await Deno.makeTempDir();
  const tarball = `${folder}/fibrpc.tgz`;

  /** A user's project with nothing in it but the program. */
  async function project(name: string, files: Record<string, unknown> = {}): Promise<string> {
    const path = `${folder}/${name}`;
    await Deno.mkdir(path);
    for (const [file, content] of Object.entries(files)) {
      await Deno.writeTextFile(`${path}/${file}`, JSON.stringify(content));
    }
    await Deno.copyFile(program, `${path}/program.ts`);
    return path;
  }

  async function works(command: string, args: string[], cwd: string): Promise<void> {
    await using running = spawn(command, [...args, "program.ts"], {
      cwd,
      env: {
        BROKER: broker.url,
        SECURE: broker.tlsUrl,
        FRAGILE: proxy.url(broker.url),
        CA: await Deno.readTextFile(files.ca),
        QUEUE: uniqueQueue("package"),
        NO_COLOR: "1",
      },
    });
    await running.waitForStdout(/^ready to be cut/m);
    proxy.reset();
    const { code } = await running.waitForExit();
    assertEquals(
      running.stderr.replaceAll(/^.*(ExperimentalWarning|--trace-warnings).*\n/gm, ""),
      "",
    );
    assertEquals(running.stdout, EXPECTED);
    assertEquals(code, 0);
  }

  /** Metrics and traces are what they should be, with the SDK that is there. */
  async function isObserved(
    command: string,
    args: string[],
    cwd: string,
    sdk: Record<string, string> = {},
  ): Promise<void> {
    await using receiver = await startReceiver();
    if (cwd !== root) {
      for (const file of ["observed.ts", "node_sdk.ts"]) {
        await Deno.copyFile(`${root}tests/package/${file}`, `${cwd}/${file}`);
      }
    }
    const file = cwd === root ? "tests/package/observed.ts" : "observed.ts";
    const { code, stdout, stderr } = await run(command, [...args, file], {
      cwd,
      env: {
        BROKER: broker.url,
        QUEUE: uniqueQueue("observed"),
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
        NO_COLOR: "1",
        ...sdk,
      },
    });
    assertEquals([code, stdout], [0, OBSERVED], stderr);
    const spans = receiver.spans.filter(({ name }) => /^(call|process) observed/.test(name));
    const [outer, ...others] = spans.filter(({ kind, parentSpanId }) =>
      kind === CLIENT && !parentSpanId
    );
    assertEquals(others.length, 1);
    const chain = [outer!];
    for (let next: Span | undefined = outer; next !== undefined;) {
      next = spans.find(({ parentSpanId }) => parentSpanId === next!.spanId);
      if (next !== undefined) chain.push(next);
    }
    assertEquals(chain.map(({ kind }) => kind), [CLIENT, SERVER, CLIENT, SERVER]);
    assertEquals(new Set(chain.map(({ traceId }) => traceId)).size, 1);
    const failed = spans.filter((span) => span.traceId === others[0]!.traceId);
    assertEquals(failed.map((span) => attributes(span)["error.type"]), [
      "invalid_argument",
      "invalid_argument",
    ]);
  }

  try {
    await t.step("is packed, the same each time", async () => {
      const pack = ["run", "-A", "--quiet", `${root}scripts/pack.ts`, "--output"];
      await must(Deno.execPath(), [...pack, tarball], root);
      await must(Deno.execPath(), [...pack, `${folder}/again.tgz`], root);
      assertEquals(await Deno.readFile(`${folder}/again.tgz`), await Deno.readFile(tarball));
    });

    for (const release of NODE_VERSIONS) {
      await t.step(`Node ${release}: npm install`, async () => {
        const node = await nodeBinary(release);
        const npm = await npmProgram("npm", NPM_VERSION, "bin/npm-cli.js");
        const app = await project(`node-${release}`, { "package.json": { type: "module" } });
        await must(node, [npm, "install", "--no-audit", "--no-fund", tarball], app);
        await works(node, [], app);
      });
    }

    await t.step("Node: metrics, and traces by OpenTelemetry's SDK", async () => {
      const node = await nodeBinary(NODE_VERSIONS[0]);
      const npm = await npmProgram("npm", NPM_VERSION, "bin/npm-cli.js");
      const app = `${folder}/node-${NODE_VERSIONS[0]}`;
      await must(node, [npm, "install", "--no-audit", "--no-fund", ...SDK], app);
      await isObserved(node, [], app);
    });

    await t.step("TypeScript: has all its types, and needs no others", async () => {
      const node = await nodeBinary(NODE_VERSIONS[0]);
      const tsc = await npmProgram("typescript", TYPESCRIPT_VERSION, "bin/tsc");
      const options = [
        "--noEmit",
        "--strict",
        "--exactOptionalPropertyTypes",
        "--lib",
        "esnext,dom",
      ];
      options.push("--target", "esnext", "--module", "nodenext");
      const app = `${folder}/node-${NODE_VERSIONS[0]}`;
      await must(node, [tsc, ...options, "program.ts"], app);
    });

    await t.step("Bun: bun add", async () => {
      const app = await project("bun", { "package.json": { type: "module" } });
      await must(await bun(), ["add", tarball], app);
      await works(await bun(), [], app);
    });

    await t.step("Deno: a link to the unpacked package", async () => {
      const app = await project("deno", {
        "deno.json": {
          links: ["./package"],
          nodeModulesDir: "auto",
          imports: { "@fibrpc/fibrpc": `npm:@fibrpc/fibrpc@${config.version}` },
        },
      });
      await must("tar", ["xzf", tarball], app);
      await must(Deno.execPath(), ["install"], app);
      await must(Deno.execPath(), ["check", "program.ts"], app);
      await works(Deno.execPath(), ["run", "--quiet", "-A"], app);
    });

    await t.step("Deno: metrics, and traces by its own SDK", async () => {
      await isObserved(Deno.execPath(), ["run", "--quiet", "-A"], root, {
        OTEL_DENO: "true",
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      });
    });

    await t.step("Deno: a link to a checkout", async () => {
      const app = await project("checkout", {
        "deno.json": {
          links: [root],
          imports: { "@fibrpc/fibrpc": `jsr:@fibrpc/fibrpc@${config.version}` },
        },
      });
      await must(Deno.execPath(), ["check", "program.ts"], app);
      await works(Deno.execPath(), ["run", "--quiet", "-A"], app);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
