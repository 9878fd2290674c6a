/**
 * A program as its users write one, for every runtime that the package says it
 * runs on. It says what it saw, a line for each thing, and ends by itself.
 *
 * Environment: `BROKER`, a URL; `SECURE`, the same by TLS, with `CA`, the
 * authority's certificate in PEM; `FRAGILE`, the same by way of something that
 * cuts connections when the program says so; `QUEUE`, the prefix of its queues.
 *
 * @module
 */
import { FibonacciClient, FibonacciServer, RpcError } from "@fibrpc/fibrpc";
import { commandHandler } from "@fibrpc/fibrpc/command";
import { RpcClient } from "@fibrpc/fibrpc/client";
import { RpcServer } from "@fibrpc/fibrpc/server";
import { bytes, json, type Service, text } from "@fibrpc/fibrpc/service";

/** Each runtime has it; its types come with a package that this program does without. */
declare const process: { readonly env: unknown };

const { BROKER, SECURE, CA, FRAGILE, QUEUE } = process.env as Record<string, string>;

interface Order {
  readonly id: number;
  readonly tenant: unknown;
}
const order: Service<{ id: number }, Order> = {
  queue: `${QUEUE}-order`,
  input: json<{ id: number }>(),
  output: json<Order>(),
};
const reverse: Service<Uint8Array, Uint8Array> = {
  queue: `${QUEUE}-reverse`,
  input: bytes,
  output: bytes,
};
const slow: Service<string, string> = {
  queue: `${QUEUE}-slow`,
  input: text,
  output: text,
  idempotent: true,
};

function say(what: string, seen: unknown): void {
  // deno-lint-ignore no-console -- It is a program of its own.
  console.log(`${what}: ${JSON.stringify(seen)}`);
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  const error: unknown = await promise.then(() => new Error("no error"), (error) => error);
  if (!(error instanceof RpcError)) throw error;
  return [error.code, error.remote, error.details ?? null];
}

async function ends(): Promise<void> {
  const server = new RpcServer({ url: BROKER! });
  server.serve(order, ({ id }, { headers, timeLeftMs }) => {
    if (id > 100) throw new RpcError("not_found", `there is no order ${id}`, { details: { id } });
    if (!(timeLeftMs()! > 1_000)) throw new Error("too little time left");
    return { id, tenant: headers["x-tenant"] };
  }, { concurrency: 4 });
  server.serve(reverse, (image) => image.toReversed());
  server.serve(slow, async (ms, { signal }) => {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Number(ms));
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
    return signal.aborted ? "aborted" : "slept";
  }, { maxTimeMs: 500 });
  await server.start();

  const client = new RpcClient({ url: BROKER!, timeoutMs: 10_000 });
  say("an order", await client.call(order, { id: 7 }, { headers: { "x-tenant": "t" } }));
  say("no order", await failure(client.call(order, { id: 101 })));
  say(
    "no JSON",
    await failure(client.call({ queue: order.queue, input: text, output: text }, "{")),
  );
  const image = Uint8Array.from({ length: 2 << 20 }, (_, i) => i % 251);
  const reversed = await client.call(reverse, image);
  say("2 MiB", [reversed.length, reversed.every((byte, i) => byte === image.at(-1 - i))]);
  say(
    "many",
    (await Promise.all(
      Array.from({ length: 500 }, (_, id) => client.call(order, { id: id % 100 })),
    )).length,
  );
  say("over maxTimeMs", await failure(client.call(slow, "5000")));
  say("over the timeout", await failure(client.call(slow, "400", { timeoutMs: 100 })));
  const signal = AbortSignal.timeout(50);
  say("given up", await failure(client.call(slow, "400", { signal })));
  say("nobody", await failure(client.call({ ...slow, queue: `${QUEUE}-nobody` }, "")));
  const last = client.call(slow, "100");
  await client.call(order, { id: 1 }); // The slow one has been taken before it.
  await server.close();
  say("drained", [await last, server.stats.responses > 500, server.state]);
  await client.close();
  say("closed", [await failure(client.call(slow, "1")), client.state, client.pending]);
}

async function cut(): Promise<void> {
  const states: string[] = [];
  const server = new RpcServer({ url: BROKER! });
  server.serve(slow, () => "answered");
  const client = new RpcClient({
    url: FRAGILE!,
    onStateChange: ({ state }) => states.push(state),
  });
  await client.connect();
  await server.start();
  say("before the cut", await client.call(slow, ""));
  const lost = new Promise<void>((resolve) => client.onStateChange(() => resolve()));
  const back = new Promise<void>((resolve) =>
    client.onStateChange(({ state }) => state === "connected" && resolve())
  );
  say("ready to be cut", true);
  await lost;
  say("after the cut", await client.call(slow, ""));
  await back; // The reply may come before the state.
  await Promise.all([client.close(), server.close()]);
  say("states", states);
}

async function secure(): Promise<void> {
  const server = new RpcServer({ url: SECURE!, tls: { ca: CA! } });
  server.serve(reverse, (image) => image.toReversed());
  await server.start();
  const client = new RpcClient({ url: SECURE!, tls: () => ({ ca: CA! }) });
  say("by TLS", [...await client.call(reverse, Uint8Array.of(1, 2, 3))]);
  const stranger = new RpcClient({ url: SECURE! });
  say("unknown authority", await failure(stranger.connect()));
  await Promise.all([client.close(), server.close(), stranger.close()]);
}

async function threads(): Promise<void> {
  const options = { url: BROKER!, queue: `${QUEUE}-fibonacci` };
  const server = new FibonacciServer({ ...options, maxN: 100_000_000, maxTimeMs: 2_000 });
  await server.start();
  const client = new FibonacciClient(options);
  say("fib(30)", String(await client.fibonacci(30)));
  say("fib(1000000)", (await client.call("1000000")).length);
  say("fib(100000000)", await failure(client.fibonacci(100_000_000)));
  await Promise.all([client.close(), server.close()]);
}

async function commands(): Promise<void> {
  const shell = commandHandler({ command: ["/bin/sh", "-c", 'eval "$(cat)"'], env: { A: "a" } });
  const server = new RpcServer({ url: BROKER! });
  const script: Service<string, string> = { queue: `${QUEUE}-script`, input: text, output: text };
  server.serve({ ...script, input: bytes, output: bytes }, shell, { maxTimeMs: 1_000 });
  await server.start();
  const client = new RpcClient({ url: BROKER! });
  say("a command", await client.call(script, "echo $A $FIBRPC_HEADER_X", { headers: { x: "b" } }));
  say("exit 65", await failure(client.call(script, "echo wrong >&2; exit 65")));
  say("exit 3", await failure(client.call(script, "exit 3")));
  say("2 MB", (await client.call(script, "head -c 2000000 /dev/zero")).length);
  say("too long", await failure(client.call(script, "/bin/sleep 60 & /bin/sleep 60")));
  await Promise.all([client.close(), server.close()]);
  await shell.close();
}

await ends();
await cut();
await secure();
await threads();
await commands();
