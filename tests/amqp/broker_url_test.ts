import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { BrokerUrl, parseBrokerUrls } from "../../src/amqp/broker_url.ts";
import { RpcError } from "../../src/errors.ts";

Deno.test("BrokerUrl: fills in what a URL leaves out", () => {
  const url = new BrokerUrl("amqp://localhost");
  const { host, port, tls, username, password, vhost, hasPassword } = url;
  assertEquals([host, port, tls, username, password, vhost, hasPassword], [
    "localhost",
    5672,
    false,
    "guest",
    "guest",
    "/",
    false,
  ]);
  assertEquals(new BrokerUrl("amqps://localhost/").port, 5671);
});

Deno.test("BrokerUrl: decodes every part", () => {
  const url = new BrokerUrl("amqp://us%65r:p%40ss%2Fw%3Ard@[::1]:1234/a%2Fb?heartbeat=7");
  const { host, port, username, password, vhost, heartbeatSeconds } = url;
  assertEquals([host, port, username, password, vhost, heartbeatSeconds], [
    "::1",
    1234,
    "user",
    "p@ss/w:rd",
    "a/b",
    7,
  ]);
  assertEquals(String(url), "[::1]:1234 (vhost a/b)");
});

Deno.test("BrokerUrl: a virtual host of dots is none of a path's", () => {
  for (const vhost of [".", "..", "a/../b"]) {
    const url = new BrokerUrl(`amqp://host/${encodeURIComponent(vhost)}?heartbeat=5`);
    assertEquals([url.vhost, url.heartbeatSeconds], [vhost, 5]);
  }
});

Deno.test("BrokerUrl: any credentials survive encoding", () => {
  const text = fc.string({ unit: "grapheme", minLength: 1 });
  fc.assert(fc.property(text, text, text, (username, password, vhost) => {
    const [u, p, v] = [username, password, vhost].map(encodeURIComponent);
    const url = new BrokerUrl(`amqp://${u}:${p}@host/${v}`);
    assertEquals([url.username, url.password, url.vhost], [username, password, vhost]);
  }));
});

Deno.test("BrokerUrl: refuses what is none, and never shows a password", () => {
  const bad = [
    "",
    "localhost",
    "http://u:swordfish@localhost",
    "u:swordfish@localhost",
    "amqp://u:swordfish@host:port",
    "amqp://u:sword%fish@host",
    "amqp://u:sword#fish@host",
    "amqp://u:swordfish@",
    "amqp://u:swordfish@host?heartbeat=often",
  ];
  for (const text of bad) {
    const error = assertThrows(() => new BrokerUrl(text), RpcError);
    assertEquals(error.code, "invalid_argument");
    const shown = `${error.message} ${error.stack} ${error.cause}`;
    assertEquals(/sword|fish/.test(shown), false, shown);
  }
});

Deno.test("BrokerUrl: can be logged without its password", () => {
  const url = new BrokerUrl("amqp://u:swordfish@host");
  assertEquals(/swordfish/.test(`${url} ${JSON.stringify(url)} ${Deno.inspect(url)}`), false);
});

Deno.test("parseBrokerUrls: a comma separates only where a URL follows", () => {
  const urls = parseBrokerUrls(["amqp://u:a,b@one, amqps://two", "amqp://three"]);
  assertEquals(urls.map(({ host, tls }) => [host, tls]), [
    ["one", false],
    ["two", true],
    ["three", false],
  ]);
  assertEquals(urls[0]!.password, "a,b");
  assertThrows(() => parseBrokerUrls([]), RpcError);
});
