import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { RpcServer } from "../../mod.ts";
import { text } from "../../src/rpc/codec.ts";
import { sharedBroker, startBroker, uniqueQueue } from "../support/broker.ts";
import { Browser } from "../support/browser.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { CommandLine } from "./command_line.ts";

const { url } = await sharedBroker();
const fibrpc = new CommandLine(url);

interface Result {
  target: { queue: string; consumers: number; isOwn: boolean };
  settings: { model: string; input: string };
  sent: number;
  answered: number;
  errors: Record<string, number>;
  rate: { asked: number | null; sent: number; answered: number };
  heldBack: number;
  ms: Record<"due" | "sent", Record<string, number>>;
  queue: { consumers: number; maxWaiting: number | null };
  client: { cpu: number; rssMb: number };
  interrupted: boolean;
  failed: string[];
}

async function bench(...args: string[]): Promise<{ code: number; result: Result }> {
  const all = ["bench", "--warm-up", "0", "--output", "json", "--quiet", ...args];
  const { code, stdout, stderr } = await fibrpc.run(all);
  assertEquals(stderr, "");
  return { code, result: JSON.parse(stdout) };
}

async function assertGone(queue: string): Promise<void> {
  await using peer = await RawChannel.open(url);
  const { name } = await peer.channel.queueDeclare(queue, { passive: true })
    .catch(() => ({ name: "" }));
  assertEquals(name, "");
}

Deno.test("bench: so many calls of a Fibonacci server", async () => {
  const queue = uniqueQueue("bench");
  await using _server = await fibrpc.serve(queue);
  const { code, result } = await bench("10", "--calls", "500", "--queue", queue);
  assertEquals([code, result.sent, result.answered, result.errors], [0, 500, 500, {}]);
  assertEquals(result.target.consumers, 1);
  assertEquals(result.settings.input, "fib(10)");
  assert(result.ms.sent.p50! > 0 && result.ms.sent.p50! <= result.ms.sent.max!);
  assertEquals(result.ms.due, undefined);
  const two = await bench("10", "--calls", "100", "--queue", queue, "--connections", "2");
  assertEquals([two.code, two.result.answered], [0, 100]);
});

Deno.test("bench: an own server, in text and CSV, and nothing is left", async () => {
  const { code, result } = await bench("--own-server", "--calls", "100", "--body", "x");
  assertEquals([code, result.target.isOwn, result.answered], [0, true, 100]);
  await assertGone(result.target.queue);

  const own = ["bench", "--own-server", "--warm-up", "0"];
  const words = await fibrpc.run([...own, "--for", "1100ms", "--rate", "100"]);
  assertEquals(words.code, 0);
  assertMatch(words.stdout, /^target {7}fibrpc-bench-\S+ on 127\.0\.0\.1:\d+ \(RabbitMQ/);
  assertMatch(words.stdout, /^ {2}since due +[\d.]+ .* ms$/m);
  assertMatch(words.stdout, /^result {7}passed$/m);
  assertMatch(words.stderr, /^1 s: \d+ sent of 100 asked, \d+ answered, 0 errors, p99 [\d.]+ ms/);
  const csv = await fibrpc.run([...own, "--calls", "50", "--output", "csv", "--quiet"]);
  const [head, row, ...rest] = csv.stdout.split("\n");
  assertEquals([head!.split(",").length, rest], [row!.split(",").length, [""]]);
});

Deno.test("bench: the rate that is asked for is made", async () => {
  const { code, result } = await bench("--own-server", "--rate", "300", "--for", "3s");
  assertEquals([code, result.heldBack, result.rate.asked], [0, 0, 300]);
  assertAlmostEquals(result.rate.sent, 300, 3);
  assertEquals(result.answered, result.sent);
});

Deno.test("bench: percentiles of a server with known delays are right", async () => {
  const queue = uniqueQueue("bench");
  await using server = new RpcServer({ url });
  const echo = { queue, input: text, output: text };
  let calls = 0;
  server.serve(echo, async (body) => {
    // One in ten takes twice as long.
    const ms = ++calls % 10 === 0 ? 1_000 : 500;
    await new Promise((resolve) => setTimeout(resolve, ms));
    return body;
  }, { concurrency: 100 });
  await server.start();
  const { result } = await bench(
    ...["--body", "x", "--queue", queue, "--rate", "50", "--for", "4s"],
  );
  assertEquals(result.answered, 200);
  assertAlmostEquals(result.ms.due.p50!, 500, 10);
  assertAlmostEquals(result.ms.sent.p50!, 500, 10);
  assertAlmostEquals(result.ms.due.p99!, 1_000, 20);
});

Deno.test("bench: a server that stalls is seen in what was due meanwhile", async () => {
  const queue = uniqueQueue("bench");
  await using server = await fibrpc.serve(queue);
  await using program = fibrpc.spawn(
    ["bench", "5", "--queue", queue, "--rate", "200", "--for", "4s", "--output", "json"],
  );
  await program.waitForStderr(/^1 s: /m);
  server.kill("SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, 2_000)); // The stall itself.
  server.kill("SIGCONT");
  const { code } = await program.waitForExit();
  const { ms, sent, answered, rate }: Result = JSON.parse(program.stdout);
  assertEquals([code, answered], [0, sent]);
  assertAlmostEquals(rate.sent, 200, 2);
  assert(ms.due["p99.9"]! > 1_800 && ms.due["p99.9"]! < 3_000, JSON.stringify(ms.due));
  assert(ms.due.p50! < 1_000, JSON.stringify(ms.due));
});

Deno.test("bench: what is held back, and what fails, is told and decides", async () => {
  const queue = uniqueQueue("bench");
  await using _server = await fibrpc.serve(queue, "--max-n", "20");
  const refused = await bench("30", "--calls", "50", "--queue", queue);
  assertEquals([refused.code, refused.result.errors], [1, { out_of_range: 50 }]);
  assertEquals(refused.result.failed, ["errors>0"]);
  const allowed = await bench(
    ...["30", "--calls", "50", "--queue", queue, "--fail-if", "errors>100%"],
  );
  assertEquals(allowed.code, 0);

  const slow = uniqueQueue("bench");
  await using server = new RpcServer({ url });
  server.serve({ queue: slow, input: text, output: text }, async (body) => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    return body;
  });
  await server.start();
  const held = await fibrpc.run(
    ["bench", "--body", "x", "--queue", slow, "--rate", "200", "--in-flight", "5"]
      .concat("--for", "1s", "--warm-up", "0"),
  );
  assertMatch(held.stdout, /\d+ held back$/m);
  assertMatch(held.stdout, /^note +\d+ calls due and not made: at most 5 are in flight/m);
});

Deno.test("bench: a broker that goes away costs calls, not the result", async () => {
  await using broker = await startBroker();
  const own = new CommandLine(broker.url);
  const queue = uniqueQueue("bench");
  await using _server = await own.serve(queue);
  await using program = own.spawn(
    ["bench", "5", "--queue", queue, "--rate", "50", "--warm-up", "0", "--for", "4s"]
      .concat("--timeout", "1s", "--output", "json"),
  );
  await program.waitForStderr(/^1 s: /m);
  await broker.kill();
  assertEquals((await program.waitForExit()).code, 1);
  const { sent, answered, errors, failed }: Result = JSON.parse(program.stdout);
  assert(answered >= 40 && answered < sent, `${answered} of ${sent}`);
  assertEquals(Object.values(errors).reduce((sum, count) => sum + count, answered), sent);
  assertEquals(failed, ["errors>0"]);
  assertMatch(program.stderr, /^4 s: .* [1-9]\d* errors/m);
});

Deno.test("bench --step: a row for each rate, until one fails", async () => {
  const steps = ["bench", "--own-server", "--warm-up", "0", "--for", "1s", "--step", "20,40,60"];
  const all = await fibrpc.run([...steps, "--quiet"]);
  assertEquals([all.code, all.stdout.match(/passed$/gm)?.length], [0, 3]);
  const some = await fibrpc.run([...steps, "--quiet", "--fail-if", "rate>30"]);
  assertEquals([some.code, some.stdout.trim().split("\n").length], [1, 3]);
  assertMatch(some.stdout, /failed: rate>30\n$/);
});

Deno.test("bench: nobody serves: exit code 5; no broker: 3; what makes no sense: 2", async () => {
  const nobody = await fibrpc.run(["bench", "--queue", uniqueQueue("bench")]);
  assertEquals([nobody.code, nobody.stdout], [5, ""]);
  assertMatch(
    nobody.stderr,
    /no_server: nobody serves bench-\S+ on \S+: the queue does not exist .*fibrpc serve --queue/,
  );
  const none = await new CommandLine("amqp://127.0.0.1:1").run(["bench"]);
  assertEquals(none.code, 3);
  for (
    const [args, expected] of [
      [["x"], /"x"/],
      [["--body", "x"], /need --queue/],
      [["--body", "x", "--lines", "-", "--queue", "q"], /exclude each other/],
      [["--rate", "5", "--step", "5,6"], /exclude each other/],
      [["--for", "1s", "--calls", "6"], /exclude each other/],
      [["--fail-if", "p98>5ms"], /"p98>5ms" is not a metric/],
      [["--fail-if", "p99>5"], /needs a unit/],
      [["--step", "5,x"], /whole number/],
      [["--html", "/nowhere/report.html"], /can't write --html "\/nowhere/],
      [["--lines", "@/dev/null", "--queue", "q"], /no line to call with/],
      [["--body", "@/dev/zero", "--queue", "q"], /has over 16777216 bytes/],
    ] as [string[], RegExp][]
  ) {
    const { code, stderr } = await fibrpc.run(["bench", ...args]);
    assertEquals(code, 2, args.join(" "));
    assertMatch(stderr, expected);
  }
});

for (const dark of [false, true]) {
  Deno.test(`bench --html: a report with curves in a real browser (${dark ? "dark" : "light"})`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "fibrpc-test-" });
    try {
      const file = `${folder}/report.html`;
      const { code } = await fibrpc.run(
        ["bench", "--own-server", "--warm-up", "0", "--for", "3s", "--step", "50,100"]
          .concat("--html", file, "--quiet", "--body", "</script><b>"),
      );
      assertEquals(code, 0);
      const text = await Deno.readTextFile(file);
      assertEquals(text.match(/(src|href)="(?!data:)/), null);
      await using browser = await Browser.start({ dark });
      await browser.open(`file://${file}`);
      assertEquals(
        await browser.evaluate<string[]>(
          "return [...document.querySelectorAll('h2')].map(({ innerText }) => innerText)",
        ),
        ["50 calls a second", "100 calls a second"],
      );
      assertMatch(
        await browser.evaluate<string>("return document.querySelector('pre').innerText"),
        /since due/,
      );
      const colors = await browser.evaluate<number[]>(`
        return [...document.querySelectorAll("canvas")].map((canvas) => {
          const { data } = canvas.getContext("2d")
            .getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        });`);
      assertEquals([colors.length, colors.every((count) => count > 10)], [8, true]);
      assertEquals(await browser.console(), []);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("bench: lines are bounded, since all are kept", async () => {
  const args = ["bench", "--own-server", "--lines", "-"];
  await using program = fibrpc.spawn(args, { stdin: "piped" });
  const line = `${"x".repeat(65_535)}\n`;
  const feeding = (async () => {
    for (let i = 0; i < 1_100 && !program.ended; i++) await program.write(line).catch(() => {});
  })();
  assertEquals((await program.waitForExit()).code, 2);
  assertMatch(program.stderr, /standard input has over 67108864 bytes/);
  await feeding;
});

Deno.test("bench: Ctrl-C also ends what connects", async () => {
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = silent.accept();
  const { port } = silent.addr as Deno.NetAddr;
  await using program = new CommandLine(`amqp://127.0.0.1:${port}`).spawn(["bench"]);
  const connection = await accepted;
  program.kill("SIGINT");
  assertEquals((await program.waitForExit()).code, 130);
  connection.close();
  silent.close();
});

Deno.test("bench: Ctrl-C prints what there is, and leaves nothing", async () => {
  await using program = fibrpc.spawn(
    ["bench", "--own-server", "--rate", "50", "--warm-up", "0", "--output", "json"],
  );
  await program.waitForStderr(/^1 s: /m);
  program.kill("SIGINT");
  assertEquals((await program.waitForExit()).code, 130);
  const result: Result = JSON.parse(program.stdout);
  assertEquals(result.interrupted, true);
  assert(result.answered > 10, `${result.answered}`);
  await assertGone(result.target.queue);
});
