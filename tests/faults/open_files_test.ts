import { assert, assertEquals } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { fibrpcOnDeno } from "../support/deno_bundle.ts";
import { fibrpcCommand } from "../support/fibrpc_command.ts";
import { run, spawn } from "../support/process.ts";
import { RawChannel } from "../support/raw_channel.ts";

const broker = await sharedBroker();

/** A worker opens some files: 2 on Bun, 6 on Deno. */
const MAX_FREE = 8;

/** The number after that of the last file that a process has open. */
async function openFilesOf(pid: number): Promise<number> {
  const names = await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`), ({ name }) => Number(name));
  return Math.max(...names) + 1;
}

for (const make of [fibrpcCommand, fibrpcOnDeno]) {
  Deno.test({
    name: `fault: a server that may open no more files computes big numbers (${make.name})`,
    ignore: Deno.build.os !== "linux", // Elsewhere there is no /proc and no prlimit.
    async fn() {
      const { command, args } = await make();
      const queue = uniqueQueue("files");
      await using peer = await RawChannel.open(broker.url);
      for (const free of [0, MAX_FREE / 4, MAX_FREE / 2, MAX_FREE]) {
        const serve = ["serve", "--url", broker.url, "--queue", queue, "--log-format", "text"];
        await using server = spawn(command, [...args, ...serve]);
        await server.waitForStderr(/Awaiting RPC requests/);
        const limit = await openFilesOf(server.pid) + free;
        const prlimit = ["--pid", `${server.pid}`, `--nofile=${limit}:${limit}`];
        assertEquals((await run("prlimit", prlimit)).code, 0);
        const before = peer.replies.length;
        for (const n of [200_000, 30]) await peer.send(queue, `${n}`);
        const replies = (await peer.waitForReplies(before + 2)).slice(before);
        assertEquals(replies.map(({ body }) => body!.length).sort(), [41_798, 6].sort());
        assert(!server.ended, server.stderr);
      }
    },
  });
}
