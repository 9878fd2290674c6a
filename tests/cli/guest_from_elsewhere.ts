/**
 * A broker that listens on one more address, which is not loopback, and what
 * doctor finds as guest there. To be run in a network namespace that has it:
 *
 *     guest_from_elsewhere.ts <address>
 *
 * @module
 */
import { startBroker } from "../support/broker.ts";
import { CommandLine } from "./command_line.ts";

const [address] = Deno.args;
const port = 5672; // Nothing else is in the namespace.
await using _broker = await startBroker({ config: `listeners.tcp.2 = ${address}:${port}` });
const url = `amqp://guest:guest@${address}:${port}`;
const { code, stdout } = await new CommandLine(url).run(["doctor", "--output", "json"]);
await Deno.stdout.write(new TextEncoder().encode(stdout));
if (code !== 3) throw new Error(`doctor ended with ${code}`);
