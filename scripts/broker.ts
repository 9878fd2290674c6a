/**
 * What the shell scripts need of brokers and a shell can't do:
 *
 *     broker.ts answers         Does one on localhost:5672 let us in?
 *     broker.ts installed       Can a private node be started here? (3: no)
 *     broker.ts start           Start one, print its URL, run until ended.
 *     broker.ts delete <queue>  And its suspects, on $FIBRPC_URL, else on localhost:5672.
 */

import { parseBrokerUrls } from "../src/amqp/broker_url.ts";
import { Connection } from "../src/amqp/connection.ts";
import { SUSPECTS_SUFFIX } from "../src/protocol/names.ts";
import { findServer, startBroker } from "../tests/support/broker.ts";
import { messageOf } from "../src/text.ts";

const CONNECT_TIMEOUT_MS = 5_000;

const NOT_INSTALLED = 3;

async function connect(): Promise<Connection> {
  const url = Deno.env.get("FIBRPC_URL") || "amqp://localhost";
  let failure: unknown;
  for (const broker of parseBrokerUrls(url)) {
    try {
      return await Connection.open(
        broker,
        { name: "fibrpc scripts", heartbeatSeconds: 10 },
        CONNECT_TIMEOUT_MS,
        new AbortController().signal,
      );
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

async function answers(): Promise<void> {
  const connection = await connect();
  await connection.close();
}

async function deleteQueues(name: string): Promise<void> {
  const connection = await connect();
  const channel = await connection.channel();
  for (const queue of [name, name + SUSPECTS_SUFFIX]) await channel.queueDelete(queue);
  await connection.close();
}

/** Ends by a signal; the node has a keeper that sees to its own end then. */
async function start(): Promise<never> {
  const { url } = await startBroker();
  Deno.stdout.writeSync(new TextEncoder().encode(`${url}\n`));
  setInterval(() => {}, 2 ** 30);
  return await new Promise<never>(() => {});
}

async function run([command, argument]: string[]): Promise<number> {
  if (command === "answers") await answers();
  else if (command === "delete") await deleteQueues(argument!);
  else if (command === "start") await start();
  else if (command !== "installed") throw new Error(`no command "${command}"`);
  else if (!await findServer()) return NOT_INSTALLED;
  return 0;
}

try {
  Deno.exit(await run(Deno.args));
} catch (error) {
  // Not the error as a whole: the AMQP library's hold the password.
  const text = messageOf(error);
  Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
  Deno.exit(1);
}
