import { assert, assertEquals } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { fibrpcOnDeno } from "../support/deno_bundle.ts";
import { fibrpcCommand } from "../support/fibrpc_command.ts";
import { run, spawn } from "../support/process.ts";
import { RawChannel } from "../support/raw_channel.ts";

const broker = await sharedBroker();

/** A worker opens no more files: 2 on Bun, 6 on Deno. */
const MAX_WORKER_FILES = 8;

/** The numbers of the files that a process has open. */
async function openFiles(pid: number): Promise<number[]> {
  return await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`), ({ name }) => Number(name));
}

for (const make of [fibrpcCommand, fibrpcOnDeno]) {
  Deno.test({
    name: `fault: a server that may open no more files computes big numbers (${make.name})`,
    ignore: Deno.build.os !== "linux", // Elsewhere there is no /proc and no prlimit.
    async fn() {
      const { command, args } = await make();
      const queue = uniqueQueue("files");
      await using peer = await RawChannel.open(broker.url);
      for (const free of [0, 2, 4, 8, 100]) {
        const serve = ["serve", "--url", broker.url, "--queue", queue, "--log-format", "text"];
        await using server = spawn(command, [...args, ...serve]);
        await server.waitForStderr(/Awaiting RPC requests/);
        const files = await openFiles(server.pid);
        const limit = Math.max(...files) + 1 + free;
        const prlimit = ["--pid", `${server.pid}`, `--nofile=${limit}:${limit}`];
        assertEquals((await run("prlimit", prlimit)).code, 0);
        const before = peer.replies.length;
        for (const n of [200_000, 30]) await peer.send(queue, `${n}`);
        const replies = (await peer.waitForReplies(before + 2)).slice(before);
        assertEquals(replies.map(({ body }) => body!.length).sort(), [41_798, 6].sort());
        assert(!server.ended, server.stderr);
        const more = (await openFiles(server.pid)).length - files.length;
        assert(more <= MAX_WORKER_FILES, `${more} more files are open`);
      }
    },
  });
}
