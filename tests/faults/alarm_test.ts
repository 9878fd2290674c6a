import { assertEquals } from "@std/assert";
import { RpcServer } from "../../src/rpc/server/server.ts";
import { startBroker } from "../support/broker.ts";
import { numbers } from "../support/services.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";

Deno.test("fault: replies wait for the end of an alarm, also those of a server that drains", async () => {
  await using broker = await startBroker();
  // A peer that sends nothing again; it has published before, so it is not blocked itself.
  await using peer = await RawChannel.open(broker.url);
  const release: (() => void)[] = [];
  await using server = new RpcServer({ url: broker.url });
  server.serve(
    numbers("alarmed"),
    (n) => new Promise<string>((resolve) => release[n] = () => resolve(String(n))),
  );
  await server.start();
  for (let n = 0; n < 3; n++) await peer.send("alarmed", String(n));
  await waitFor(() => release.length === 3, { what: "three requests under way" });
  await broker.ctl("set_vm_memory_high_watermark", "absolute", "1MB");
  release[0]!(); // The broker reads no further than this.
  await waitFor(() => server.state === "blocked", { what: "the server to be blocked" });
  release[1]!();
  const closed = server.close();
  release[2]!();
  await broker.ctl("set_vm_memory_high_watermark", "0.4");
  assertEquals(await closed, 0);
  const replies = await peer.waitForReplies(3);
  assertEquals(replies.map((reply) => reply.bodyToString()).sort(), ["0", "1", "2"]);
  assertEquals((await peer.look("alarmed")).messages, 0);
});
