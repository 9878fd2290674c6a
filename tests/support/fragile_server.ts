/**
 * A server that dies of one request, or hangs: a program for tests.
 *
 * Arguments: the broker's URL, the queue, the poisonous n, maxAttempts, and
 * what the poison does: "kill" or "hang".
 * It prints `ready` when it consumes, and `start N` for each request started.
 *
 * @module
 */
import { RpcServer } from "../../src/rpc/server/server.ts";
import { numbers } from "./services.ts";

const [url, queue, poison, maxAttempts, effect] = Deno.args;
const encoder = new TextEncoder();
const say = (text: string) => Deno.stdout.writeSync(encoder.encode(`${text}\n`));

const server = new RpcServer({ url: url!, heartbeatSeconds: 1 });
server.serve(
  numbers(queue!, 1_000_000),
  (n) => {
    say(`start ${n}`);
    if (n === Number(poison)) {
      if (effect === "kill") Deno.kill(Deno.pid, "SIGKILL");
      while (true); // Not even a heartbeat gets out.
    }
    return String(2 * n);
  },
  { maxAttempts: Number(maxAttempts) },
);
await server.start();
say("ready");
