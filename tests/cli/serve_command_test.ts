/** `fibrpc serve -- command`: on a real broker, with real signals, on every base of the executable. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { RpcClient } from "../../src/rpc/client/client.ts";
import { RpcError } from "../../src/errors.ts";
import { bytes, text } from "../../src/rpc/codec.ts";
import type { Service } from "../../src/rpc/service.ts";
import { sharedBroker, startBroker, uniqueQueue } from "../support/broker.ts";
import { fibrpcOnDeno } from "../support/deno_bundle.ts";
import { fibrpcCommand } from "../support/fibrpc_command.ts";
import { type Program, run, spawn } from "../support/process.ts";
import { running } from "../support/processes.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { startProxy } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";
import { READY, withPassword } from "./command_line.ts";

const broker = await sharedBroker();

const BASES = [
  ["the program", fibrpcCommand()],
  ["the bundle on Deno", await fibrpcOnDeno()],
] as const;

/** A time to sleep that no other process sleeps. */
let nap = 300_000 + Math.floor(Math.random() * 100_000) * 10;
const uniqueNap = () => String(nap++);

const textService = (queue: string): Service<string, string> => ({
  queue,
  input: text,
  output: text,
});

interface Serving {
  readonly queue: string;
  readonly server: Program;
  readonly client: RpcClient;
  readonly service: Service<string, string>;
  call(input?: string): Promise<string>;
}

for (const [base, { command, args: first }] of BASES) {
  const start = (args: readonly string[], env: Record<string, string> = {}) =>
    spawn(command, [...first, "serve", ...args], {
      env: { FIBRPC_URL: broker.url, AMQP_URL: "", FIBRPC_QUEUE: "", ...env },
    });

  /** Runs `test` beside a server whose commands are `words`. */
  const serving = async (
    words: readonly string[],
    test: (serving: Serving) => Promise<void>,
    { options = [], env = {} }: { options?: string[]; env?: Record<string, string> } = {},
  ): Promise<void> => {
    const queue = uniqueQueue("command");
    await using server = start(["--queue", queue, ...options, "--", ...words], env);
    await server.waitForStderr(READY);
    await using client = new RpcClient({ url: broker.url });
    const service = textService(queue);
    const call = (input = "") => client.call(service, input);
    await test({ queue, server, client, service, call });
  };

  const shell = (script: string) => ["sh", "-c", script];

  Deno.test(`serve --, ${base}: a command's output is the reply, its arguments are its own`, async () => {
    await serving(
      ["printf", "%s|", "a b", "--queue", "$HOME", "amqp://x"],
      async ({ call, server }) => {
        assertEquals(await call(), "a b|--queue|$HOME|amqp://x|");
        server.kill("SIGTERM");
        assertEquals((await server.waitForExit()).code, 0);
        assertMatch(server.stderr, /served 1 responses and 0 errors/);
      },
    );
  });

  Deno.test(`serve --, ${base}: any body comes through, 16 MiB of it too`, async () => {
    await serving(["cat"], async ({ queue, client }) => {
      const service: Service<Uint8Array, Uint8Array> = { queue, input: bytes, output: bytes };
      const hostile = new TextEncoder().encode('$(touch /x) `id` "; rm -rf / \0\r\n\x1b[31m');
      assertEquals([...await client.call(service, hostile)], [...hostile]);
      assertEquals((await client.call(service, new Uint8Array())).length, 0);
      const large = new Uint8Array(16 << 20).map((_, i) => i % 253);
      const output = await client.call(service, large);
      assertEquals([output.length, output.every((byte, i) => byte === i % 253)], [16 << 20, true]);
    });
  });

  Deno.test(`serve --, ${base}: the environment has the request's metadata, and no password`, async () => {
    const url = new URL(broker.url);
    const password = decodeURIComponent(url.password);
    const env = {
      FIBRPC_URL: broker.url,
      OTHER_URL: withPassword(broker.url, "swordfish"),
      KEPT: "yes",
      ...(password === "guest" ? {} : { COPY: password }),
    };
    await serving(["env"], async ({ client, service }) => {
      const output = await client.call(service, "", {
        timeoutMs: 10_000,
        headers: { "x-tenant": "t 1", "traceparent": "00-a-b-01", "not/a=name": "v", "n": 1 },
      });
      const variables = Object.fromEntries(
        output.trim().split("\n").map((line) => {
          const end = line.indexOf("=");
          return [line.slice(0, end), line.slice(end + 1)];
        }),
      );
      assertEquals([variables.KEPT, variables.FIBRPC_URL, variables.OTHER_URL, variables.COPY], [
        "yes",
        undefined,
        undefined,
        undefined,
      ]);
      assertEquals(
        [
          variables.FIBRPC_HEADER_X_TENANT,
          variables.TRACEPARENT,
          variables.FIBRPC_HEADER_NOT_A_NAME,
        ],
        ["t 1", "00-a-b-01", "v"],
      );
      assertEquals([variables.FIBRPC_CONTENT_TYPE, variables.FIBRPC_REDELIVERED], [
        "text/plain",
        "false",
      ]);
      assertMatch(variables.FIBRPC_REQUEST_ID!, /^[\w-]{22}\.0$/);
      const leftMs = Number(variables.FIBRPC_DEADLINE_MS) - Date.now();
      assert(leftMs > 1_000 && leftMs <= 10_000, String(leftMs));
    }, { env });
  });

  const ENDS: [script: string, code: string, message: RegExp][] = [
    ["echo out; exit 1", "internal", /the command ended with exit code 1$/],
    ["echo 'no order 7' >&2; exit 64", "invalid_argument", /failed: no order 7$/],
    ["echo 'bad image' >&2; exit 65", "invalid_argument", /failed: bad image$/],
    ["kill -KILL $$", "internal", /the command was ended by SIGKILL$/],
    ["cat /dev/zero", "resource_exhausted", /over 1000 bytes/],
    ["sleep 60", "resource_exhausted", /longer than this server allows \(500 ms\)$/],
  ];
  Deno.test(`serve --, ${base}: how a command ends is an error's code`, async () => {
    const options = ["--max-time", "500ms", "--max-message-bytes", "1000"];
    await serving(shell('eval "$(cat)"'), async ({ call }) => {
      for (const [script, code, message] of ENDS) {
        const error = await assertRejects(() => call(script), RpcError);
        assertEquals([error.code, error.remote], [code, true], script);
        assertMatch(error.message, message);
      }
      assertEquals(await call("echo only words >&2"), "");
    }, { options });
  });

  Deno.test(`serve --, ${base}: standard error goes to the log with the request's id, never to the caller`, async () => {
    await serving(shell("echo to the log >&2; echo to the caller"), async ({ call, server }) => {
      assertEquals(await call(), "to the caller\n");
      await server.waitForStderr(/to the log/);
      const record = server.stderr.split("\n").find((line) => line.includes("to the log"))!;
      assertMatch(JSON.parse(record).requestId, /^[\w-]{22}\.0$/);
    });
  });

  Deno.test(`serve --, ${base}: at the caller's deadline the command ends, and its child`, async () => {
    const time = uniqueNap();
    await serving(shell(`sleep ${time} & sleep ${time}`), async ({ client, service, server }) => {
      const result = assertRejects(() => client.call(service, "", { timeoutMs: 1_500 }), RpcError);
      await waitFor(() => running(time) === 2, { what: "both to run" });
      assertEquals((await result).code, "deadline_exceeded");
      await waitFor(() => running(time) === 0, { what: "both to end" });
      server.kill("SIGTERM");
      assertEquals((await server.waitForExit()).code, 0);
    });
  });

  Deno.test(`serve --, ${base}: killed with commands at work, they end, and another answers`, async () => {
    const time = uniqueNap();
    const script = '[ "$FIBRPC_REDELIVERED" = true ] && exec echo again; ' +
      `echo at work >&2; sleep ${time} & sleep ${time}`;
    await serving(shell(script), async ({ call, server, queue }) => {
      const results = [call(), call()];
      // One that is killed while it starts a command can't have said so to anybody.
      await server.waitForStderr(/at work[^]*at work/);
      await waitFor(() => running(time) === 4, { what: "commands to run" });
      server.kill("SIGKILL");
      await using other = start(["--queue", queue, "--", ...shell(script)]);
      assertEquals(await Promise.all(results), ["again\n", "again\n"]);
      await waitFor(() => running(time) === 0, { what: "all of them to end" });
      other.kill("SIGTERM");
      assertEquals((await other.waitForExit()).code, 0);
    }, { options: ["--concurrency", "2"] });
  });

  Deno.test(`serve --, ${base}: a drain lets commands finish`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const script =
        `touch ${folder}/started; until [ -e ${folder}/go ]; do sleep 0.05; done; echo done`;
      await serving(shell(script), async ({ call, server }) => {
        const result = call();
        await waitFor(() => Deno.stat(`${folder}/started`).then(() => true, () => false), {
          what: "the command to run",
        });
        server.kill("SIGTERM");
        await server.waitForStderr(/draining: 1 requests/);
        await Deno.writeTextFile(`${folder}/go`, "");
        assertEquals(await result, "done\n");
        assertEquals((await server.waitForExit()).code, 0);
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });

  Deno.test(`serve --, ${base}: what a drain has no time for ends, and goes back`, async () => {
    const time = uniqueNap();
    await serving(
      shell(`trap '' TERM; sleep ${time}`),
      async ({ client, service, server, queue }) => {
        await using peer = await RawChannel.open(broker.url);
        const giveUp = new AbortController();
        const result = assertRejects(
          () => client.call(service, "", { signal: giveUp.signal }),
          RpcError,
        );
        await waitFor(() => running(time) === 1, { what: "the command to run" });
        server.kill("SIGTERM");
        assertEquals((await server.waitForExit()).code, 1);
        assertEquals(running(time), 0);
        assertEquals((await peer.look(queue)).messages, 1);
        giveUp.abort();
        await result;
      },
      { options: ["--drain-timeout", "300ms"] },
    );
  });

  Deno.test(`serve --, ${base}: no more commands at once than --concurrency`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      // Each looks how many there are beside it.
      const script = `mkdir ${folder}/$$; ls ${folder} | wc -l; sleep 0.01; rmdir ${folder}/$$`;
      await serving(shell(script), async ({ call }) => {
        const counts = await Promise.all(Array.from({ length: 200 }, () => call()));
        const most = Math.max(...counts.map(Number));
        assert(most >= 2 && most <= 4, `${most} at once`);
      }, { options: ["--concurrency", "4"] });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });

  Deno.test(`serve --, ${base}: a command that vanishes costs no request, and ends the server`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const file = `${folder}/command`;
      await Deno.writeTextFile(file, "#!/bin/sh\necho answered\n", { mode: 0o755 });
      await serving([file], async ({ call, server, queue }) => {
        assertEquals(await call(), "answered\n");
        await Deno.rename(file, `${file}.gone`);
        const result = call();
        assertEquals((await server.waitForExit(60_000)).code, 1);
        assertMatch(server.stderr, /ENOENT \(5 times in a row\)/);
        await Deno.rename(`${file}.gone`, file);
        await using other = start(["--queue", queue, "--", file]);
        assertEquals(await result, "answered\n");
        other.kill("SIGTERM");
        assertEquals((await other.waitForExit()).code, 0);
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });

  Deno.test(`serve --, ${base}: a lost connection ends its commands, and they run again`, async () => {
    const time = uniqueNap();
    await using proxy = await startProxy(Number(new URL(broker.url).port || 5672));
    const script = `[ "$FIBRPC_REDELIVERED" = true ] && exec echo again; exec sleep ${time}`;
    const env = { FIBRPC_URL: proxy.url(broker.url) };
    await serving(shell(script), async ({ call }) => {
      const result = call();
      await waitFor(() => running(time) === 1, { what: "the command to run" });
      proxy.reset();
      assertEquals(await result, "again\n");
      await waitFor(() => running(time) === 0, { what: "the first one to end" });
    }, { env });
  });

  Deno.test(`serve --, ${base}: a caller that goes costs nobody else anything`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const script = `read -r name; touch ${folder}/$name; ` +
        `until [ -e ${folder}/go-$name ]; do sleep 0.05; done; echo done`;
      const exists = (name: string) => Deno.stat(`${folder}/${name}`).then(() => true, () => false);
      await Deno.writeTextFile(`${folder}/go-other`, "");
      await serving(shell(script), async ({ call, server, service }) => {
        for (const reply of ["direct", "queue"] as const) {
          await using leaving = new RpcClient({ url: broker.url, reply });
          const result = assertRejects(() => leaving.call(service, `${reply}\n`), RpcError);
          await waitFor(() => exists(reply), { what: "its command" });
          await leaving.close();
          assertEquals((await result).code, "cancelled");
          await Deno.writeTextFile(`${folder}/go-${reply}`, "");
          assertEquals(await call("other\n"), "done\n");
        }
        server.kill("SIGTERM");
        assertEquals((await server.waitForExit()).code, 0);
        assertMatch(server.stderr, /served 4 responses and 0 errors/);
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });

  Deno.test(`serve --, ${base}: what makes no sense is refused before anything connects`, async () => {
    const REFUSED: [args: string[], message: RegExp][] = [
      [["--queue", "q", "--", "no-such-command"], /"no-such-command" was not found on the PATH/],
      [["--queue", "q", "--", "./no/such"], /"\.\/no\/such" was not found$/m],
      [["--queue", "q", "--", "/etc/passwd"], /"\/etc\/passwd" may not be executed/],
      [["--queue", "q", "--"], /there is no command after --/],
      [["--", "cat"], /a command needs --queue/],
      [["--queue", "q", "--max-n", "5", "--", "cat"], /--max-n is about Fibonacci/],
      [["--queue", "q", "--concurrency", "5"], /--concurrency needs a command/],
    ];
    for (const [args, message] of REFUSED) {
      const { code, stderr } = await run(command, [...first, "serve", ...args], {
        env: { FIBRPC_URL: "amqp://127.0.0.1:1", FIBRPC_QUEUE: "" },
      });
      assertEquals(code, 2, stderr);
      assertMatch(stderr, message);
    }
  });
}

Deno.test("serve --: the broker is restarted with commands at work", async () => {
  await using own = await startBroker();
  const queue = uniqueQueue("command");
  const { command, args } = fibrpcCommand();
  await using server = spawn(command, [
    ...args,
    "serve",
    ...["--queue", queue, "--queue-type", "classic"],
    ...["--", "sh", "-c", "sleep 0.2; cat"],
  ], { env: { FIBRPC_URL: own.url } });
  await server.waitForStderr(READY);
  await using client = new RpcClient({ url: own.url, timeoutMs: 60_000 });
  const service = { ...textService(queue), idempotent: true };
  const inputs = Array.from({ length: 20 }, (_, i) => `request ${i}`);
  const results = Promise.all(inputs.map((input) => client.call(service, input)));
  await waitFor(() => client.stats.responses > 2, { what: "some replies" });
  await own.stop();
  await own.start();
  assertEquals(await results, inputs);
  server.kill("SIGTERM");
  assertEquals((await server.waitForExit()).code, 0);
});
