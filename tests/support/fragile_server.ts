/**
 * A server that dies of one request: a program for tests.
 *
 * Arguments: the broker's URL, the queue, the n that kills, maxAttempts.
 * It prints `ready` when it consumes, and `start N` for each request started.
 *
 * @module
 */
import { fibonacciServerCodec } from "../../src/fibonacci/codec.ts";
import { RpcServer } from "../../src/rpc/server.ts";

const [url, queue, poison, maxAttempts] = Deno.args;
const encoder = new TextEncoder();
const say = (text: string) => Deno.stdout.writeSync(encoder.encode(`${text}\n`));

const server = new RpcServer(
  fibonacciServerCodec(1_000_000),
  (n) => {
    say(`start ${n}`);
    if (n === Number(poison)) Deno.kill(Deno.pid, "SIGKILL");
    return String(2 * n);
  },
  { url: url!, queue: queue!, maxAttempts: Number(maxAttempts) },
);
await server.start();
say("ready");
