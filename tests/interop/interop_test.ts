/**
 * Real programs of both worlds on a real broker: whoever speaks the
 * tutorials' protocol can be at either end.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { sharedBroker } from "../support/broker.ts";
import type { Program } from "../support/process.ts";
import { permitsTransientQueues } from "../support/transient_queues.ts";
import { Meeting } from "./peers.ts";

const broker = await sharedBroker();

/** The kinds of request queue that tutorial programs declare, and this broker takes. */
const QUEUE_TYPES = await permitsTransientQueues(broker.url)
  ? ["transient", "quorum"] as const
  : ["quorum"] as const;

/** A machine that can't have the packages says so; nothing is skipped silently. */
const ignore = Deno.env.get("FIBRPC_TEST_NO_PYTHON") === "1";

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, fn, ignore });
}

const FIB_30 = "832040";
const FIB_200 = "280571172992510140037611932413038677189525";

/** Enough calls for two servers to share. */
const NUMBERS = Array.from({ length: 40 }, (_, n) => n % 20);
const RESULTS = NUMBERS.map(fib);

function fib(n: number): number {
  let [a, b] = [0, 1];
  for (; n > 0; n--) [a, b] = [b, a + b];
  return a;
}

const CLIENTS = [
  { title: "a pika client", script: "pika_client.py", args: [] },
  { title: "a pika client with direct reply-to", script: "pika_client.py", args: ["--direct"] },
  { title: "an aio-pika client", script: "aio_pika_client.py", args: [] },
];

const SERVERS = [
  { title: "a pika server", script: "pika_server.py" },
  { title: "an aio-pika server", script: "aio_pika_server.py" },
];

for (const type of QUEUE_TYPES) {
  const queueType = `--queue-type=${type}`;

  for (const { title, script, args } of CLIENTS) {
    test(`serve answers ${title} on a ${type} queue`, async () => {
      await using meeting = new Meeting(broker.url);
      await meeting.startServe(queueType);
      assertEquals(await meeting.runPython(script, ...args, "30", "0", "200"), {
        code: 0,
        signal: null,
        stdout: `${FIB_30}\n0\n${FIB_200}\n`,
        stderr: "",
      });
    });
  }

  for (const { title, script } of SERVERS) {
    for (const reply of ["direct", "queue"]) {
      test(`call --reply ${reply} is answered by ${title} on a ${type} queue`, async () => {
        await using meeting = new Meeting(broker.url);
        await meeting.startPython(script, queueType);
        assertEquals(await meeting.runCall(`--reply=${reply}`, "20", "0", "1"), {
          code: 0,
          signal: null,
          stdout: "6765\n0\n1\n",
          stderr: "",
        });
      });
    }

    test(`serve joins ${title} on its ${type} queue, and both work`, async () => {
      await using meeting = new Meeting(broker.url);
      const theirs = await meeting.startPython(script, queueType);
      // Takes the queue as it is, whatever it would have declared.
      await meeting.startServe("--prefetch=1");
      await assertShared(meeting, theirs);
    });

    test(`serve is joined by ${title} on its ${type} queue, and both work`, async () => {
      await using meeting = new Meeting(broker.url);
      await meeting.startServe("--prefetch=1", queueType);
      const theirs = await meeting.startPython(script, queueType);
      await assertShared(meeting, theirs);
    });
  }
}

test("serve sends a tutorial client its error, so that it need not wait", async () => {
  await using meeting = new Meeting(broker.url);
  await meeting.startServe("--max-n=100");
  for (const { script, args } of CLIENTS) {
    const { code, stdout } = await meeting.runPython(script, ...args, "101", "30");
    const [error, result] = stdout.split("\n");
    assertEquals(JSON.parse(error!).code, "out_of_range");
    assertEquals([code, result], [0, FIB_30]);
  }
});

test("call understands an envelope's response, every digit of it", async () => {
  await using meeting = new Meeting(broker.url);
  await meeting.startPython("envelope_server.py", "--max-n=200", `--queue-type=${QUEUE_TYPES[0]}`);
  const text = await meeting.runCall("200");
  assertEquals([text.code, text.stdout], [0, `${FIB_200}\n`]);
  const json = await meeting.runCall("--output=json", "200");
  assertEquals(json.code, 0);
  assertStringIncludes(json.stdout, FIB_200);
});

test("call fails with an envelope's error", async () => {
  await using meeting = new Meeting(broker.url);
  await meeting.startPython("envelope_server.py", "--max-n=200", `--queue-type=${QUEUE_TYPES[0]}`);
  const { code, stdout, stderr } = await meeting.runCall("201");
  assertEquals([code, stdout], [1, ""]);
  assertStringIncludes(stderr, "n must be between 0 and 200");
});

/** All calls must be answered, some of them but not all by `theirs`. */
async function assertShared(meeting: Meeting, theirs: Program): Promise<void> {
  assertEquals(await meeting.runCall(...NUMBERS.map(String)), {
    code: 0,
    signal: null,
    stdout: `${RESULTS.join("\n")}\n`,
    stderr: "",
  });
  theirs.kill();
  await theirs.status;
  const answered = theirs.stdout.match(/^answering /gm)?.length ?? 0;
  assert(
    answered > 0 && answered < NUMBERS.length,
    `they answered ${answered} of ${NUMBERS.length} calls`,
  );
}
