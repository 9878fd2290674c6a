import { assertEquals, assertMatch, assertThrows } from "@std/assert";
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

const SEPARATOR = /^broker URL has a separator in a wrong place: .*"\/" .* %2F, "\?" %3F, "#" %23/;
const HOST = /^broker URL names no valid host, such as .*: it is amqp:\/\/user:password@host/;
const PORT = /^broker URL has a port that is not a number from 1 to 65535: /;
const SPACE = /^broker URL holds a space or control character: .* %20/;
const SCHEME = /^broker URL must start with amqp:\/\/ or amqps:\/\/: /;
const VHOST = /^broker URL names no valid vhost: /;
const ESCAPE = /^broker URL has a "%" that is not part of an escape such as %25/;

/** What "swordfish" stands for could be a part of a password. */
const REFUSED: [text: string, message: RegExp][] = [
  ["", SCHEME],
  ["swordfish", SCHEME],
  ["localhost:5672", SCHEME],
  ["http://u:swordfish@host", SCHEME],
  ["u:swordfish@host", SCHEME],
  ["amqp:u:swordfish@host", SCHEME],
  ["amqp:/u:swordfish@host", SCHEME],
  ["amqp:\\\\u:swordfish@host", SCHEME],
  ["//u:swordfish@host", SCHEME],
  [' "amqp://u:swordfish@host"', SCHEME],

  ["amqp://u:/swordfish@host", SEPARATOR],
  ["amqp://u:2024/swordfish@host", SEPARATOR],
  ["amqp://u:2024/swordfish@", SEPARATOR],
  ["amqp://u:12?swordfish@host", SEPARATOR],
  ["amqp://u:12#swordfish@host", SEPARATOR],
  ["amqp://u:sword#fish@host", SEPARATOR],
  ["amqp://u:12@swordfish@host", SEPARATOR],
  ["amqp://u:swordfish@host/v@w", SEPARATOR],
  ["amqp://u:x@y/swordfish@host", SEPARATOR],
  ["amqp://host/v#swordfish", SEPARATOR],
  ["amqp://host/swordfish/w", SEPARATOR],
  ["amqp://host/;amqp://u:swordfish@host/", SEPARATOR],
  ["amqp://host/;amqps://swordfish", SEPARATOR],
  ["amqp://host?x=amqp://swordfish", SEPARATOR],
  ["amqp://host?x=swordfish@", SEPARATOR],
  ["amqp://[::1]swordfish", SEPARATOR],

  ["amqp://", HOST],
  ["amqp:///swordfish", HOST],
  ["amqp://u:swordfish@", HOST],
  ["amqp://u:swordfish@:5672", HOST],
  ["amqp://u:swordfish@host;host", HOST],
  ["amqp://u:swordfish@host,host:5672", HOST],
  ["amqp://u:swordfish@h%6fst", HOST],
  ["amqp://u:swordfish@b\u00fccher.example", HOST],
  ["amqp://u:swordfish@host..example", HOST],
  ["amqp://u:swordfish@.", HOST],
  ["amqp://u:swordfish@-host", HOST],
  ["amqp://u:swordfish@host-", HOST],
  [`amqp://u:swordfish@${"h".repeat(64)}`, HOST],
  [`amqp://u:swordfish@${"h.".repeat(127)}h`, HOST],
  ["amqp://u:swordfish@12", HOST],
  ["amqp://u:swordfish@127.1", HOST],
  ["amqp://u:swordfish@0x7f", HOST],
  ["amqp://u:swordfish@1.2.3.256", HOST],
  ["amqp://u:swordfish@[1.2.3.4]", HOST],
  ["amqp://u:swordfish@[::1::]", HOST],
  ["amqp://u:swordfish@[fe80::1%25eth0]", HOST],
  ["amqp://u:swordfish@host\\swordfish", HOST],

  ["amqp://u:swordfish", PORT],
  ["amqp://swordfish:/", PORT],
  ["amqp://u:swordfish@host:", PORT],
  ["amqp://u:swordfish@host:port", PORT],
  ["amqp://u:swordfish@host:0", PORT],
  ["amqp://u:swordfish@host:65536", PORT],
  ["amqp://u:swordfish@host:+1", PORT],
  ["amqp://u:swordfish@::1", HOST],
  ["amqp://u:12,34", PORT],

  ["amqp://u:sword fish@host", SPACE],
  ["amqp://u:sword\tfish@host", SPACE],
  ["amqp://u:sword\nfish@host", SPACE],
  ["amqp://u:sword\u0000fish@host", SPACE],
  ["amqp://u:sword\u00a0fish@host", SPACE],
  ["amqp://host amqp://u:swordfish@host", SPACE],

  ["amqp://host/swordfish;", VHOST],
  ["amqp://host/v,host", VHOST],
  ['amqp://host/"swordfish"', VHOST],
  ["amqp://host/a\\swordfish", VHOST],
  ["amqp://host/%2", VHOST],

  ["amqp://u:sword%fish@host", ESCAPE],
  ["amqp://u:swordfish%@host", ESCAPE],
  ["amqp://u:swordfish%E2%82@host", ESCAPE],
  ["amqp://swordfish%FF@host", ESCAPE],
  ["amqp://host/%FF", ESCAPE],
  ["amqp://u:swordfish%00@host", /^broker URL holds a control character$/],
  ["amqp://u%0Aswordfish@host", /^broker URL holds a control character$/],
  ["amqp://host/swordfish%1B%5B2J", /^broker URL holds a control character$/],

  ["amqp://u:swordfish@host?heartbeat=often", /^broker URL has a heartbeat that is not a number/],
  ["amqp://host?heartbeat=", /^broker URL has a heartbeat that is not a number from 0 to 65535$/],
  ["amqp://host?heartbeat=65536", /^broker URL has a heartbeat that is not a number/],
  ["amqp://host?heartbeat=1&heartbeat=2", /^broker URL has two heartbeats$/],
  ["amqp://host?auth_mechanism=external", /parameter auth_mechanism: fibrpc logs in by PLAIN/],
  ["amqp://host?auth_mechanism=plain&auth_mechanism=amqplain", /parameter auth_mechanism: /],
  ["amqp://host?password=swordfish", /parameter password: fibrpc logs in by PLAIN/],
  ["amqp://host?user=u", /parameter user: fibrpc logs in by PLAIN/],
];

for (const [text, message] of REFUSED) {
  Deno.test(`BrokerUrl: refuses ${JSON.stringify(text.slice(0, 60))}, and shows nothing of it`, () => {
    const error = assertThrows(() => new BrokerUrl(text), RpcError);
    assertEquals(error.code, "invalid_argument");
    assertMatch(error.message, message);
    assertEquals(/\bsword|fish/.test(`${error.stack} ${error.cause}`), false, error.stack);
  });
}

const ACCEPTED: [text: string, shown: string, user: string, password: string][] = [
  ["amqp://host", "host:5672", "guest", "guest"],
  ["AMQPS://HOST.Example", "host.example:5671", "guest", "guest"],
  ["amqp://host/?", "host:5672", "guest", "guest"],
  ["amqp://host/%2F", "host:5672", "guest", "guest"],
  ["amqp://host.:1/v", "host.:1 (vhost v)", "guest", "guest"],
  ["amqp://rabbit_mq-1/m\u00fcller", "rabbit_mq-1:5672 (vhost m\u00fcller)", "guest", "guest"],
  ["amqp://127.0.0.1", "127.0.0.1:5672", "guest", "guest"],
  ["amqp://[FE80::1]:65535", "[fe80::1]:65535", "guest", "guest"],
  ["amqp://1host.2com3", "1host.2com3:5672", "guest", "guest"],
  ["amqp://user@host", "host:5672", "user", "guest"],
  ["amqp://user:@host", "host:5672", "user", "guest"],
  ["amqp://:pw@host", "host:5672", "guest", "pw"],
  ["amqp://u:a:b@host", "host:5672", "u", "a:b"],
  [
    'amqp://u:,;[]\\"<>|^`{}+&=$!*()~\u20ac@host',
    "host:5672",
    "u",
    ',;[]\\"<>|^`{}+&=$!*()~\u20ac',
  ],
  ["amqp://u:%2F%3F%23%40%25%20@host", "host:5672", "u", "/?#@% "],
  ["amqp://u:p+w@host/a+b", "host:5672 (vhost a+b)", "u", "p+w"],
];

for (const [text, shown, user, password] of ACCEPTED) {
  Deno.test(`BrokerUrl: takes ${JSON.stringify(text)}`, () => {
    const url = new BrokerUrl(text);
    assertEquals([String(url), url.username, url.password], [shown, user, password]);
    assertEquals([url.hasUsername, url.hasPassword], [user !== "guest", password !== "guest"]);
  });
}

Deno.test("BrokerUrl: parameters are obeyed, or among those that have no effect", () => {
  const ignored = (query: string) => new BrokerUrl(`amqps://host/v?${query}`).ignoredParameters;
  assertEquals(ignored("heartbeat=5&auth_mechanism=PLAIN&verify=verify_peer"), []);
  const others =
    "cacertfile=%2Fx&hartbeat=5&connection_timeout=1&verify=verify_none&frameMax=9&x&x=1";
  const names = ["cacertfile", "hartbeat", "connection_timeout", "verify", "frameMax", "x"];
  assertEquals(ignored(others), names);
  assertEquals(ignored("%1B%5B2J=1&s3cret=1"), ["one that is not shown"]);
  assertEquals(new BrokerUrl("amqp://host?heartbeat=0").heartbeatSeconds, 0);
  assertEquals(new BrokerUrl("amqp://host?heartbeat=65535").heartbeatSeconds, 65_535);
  assertEquals(new BrokerUrl("amqp://host").heartbeatSeconds, undefined);
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
  assertMatch(assertThrows(() => parseBrokerUrls([]), RpcError).message, /no broker URL/);
});

Deno.test("parseBrokerUrls: says which of several is refused, and shows none", () => {
  for (
    const texts of ["amqp://u:fish@a, AMQP://u:fish@b:0", ["amqp://u:fish@a", "amqp://u:fish@b:0"]]
  ) {
    const error = assertThrows(() => parseBrokerUrls(texts), RpcError);
    assertMatch(error.message, /^broker URL 2 of 2 has a port/);
    assertEquals(error.message.includes("fish"), false);
  }
});

Deno.test("parseBrokerUrls: a comma could be a password's behind a word and digits", () => {
  for (const text of ["amqp://u:12,amqp://34@host", "amqp://u@a,amqp://b:1/v,amqp://u@c"]) {
    const error = assertThrows(() => parseBrokerUrls(text), RpcError);
    assertMatch(error.message, /a password could have been split.*%2C/);
    assertEquals(parseBrokerUrls(text.split(",")).length, text.split(",").length);
  }
  for (const host of ["b", "127.0.0.1:1", "[::1]:1", "localhost:1", "b.example:1"]) {
    assertEquals(parseBrokerUrls(`amqp://${host},amqp://u:p@c`).length, 2, host);
  }
  assertEquals(parseBrokerUrls("amqp://u@a,amqp://b:1").length, 2);
  assertEquals(parseBrokerUrls("amqp://a,amqp://b").length, 2);
});
