/** `fibrpc call --body`, `--lines`: any service, bytes as they are; on every base of the executable. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { RpcError } from "../../src/errors.ts";
import { bytes } from "../../src/rpc/codec.ts";
import type { HandlerContext } from "../../src/rpc/server/handler.ts";
import { RpcServer } from "../../src/rpc/server/server.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { fibrpcOnDeno } from "../support/deno_bundle.ts";
import { fibrpcCommand } from "../support/fibrpc_command.ts";
import { memoryOf } from "../support/memory.ts";
import { run, spawn } from "../support/process.ts";
import { startProxy } from "../support/proxy.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { FakeProcess } from "./fake_process.ts";

const broker = await sharedBroker();

const BASES = [
  ["the program", fibrpcCommand()],
  ["the bundle on Deno", await fibrpcOnDeno()],
] as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

interface Seen {
  readonly body: string;
  readonly context: HandlerContext;
}

/** What becomes of a call that is in flight when the connection is lost. */
const OUTCOMES: [options: string[], outcome: { code: number; stdout: string }][] = [
  [[], { code: 3, stdout: "" }],
  [["--idempotent"], { code: 0, stdout: "ok" }],
];

/** A server that answers by `answer`, or with what it is sent. */
async function serveBodies(
  queue: string,
  answer: (body: Uint8Array, context: HandlerContext) => Uint8Array | Promise<Uint8Array> = (
    body,
  ) => body,
): Promise<{ seen: Seen[] } & AsyncDisposable> {
  const seen: Seen[] = [];
  const server = new RpcServer({ url: broker.url });
  server.serve({ queue, input: bytes, output: bytes }, (body, context) => {
    seen.push({ body: decoder.decode(body), context: { ...context } });
    return answer(body, context);
  });
  await server.start();
  return { seen, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

for (const [base, { command, args: first }] of BASES) {
  const env = { FIBRPC_URL: broker.url, AMQP_URL: "", FIBRPC_QUEUE: "", FIBRPC_TIMEOUT: "" };
  const call = (args: readonly string[], stdin?: string) =>
    run(command, [...first, "call", ...args], { env, ...(stdin !== undefined && { stdin }) });
  const shell = (script: string, args: readonly string[]) =>
    run("sh", ["-c", script, "sh", command, ...first, "call", ...args], { env });

  Deno.test(`call --body, ${base}: one body, the reply's bytes and no others`, async () => {
    const queue = uniqueQueue("body");
    await using _server = await serveBodies(queue);
    for (const body of ["text", "two\nlines\n", "", "@@at", "-5", "--quiet", "amqp://u:p@x"]) {
      for (const option of [[`--body=${body}`], ["--body", body]]) {
        const { code, stdout, stderr } = await call(["--queue", queue, ...option]);
        assertEquals([code, stdout, stderr], [0, body.replace("@@", "@"), ""]);
      }
    }
    const folder = await Deno.makeTempDir();
    try {
      const script = `cd ${folder} && head -c 16777216 /dev/urandom > in
        "$@" --body - < in > out && cmp in out && "$@" --body @in | cmp - in`;
      const { code, stdout, stderr } = await shell(script, ["--queue", queue]);
      assertEquals([code, stdout, stderr], [0, "", ""]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });

  Deno.test(`call --body, ${base}: headers and content type, and those of the reply in JSON`, async () => {
    const queue = uniqueQueue("body");
    await using server = await serveBodies(queue);
    const args = [
      "--queue",
      queue,
      "--output",
      "json",
      "--body",
      "caf\u00e9\u001b",
      "--body",
      "@/bin/true",
    ];
    const headers = [
      "--header",
      "x-tenant: http://a",
      "--header",
      "empty:",
      "--content-type",
      "text/x",
    ];
    const { code, stdout } = await call([...args, ...headers]);
    assertEquals(code, 0);
    const { context } = server.seen[0]!;
    assertEquals([context.headers, context.contentType, context.redelivered], [
      { "x-tenant": "http://a", "empty": "" },
      "text/x",
      false,
    ]);
    assert(!stdout.includes("\u001b"));
    const [text, binary] = stdout.trim().split("\n").map((line) => JSON.parse(line));
    const contentType = "application/octet-stream";
    const { requestId } = text;
    assertEquals({ ...text, ms: 0 }, {
      v: 1,
      i: 0,
      ms: 0,
      requestId,
      contentType,
      body: "caf\u00e9\u001b",
    });
    const file = await Deno.readFile("/bin/true");
    assertEquals(Uint8Array.fromBase64(binary.bodyBase64), file);
  });

  Deno.test(`call --lines, ${base}: a request for each line, the responses in order`, async () => {
    const queue = uniqueQueue("lines");
    await using server = await serveBodies(queue, async (body) => {
      if (body[0] === 97) await new Promise((resolve) => setTimeout(resolve, 50)); // The first is the last.
      return encoder.encode(`<${decoder.decode(body)}>`);
    });
    const { code, stdout } = await call(
      ["--queue", queue, "--lines", "-"],
      "a 1\nb\r\n\n\u00e4\nlast",
    );
    assertEquals([code, stdout], [0, "<a 1>\n<b>\n<\u00e4>\n<last>\n"]);
    assertEquals(server.seen.length, 4);
  });

  Deno.test(`call --lines, ${base}: failures name their line; the exit code is the first one's`, async () => {
    const queue = uniqueQueue("lines");
    await using _server = await serveBodies(queue, (body) => {
      if (body[0] === 120) throw new RpcError("not_found", "no such thing");
      return body;
    });
    const { code, stdout, stderr } = await call(["--queue", queue, "--lines", "-"], "a\n\nx\nb\n");
    assertEquals([code, stdout], [1, "a\nb\n"]);
    assertMatch(
      stderr,
      /^fibrpc: not_found: line 3 of standard input: a call of .* failed: no such thing\n$/,
    );
    const file = await Deno.makeTempFile();
    try {
      await Deno.writeTextFile(file, "x\n");
      const { stderr } = await call(["--queue", queue, "--lines", `@${file}`]);
      assertStringIncludes(stderr, `line 1 of --lines "@${file}"`);
      const json = await call(["--queue", queue, "--lines", `@${file}`, "--output", "json"]);
      const { error, line, i } = JSON.parse(json.stdout);
      assertEquals([error.code, line, i, json.stderr, json.code], ["not_found", 1, 0, "", 1]);
    } finally {
      await Deno.remove(file);
    }
  });

  Deno.test(`call --lines, ${base}: no more in flight than --in-flight`, async () => {
    const queue = uniqueQueue("lines");
    let [inFlight, most] = [0, 0];
    await using _server = await serveBodies(queue, async (body) => {
      most = Math.max(most, ++inFlight);
      await new Promise((resolve) => setTimeout(resolve, 5));
      inFlight -= 1;
      return body;
    });
    const args = ["--queue", queue, "--lines", "-", "--in-flight", "3"];
    const { code } = await call(args, Array.from({ length: 60 }, (_, i) => `${i}\n`).join(""));
    assertEquals([code, most], [0, 3]);
  });

  Deno.test(`call --lines, ${base}: what fails all ends an endless input, said once`, async () => {
    const queue = uniqueQueue("nobody");
    const { code, stdout, stderr } = await shell('yes | "$@"', ["--queue", queue, "--lines", "-"]);
    assertEquals([code, stdout], [5, ""]);
    const lines = stderr.trim().split("\n");
    assertMatch(lines[0]!, /no_server: nobody serves .* "fibrpc serve --queue .* -- command"\)$/);
    assert(lines.length <= 2, stderr);
  });

  Deno.test(`call --body, ${base}: an error reply goes to standard error; any other is a result`, async () => {
    await using peer = await RawChannel.open(broker.url);
    const queue = uniqueQueue("foreign");
    const answers: Record<string, { body: string; properties?: { type: string } }> = {
      tutorial: { body: '{"response": 5, "error": null}' },
      failure: { body: '{"response": null, "error": "it failed"}' },
      ours: { body: '{"code": "aborted", "message": "again"}', properties: { type: "error" } },
    };
    await peer.serve(queue, (request) => answers[request]!);
    for (const [request, { body, properties }] of Object.entries(answers)) {
      const { code, stdout, stderr } = await call(["--queue", queue, "--body", request]);
      assertEquals([code, stdout], properties === undefined ? [0, body] : [1, ""]);
      if (properties !== undefined) assertMatch(stderr, /^fibrpc: aborted: .*failed: again\n$/);
    }
  });

  Deno.test(`call --body, ${base}: sent again after a loss only with --idempotent`, async () => {
    const port = Number(new URL(broker.url).port || 5672);
    for (const [options, outcome] of OUTCOMES) {
      const queue = uniqueQueue("loss");
      await using proxy = await startProxy(port);
      const started = Promise.withResolvers<void>();
      await using _server = await serveBodies(queue, async (body, { isCallerGone: _ }) => {
        started.resolve();
        await new Promise((resolve) => setTimeout(resolve, 300));
        return body;
      });
      await using calling = spawn(
        command,
        [...first, "call", "--queue", queue, "--body", "ok", ...options],
        { env: { ...env, FIBRPC_URL: proxy.url(broker.url) } },
      );
      await started.promise;
      proxy.reset();
      const { code } = await calling.waitForExit();
      assertEquals({ code, stdout: calling.stdout }, outcome);
      if (code === 3) assertMatch(calling.stderr, /unavailable: outcome unknown/);
    }
  });
}

Deno.test("call --body: a terminal is shown what a response holds, and not told what to do", async () => {
  const queue = uniqueQueue("terminal");
  await using _server = await serveBodies(queue);
  const body = "\u001b[2Jred\tx\r\ny\u009b";
  for (const [output, end] of [["raw", ""], ["text", "\n"]] as const) {
    const process = new FakeProcess("call", "--queue", queue, "--body", body, "--output", output);
    process.env.FIBRPC_URL = broker.url;
    process.isStdoutTerminal = true;
    const { code, stdout } = await process.run();
    assertEquals([code, stdout], [0, `\\u001b[2Jred\tx\r\ny\\u009b${end}`]);
  }
});

Deno.test("call --lines: memory stays bounded, however long the input is", async () => {
  const queue = uniqueQueue("memory");
  await using server = await serveBodies(queue);
  const { command, args } = fibrpcCommand();
  const words = [command, ...args, "call", "--queue", queue, "--lines", "-"];
  await using calling = spawn("sh", ["-c", 'exec "$@" > /dev/null', "sh", ...words], {
    env: { FIBRPC_URL: broker.url },
    stdin: "piped",
  });
  const chunk = `${"x".repeat(1_000)}\n`.repeat(100);
  const memoryAfter = async (lines: number) => {
    while (server.seen.length < lines) {
      await calling.write(chunk);
      server.seen.fill({ body: "" } as Seen); // Nothing is kept here either.
    }
    return await memoryOf(calling.pid);
  };
  const before = await memoryAfter(10_000);
  const after = await memoryAfter(50_000);
  if (before === undefined || after === undefined) return;
  assert(after.now < before.now + 50, `${before.now} MiB, then ${after.now}`);
  await calling.closeStdin();
  assertEquals((await calling.waitForExit()).code, 0);
});

Deno.test("call: ranges of numbers, in their order", async () => {
  const queue = uniqueQueue("ranges");
  await using _server = await serveBodies(queue);
  const process = new FakeProcess("call", "7", "1..5", "0..20..10", "9..9", "--queue", queue);
  process.env.FIBRPC_URL = broker.url;
  const { code, stdout } = await process.run();
  assertEquals([code, stdout.trim().split("\n").map(Number)], [0, [
    7,
    1,
    2,
    3,
    4,
    5,
    0,
    10,
    20,
    9,
  ]]);
  const many = new FakeProcess("call", "1..5000", "--queue", queue);
  many.env.FIBRPC_URL = broker.url;
  assertEquals((await many.run()).stdout.trim().split("\n").length, 5_000);
});
