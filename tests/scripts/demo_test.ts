import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { CommandLine } from "../cli/command_line.ts";
import { run } from "../support/process.ts";
import { RawChannel } from "../support/raw_channel.ts";

const broker = await sharedBroker();
const script = fileURLToPath(new URL("../../scripts/broker.ts", import.meta.url));

Deno.test("demo: nothing of its queues is left on the broker", async () => {
  const queue = uniqueQueue("demo");
  await using peer = await RawChannel.open(broker.url);
  const exists = (name: string) => peer.look(name).then(() => true, () => false);
  const queues = [queue, `${queue}.suspects`];
  {
    await using _server = await new CommandLine(broker.url).serve(queue);
    assertEquals(await Promise.all(queues.map(exists)), [true, true]);
  }
  const args = ["run", "-A", "--quiet", script, "delete", queue];
  const { code, stderr } = await run(Deno.execPath(), args, { env: { FIBRPC_URL: broker.url } });
  assertEquals([code, stderr], [0, ""]);
  assertEquals(await Promise.all(queues.map(exists)), [false, false]);
});
