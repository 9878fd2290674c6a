/** What the options and variables of both commands make: each has an effect. */
import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import type { Command } from "@commander-js/extra-typings";
import type { BodyInputs, CallBodiesOptions } from "../../src/cli/commands/call_bodies.ts";
import type { CallNumbersOptions } from "../../src/cli/commands/call_numbers.ts";
import { defineCall } from "../../src/cli/commands/call_command.ts";
import type { Environment } from "../../src/cli/environment.ts";
import { type LeanCommand, leanCommand } from "../../src/cli/options/lean_command.ts";
import type { ServeCommandOptions, ServedCommandOptions } from "../../src/cli/commands/serve.ts";
import { defineServe } from "../../src/cli/commands/serve_command.ts";
import { variableArguments, variableOf } from "../../src/cli/options/variables.ts";
import { RpcError } from "../../src/errors.ts";
import { type Issued, makeCertificates } from "../support/certificates.ts";
import type { FibonacciServerOptions } from "../../src/services/fibonacci/server.ts";
import { FakeProcess } from "./fake_process.ts";

type Made =
  & Partial<Omit<CallNumbersOptions, "output" | "interceptors">>
  & Partial<Omit<CallBodiesOptions, "output" | "interceptors">>
  & Partial<Omit<ServedCommandOptions, "interceptors">>
  & Pick<FibonacciServerOptions, "maxN" | "workers">
  & {
    readonly output?: string;
    readonly numbers?: readonly string[];
    /** The bodies, as text. */
    readonly bodies?: readonly string[];
  };

/** Runs one of the commands up to where it would begin; gives what it would begin with. */
async function made(
  [name, ...args]: string[],
  env: Record<string, string> = {},
): Promise<Made> {
  const process = new FakeProcess();
  process.stdin.end("one\n\ntwo");
  Object.assign(process.env, env);
  let made: Made | undefined;
  const run = {
    numbers: (_: Environment, numbers: readonly string[], options: CallNumbersOptions) => {
      made = { ...options, numbers };
      return Promise.resolve(7);
    },
    async bodies(_: Environment, inputs: BodyInputs, options: CallBodiesOptions) {
      const bodies: string[] = [];
      for await (const batch of inputs.batches()) {
        bodies.push(...batch.map(({ body }) => new TextDecoder().decode(body)));
      }
      made = { ...options, bodies };
      return 7;
    },
    serve: (_: Environment, options: ServeCommandOptions) => {
      made = { ...options };
      return Promise.resolve(7);
    },
  };
  let exitCode: number | undefined;
  const exit = (code: number) => exitCode = code;
  const command: Command = leanCommand(`fibrpc ${name}`).exitOverride();
  const end = args.indexOf("--");
  const words = end === -1 ? undefined : args.splice(end).slice(1);
  if (name === "serve") defineServe(command, process, exit, words, run.serve);
  else defineCall(command, process, exit, undefined, run);
  const { definitions } = command as unknown as LeanCommand;
  const more = name === "serve" ? variableArguments(process, definitions, args) : [];
  await command.parseAsync([...more, ...args], { from: "user" });
  assertEquals(exitCode, 7);
  return made!;
}

const SERVE = { name: "fibrpc serve@host:1", exitOnDisconnect: false };
const CALL = { name: "fibrpc call@host:1", numbers: ["30"], output: "text", quiet: false };

/** Options, and what they change in what the command begins with. */
const CASES: [args: string[], effect: Made][] = [
  [["serve"], {}],
  [["serve", "--url", "amqp://a", "--url=amqp://b"], { url: ["amqp://a", "amqp://b"] }],
  [["serve", "--queue", "q"], { queue: "q" }],
  [["serve", "--max-n", "5"], { maxN: 5 }],
  [["serve", "--max-time", "5s"], { maxTimeMs: 5_000 }],
  [["serve", "--workers", "5"], { workers: 5 }],
  [["serve", "--prefetch", "5"], { prefetch: 5 }],
  [["serve", "--max-attempts", "5"], { maxAttempts: 5 }],
  [["serve", "--drain-timeout", "5s"], { drainTimeoutMs: 5_000 }],
  [["serve", "--exit-on-disconnect"], { exitOnDisconnect: true }],
  [["serve", "--http", "80"], { http: { host: "127.0.0.1", port: 80 } }],
  [["serve", "--http", ":80", "--queue-metrics", "5s"], {
    http: { host: undefined, port: 80 },
    queueMetricsMs: 5_000,
  }],
  [["serve", "--http", "[::1]:0"], { http: { host: "::1", port: 0 } }],
  [["serve", "--health-file", "/run/x"], { healthFile: "/run/x" }],
  [["serve", "--no-quarantine"], { quarantine: false }],
  [["serve", "--queue", "q", "--", "/bin/cat", "a b", "--max-n"], {
    queue: "q",
    command: ["/bin/cat", "a b", "--max-n"],
    env: {},
  }],
  [["serve", "--queue=q", "--concurrency=3", "--content-type=text/plain", "--", "/bin/cat"], {
    queue: "q",
    concurrency: 3,
    contentType: "text/plain",
    command: ["/bin/cat"],
    env: {},
  }],
  [["serve", "--queue-type", "quorum"], { queueType: "quorum" }],
  [["serve", "--heartbeat", "5"], { heartbeatSeconds: 5 }],
  [["serve", "--max-message-bytes", "5"], { maxMessageBytes: 5 }],
  [["serve", "--quiet"], {}],
  [["call", "30"], {}],
  [["call", "1", "-", "2"], { numbers: ["1", "-", "2"] }],
  [["call", "30", "--url", "amqp://a", "--url=amqp://b"], { url: ["amqp://a", "amqp://b"] }],
  [["call", "30", "--queue", "q"], { queue: "q" }],
  [["call", "30", "--timeout", "5s"], { timeoutMs: 5_000 }],
  [["call", "30", "--connect-timeout", "5s"], { connectTimeoutMs: 5_000 }],
  [["call", "30", "--reply", "queue"], { reply: "queue" }],
  [["call", "30", "--require-server"], { requireServer: true }],
  [["call", "30", "--output", "json"], { output: "json" }],
  [["call", "30", "--heartbeat", "5"], { heartbeatSeconds: 5 }],
  [["call", "30", "--max-message-bytes", "5"], { maxMessageBytes: 5 }],
  [["call", "30", "--quiet"], { quiet: true }],
  [["call", "30", "--in-flight", "5"], { inFlight: 5 }],
];

const BODIES = {
  name: CALL.name,
  quiet: false,
  queue: "q",
  contentType: "application/octet-stream",
  headers: {},
  idempotent: false,
};

/** The same of calls with bodies. */
const BODY_CASES: [args: string[], effect: Made][] = [
  [["--body", "a"], { bodies: ["a"], output: "raw" }],
  [["--body", "@@a", "--body="], { bodies: ["@a", ""], output: "text" }],
  [["--body", "a", "--output", "text"], { bodies: ["a"], output: "text" }],
  [["--body", "a", "--content-type", "text/x"], {
    bodies: ["a"],
    output: "raw",
    contentType: "text/x",
  }],
  [["--body", "a", "--idempotent"], { bodies: ["a"], output: "raw", idempotent: true }],
  [["--body", "a", "--header", "x: y: z", "--header=e:"], {
    bodies: ["a"],
    output: "raw",
    headers: { x: "y: z", e: "" },
  }],
  [["--lines", "-"], { bodies: ["one", "two"], output: "text" }],
  [["--lines", "-", "--output", "json", "--in-flight", "2"], {
    bodies: ["one", "two"],
    output: "json",
    inFlight: 2,
  }],
];

for (const [args, effect] of CASES) {
  Deno.test(`options: ${args.join(" ")}`, async () => {
    const unchanged = args[0] === "serve" ? SERVE : CALL;
    assertEquals(await made(args), { ...unchanged, ...effect } as Made);
  });
}

for (const [args, effect] of BODY_CASES) {
  Deno.test(`options: call ${args.join(" ")}`, async () => {
    assertEquals(await made(["call", "--queue", "q", ...args]), { ...BODIES, ...effect } as Made);
  });
}

Deno.test("options: --allow-reply-to is a filter of names", async () => {
  const { allowReplyTo } = await made(["serve", "--allow-reply-to", "a.*", "b"]);
  assertEquals(["a.x", "b", "a", "x"].map((name) => allowReplyTo!(name)), [
    true,
    true,
    false,
    false,
  ]);
});

Deno.test("options: variables stand in for options, and come after them", async () => {
  const env = {
    FIBRPC_URL: " amqp://a\n",
    AMQP_URL: "amqp://b",
    FIBRPC_QUEUE: "q",
    FIBRPC_TIMEOUT: "5s",
  };
  const { url, queue, timeoutMs } = await made(["call", "30"], env);
  assertEquals({ url, queue, timeoutMs }, { url: " amqp://a\n", queue: "q", timeoutMs: 5_000 });
  const args = ["call", "30", "--url", "amqp://c", "--queue", "r", "--timeout", "1s"];
  const given = await made(args, env);
  assertEquals([given.url, given.queue, given.timeoutMs], [["amqp://c"], "r", 1_000]);
  assertEquals((await made(["serve"], { ...env, FIBRPC_URL: "" })).url, "amqp://b");
});

Deno.test("options: --password-file and FIBRPC_PASSWORD_FILE, read whenever they are asked for", async () => {
  await using folder = await temporaryFolder();
  const [file, other] = [`${folder.path}/password`, `${folder.path}/other`];
  await Deno.writeTextFile(file, "first\n");
  await Deno.writeTextFile(other, "other\n");
  for (const command of [["serve"], ["call", "30"]]) {
    await Deno.writeTextFile(file, "first\n");
    const env = { FIBRPC_PASSWORD_FILE: other };
    const { credentials } = await made([...command, "--password-file", file], env);
    assertEquals(await credentials!(), { password: "first" });
    await Deno.writeTextFile(file, "second\n");
    assertEquals(await credentials!(), { password: "second" });
    assertEquals(await (await made(command, env)).credentials!(), { password: "other" });
  }
});

Deno.test("options: a password file that is wrong later fails that attempt only", async () => {
  await using folder = await temporaryFolder();
  const file = `${folder.path}/password`;
  await Deno.writeTextFile(file, "first\n");
  const { credentials } = await made(["serve", "--password-file", file]);
  const failure = async () => await Promise.resolve(credentials!()).catch((error) => error);
  await Deno.remove(file);
  assertEquals((await failure()).code, "unavailable");
  assertMatch((await failure()).message, /^can't read --password-file ".*\/password": /);
  await Deno.writeTextFile(file, "");
  assertEquals((await failure()).code, "unavailable");
  await Deno.writeTextFile(file, "second");
  assertEquals(await failure(), { password: "second" });
});

Deno.test("options: --tls-ca, --tls-cert and --tls-key, read whenever they are asked for", async () => {
  await using files = await makeCertificates();
  await using folder = await temporaryFolder();
  const [ca, cert, key] = ["ca", "cert", "key"].map((name) => `${folder.path}/${name}`);
  const replace = async (authority: string, client: Issued) => {
    await Deno.copyFile(authority, ca!);
    await Deno.copyFile(client.cert, cert!);
    await Deno.copyFile(client.key, key!);
  };
  const read = (file: string) => Deno.readTextFile(file);
  await replace(files.ca, files.client);
  const args = ["--tls-ca", ca!, "--tls-cert", cert!, "--tls-key", key!];
  const { tls } = await made(["call", "30", "--url", "amqp://a", "--url", "amqps://b", ...args]);
  if (typeof tls !== "function") throw new Error("it can't be asked for");
  assertEquals(await tls(), {
    ca: await read(files.ca),
    cert: await read(files.client.cert),
    key: await read(files.client.key),
  });
  await replace(files.strangersCa, files.strangersClient);
  assertEquals(await tls(), {
    ca: await read(files.strangersCa),
    cert: await read(files.strangersClient.cert),
    key: await read(files.strangersClient.key),
  });
  await Deno.copyFile(files.client.cert, cert!); // Only one of the two is there yet.
  const failure = await Promise.resolve(tls()).catch((error) => error);
  assertEquals(failure.code, "unavailable");
  assertMatch(failure.message, /^--tls-key ".*\/key" is not the private key .* in --tls-cert "/);

  const { tls: only } = await made(["serve", "--url", "amqps://b", "--tls-ca", ca!]);
  if (typeof only !== "function") throw new Error("it can't be asked for");
  assertEquals(await only(), { ca: await read(files.strangersCa) });
});

/** Runs the whole program; nothing listens at its broker. */
async function outcome(args: string[], env: Record<string, string> = {}) {
  const process = new FakeProcess(...args);
  Object.assign(process.env, env);
  const { code, stderr } = await process.run();
  const warnings = stderr.split("\n").filter((line) => /"warning/.test(line))
    .map((line): string => JSON.parse(line).message);
  return { code, stderr, warnings };
}

const OFFLINE = {
  call: ["call", "30", "--connect-timeout", "1ms"],
  serve: ["serve", "--exit-on-disconnect"],
};

Deno.test("options: a password in --url is warned of once, unless that is guest's or not to be seen", async () => {
  for (const command of Object.values(OFFLINE)) {
    const warned = async (...args: string[]) =>
      (await outcome([...command, ...args])).warnings.filter((text) => text.includes("--url"));
    const secret = ["--url", "amqp://u:p@127.0.0.1:1"];
    assertEquals(await warned(...secret, ...secret), [
      "the password in --url is visible in the process list; use --password-file or set FIBRPC_URL",
    ]);
    for (const level of ["debug", "warning"]) {
      assertEquals((await warned(...secret, "--log-level", level)).length, 1);
    }
    assertEquals(await warned(...secret, "--log-level", "error"), []);
    assertEquals(await warned(...secret, "--quiet"), []);
    assertEquals(await warned("--url", "amqp://u:guest@127.0.0.1:1"), []);
    assertEquals(await warned("--url", "amqp://u@127.0.0.1:1"), []);
    assertEquals((await warned(`--url=${secret[1]}`)).length, 1);
    const env = { FIBRPC_URL: "amqp://u:p@127.0.0.1:1" };
    assertEquals((await outcome(command, env)).stderr.includes("process list"), false);
  }
});

Deno.test("options: parameters of a URL that have no effect are named in one warning", async () => {
  const url =
    "amqp://127.0.0.1:1?cacertfile=/ca&heartbeat=5,amqp://127.0.0.1:1?hartbeat=5&cacertfile=/x";
  for (const command of Object.values(OFFLINE)) {
    const env = { FIBRPC_URL: url };
    for (const level of [[], ["--log-level", "debug"]]) {
      const { code, warnings } = await outcome([...command, ...level], env);
      assertEquals(code, 3);
      const named = warnings.filter((text) => text.includes("without effect"));
      assertEquals(named.length, 1);
      assertMatch(named[0]!, /: cacertfile, hartbeat \(/);
    }
    const obeyed = { FIBRPC_URL: "amqp://127.0.0.1:1?heartbeat=5" };
    assertEquals((await outcome(command, obeyed)).stderr.includes("without effect"), false);
    const { code, stderr } = await outcome(command, {
      FIBRPC_URL: "amqp://127.0.0.1:1?auth_mechanism=external",
    });
    assertEquals(code, 2);
    assertMatch(stderr, /^fibrpc: FIBRPC_URL: broker URL has a parameter auth_mechanism: .*PLAIN/);
  }
});

Deno.test("options: a control character in a queue's name is refused, with the name", async () => {
  for (const command of Object.values(OFFLINE)) {
    for (const [queue, shown] of [["q\n", '"q\\n"'], ["q\r", '"q\\r"'], ["\0", '"\\u0000"']]) {
      const { code, stderr } = await outcome(command, { FIBRPC_QUEUE: queue! });
      assertEquals([code, stderr], [2, `fibrpc: queue ${shown} holds a control character\n`]);
      assertEquals((await outcome([...command, "--queue", queue!])).code, 2);
    }
  }
});

Deno.test("options: RabbitMQ's address of replies is no request queue", async () => {
  for (const command of Object.values(OFFLINE)) {
    for (const queue of ["amq.rabbitmq.reply-to", "amq.rabbitmq.reply-to.x"]) {
      const { code, stderr } = await outcome([...command, "--queue", queue]);
      assertEquals([code, stderr], [2, `fibrpc: queue "${queue}" is an address of replies only\n`]);
    }
  }
});

Deno.test("options: a line's end in a variable is refused, and shown", async () => {
  const { code, stderr } = await outcome(OFFLINE.call, { FIBRPC_TIMEOUT: "5s\n" });
  assertEquals(code, 2);
  assertMatch(stderr, /^fibrpc: FIBRPC_TIMEOUT="5s\\n" is invalid\. /);
});

Deno.test("options: a broker URL where none belongs is refused, and not shown", async () => {
  const url = "amqp://u:swordfish@127.0.0.1:1";
  for (const command of Object.values(OFFLINE)) {
    const wrong = [[url], [`--ulr=${url}`], ["--queue", url], [`-u${url}`], ["--url", url, url]];
    for (const args of wrong) {
      const { code, stderr } = await outcome([...command, ...args]);
      assertEquals([code, stderr], [2, "fibrpc: each broker URL must follow a --url of its own\n"]);
    }
    for (const name of ["FIBRPC_QUEUE", "FIBRPC_TIMEOUT", "FIBRPC_PASSWORD_FILE"]) {
      const { code, stderr } = await outcome(command, { [name]: url });
      assertEquals(code, 2);
      assertEquals(stderr, `fibrpc: ${name} holds a broker URL, which belongs in FIBRPC_URL\n`);
    }
  }
});

async function temporaryFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "fibrpc-test-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

for (const [[name, ...args], effect] of CASES) {
  if (name !== "serve" || args.length === 0 || args.includes("--")) continue;
  if (args.some((arg) => /^--(url|queue)\b(?!-)/.test(arg))) continue; // They have their own tests.
  Deno.test(`options: serve ${args.join(" ")} has variables`, async () => {
    const env: Record<string, string> = {};
    for (const [index, arg] of args.entries()) {
      if (!arg.startsWith("--")) continue;
      const value = args[index + 1];
      const isFlag = value === undefined || value.startsWith("--");
      env[variableOf(arg)] = isFlag ? String(!arg.startsWith("--no-")) : value;
    }
    assertEquals(await made(["serve"], env), { ...SERVE, ...effect } as Made);
  });
}

Deno.test("options: an option comes before its variable; an empty one is unset", async () => {
  assertEquals((await made(["serve", "--max-n", "5"], { FIBRPC_MAX_N: "6" })).maxN, 5);
  assertEquals((await made(["serve", "--max-n=5"], { FIBRPC_MAX_N: "6" })).maxN, 5);
  const unset = { FIBRPC_MAX_N: "", FIBRPC_QUIET: "", FIBRPC_EXIT_ON_DISCONNECT: "0" };
  assertEquals(await made(["serve"], unset), SERVE as Made);
  const { allowReplyTo } = await made(["serve"], { FIBRPC_ALLOW_REPLY_TO: "a*,b" }) as {
    allowReplyTo?: (name: string) => boolean;
  };
  assertEquals(["ax", "b", "c"].map((name) => allowReplyTo!(name)), [true, true, false]);
});

for (
  const [name, value, rule] of [
    ["FIBRPC_MAX_N", "x", "whole number"],
    ["FIBRPC_DRAIN_TIMEOUT", "5", "needs a unit"],
    ["FIBRPC_EXIT_ON_DISCONNECT", "yes", "one of: true, false, 1, 0"],
    ["FIBRPC_HTTP", "a:b", "It is a port"],
  ] as const
) {
  Deno.test(`options: ${name}=${value} is refused by its name, with the rule`, async () => {
    const error = await assertRejects(() => made(["serve"], { [name]: value }), RpcError);
    assertEquals(error.code, "invalid_argument");
    assertStringIncludes(error.message, `${name}=${JSON.stringify(value)} is invalid.`);
    assertStringIncludes(error.message, rule);
  });
}
