import { assert, assertEquals, assertMatch } from "@std/assert";
import { CommandLine, READY } from "../cli/command_line.ts";
import { Browser } from "../support/browser.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { startProxy } from "../support/proxy.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";
import { get, monitored } from "./monitored.ts";

const { url } = await sharedBroker();
const fibrpc = new CommandLine(url);

/** So many different colors a chart's canvas has: an empty one has its grid's. */
const COLORS = (id: string) => `
  const canvas = document.querySelector("#${id} canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;`;

for (const dark of [false, true]) {
  Deno.test(`page: figures, curves and failures in a real browser (${dark ? "dark" : "light"})`, async () => {
    const queue = uniqueQueue("page");
    await using server = await monitored(fibrpc, queue);
    await server.program.waitForStderr(READY);
    await fibrpc.run(["call", "1..50", "--queue", queue]);
    await using peer = await RawChannel.open(url);
    // A caller may send what it likes for an id.
    const id = '<img src=x onerror="document.title=1">';
    await peer.channel.basicPublish("", queue, "no number", {
      correlationId: id,
      replyTo: `${queue}-none`,
    });
    await waitFor(async () => (await get(`${server.url}/status.json`))[1].includes("invalid"), {
      what: "the failure",
    });
    await waitFor(
      async () => JSON.parse((await get(`${server.url}/status.json`))[1]).samples.length > 1,
      { what: "two samples" },
    );

    await using browser = await Browser.start({ dark });
    await browser.open(`${server.url}/`);
    const text = (selector: string) =>
      browser.evaluate<string>(
        `return document.querySelector(${JSON.stringify(selector)}).innerText`,
      );
    await waitFor(async () => await text("#readiness") === "ready", { what: "the page" });
    assertEquals(await text("#queue"), queue);
    assertMatch(await text("#broker"), /^127\.0\.0\.1:\d+ · RabbitMQ \d/);
    assertMatch(await text("#tiles"), /Responses\s+50 in all/);
    assert((await text("#failures tbody")).includes(id));
    assertEquals(await browser.evaluate("return document.title"), `ready · ${queue} · fibrpc`);

    const background = await browser.evaluate<string>(
      "return getComputedStyle(document.body).backgroundColor",
    );
    assertEquals(background === "rgb(255, 255, 255)", !dark);
    for (const chart of ["rate", "latency", "in-flight"]) {
      assert(await browser.evaluate<number>(COLORS(chart)) > 10, chart);
    }

    const range = "return charts[0].plot.scales.x.max - charts[0].plot.scales.x.min";
    assertEquals(await browser.evaluate(range), 600);
    await browser.click('button[data-minutes="2"]');
    assertEquals(Math.round(await browser.evaluate<number>(range)), 120);
    await browser.click("#pause");
    assertEquals(await browser.evaluate("return isPaused"), true);
    await browser.click("#pause");

    // Nothing from elsewhere, and nothing that the page's policy forbids.
    const hosts = await browser.evaluate<string[]>(
      "return performance.getEntriesByType('resource').map(({ name }) => new URL(name).host)",
    );
    assertEquals([...new Set(hosts)], [new URL(server.url).host]);
    assertEquals(await browser.console(), []);

    server.program.kill("SIGKILL");
    await server.program.status;
    await browser.evaluate("ask()");
    await waitFor(async () => /has not answered since/.test(await text("#stale")), {
      what: "the page to say that the server is gone",
    });
  });
}

Deno.test("page: over a slow link it shows the same, later", async () => {
  const queue = uniqueQueue("page");
  await using server = await monitored(fibrpc, queue);
  await server.program.waitForStderr(READY);
  await using link = await startProxy(Number(new URL(server.url).port));
  link.slow(8_000);
  link.delay(1, 150);
  await using browser = await Browser.start({ dark: false });
  await browser.open(`http://127.0.0.1:${link.port}/`);
  const readiness = "return document.querySelector('#readiness').innerText";
  await waitFor(async () => await browser.evaluate(readiness) === "ready", { what: "the page" });
  await fibrpc.run(["call", "1..7", "--queue", queue]);
  const tiles = "return document.querySelector('#tiles').innerText";
  await waitFor(async () => /Responses\s+7 in all/.test(await browser.evaluate<string>(tiles)), {
    what: "news",
  });
  assertEquals(await browser.evaluate("return document.querySelector('#stale').hidden"), true);
  assertEquals(await browser.console(), []);
});

Deno.test("page: is small, and compressed for who takes that", async () => {
  await using server = await monitored(fibrpc, uniqueQueue("page"));
  const { port } = new URL(server.url);
  // fetch() hides what was really sent.
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  const request = "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n";
  await connection.write(new TextEncoder().encode(request));
  const response = await new Response(connection.readable).bytes();
  const [head] = new TextDecoder().decode(response).split("\r\n\r\n");
  assertMatch(head!, /content-encoding: gzip/i);
  assert(response.length < 40_000, `${response.length} bytes`);
});
