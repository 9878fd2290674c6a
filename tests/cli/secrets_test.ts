/** Passwords in URLs, however they are written: nothing shows them, and nobody else gets them. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseBrokerUrls } from "../../src/amqp/broker_url.ts";
import { FakeProcess } from "./fake_process.ts";

const PASSWORD = "<password>";

/** URLs and lists of them, with the brokers that they mean. */
const FORMS = [
  `amqp://fib:${PASSWORD}@127.0.0.1:1`,
  `amqp://fib:${PASSWORD}@127.0.0.1:1/v1`,
  `amqp://fib:${PASSWORD}@127.0.0.1:1/v1?heartbeat=5`,
  `amqps://fib:${PASSWORD}@127.0.0.2`,
  `AMQP://fib:${PASSWORD}@[::1]:1/?channel_max=9`,
  `amqp://:${PASSWORD}@127.0.0.1:1`,
  `amqp://fib:${PASSWORD}@`,
  `amqp://fib:${PASSWORD}@/v1`,
  `fib:${PASSWORD}@127.0.0.1:1`,
  `amqp:fib:${PASSWORD}@127.0.0.1:1`,
  `amqp:/fib:${PASSWORD}@127.0.0.1:1`,
  `http://fib:${PASSWORD}@127.0.0.1:1`,
  `amqp://fib:${PASSWORD}@127.0.0.1:1,amqps://fib:${PASSWORD}@127.0.0.2/v1`,
  `amqp://fib:${PASSWORD}@127.0.0.1:1, amqps://127.0.0.2`,
  `amqp://fib@127.0.0.1:1,amqp://fib:${PASSWORD}@[::1]:1`,
  `amqp://fib:${PASSWORD}@127.0.0.1:1,127.0.0.2`,
  `amqp://fib:${PASSWORD}@127.0.0.1:1;amqp://fib:${PASSWORD}@[::1]:1/`,
  `amqp://fib:x@127.0.0.1:1/;amqp://fib:${PASSWORD}@[::1]:1/`,
  `amqp://127.0.0.1:1/v1 amqp://fib:${PASSWORD}@[::1]:1`,
  `["amqp://fib:${PASSWORD}@127.0.0.1:1"]`,
];
const HOSTS = ["127.0.0.1", "127.0.0.2", "::1"];
const PLACES = ["127.0.0.1:1", "127.0.0.2:5671", "[::1]:1"].flatMap((
  place,
) => [place, `${place} (vhost v1)`]);

/** Where a command finds a URL. */
const SOURCES: Record<string, (...urls: string[]) => { args: string[]; env: object }> = {
  "--url": (...urls) => ({ args: urls.flatMap((url) => ["--url", url]), env: {} }),
  "--url=": (...urls) => ({ args: urls.map((url) => `--url=${url}`), env: {} }),
  "a misspelt option": (...urls) => ({ args: urls.map((url) => `--ulr=${url}`), env: {} }),
  "an argument": (...urls) => ({ args: urls, env: {} }),
  "another option": (...urls) => ({ args: ["--queue", ...urls], env: {} }),
  FIBRPC_URL: (url) => ({ args: [], env: { FIBRPC_URL: url } }),
  AMQP_URL: (url) => ({ args: [], env: { AMQP_URL: url } }),
  FIBRPC_QUEUE: (url) => ({ args: [], env: { FIBRPC_QUEUE: url } }),
};

/** Those where none belongs. */
const MISPLACED = new Set(["a misspelt option", "an argument", "another option", "FIBRPC_QUEUE"]);

const COMMANDS = [
  ["call", "30", "--output", "json", "--connect-timeout", "1ms"],
  ["call", "30", "--connect-timeout", "1ms"],
  ["serve", "--exit-on-disconnect"],
];

/** Printable characters of any script, and above all what a URL gives a meaning to. */
const password = fc.array(
  fc.oneof(
    { arbitrary: fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 5 }), weight: 3 },
    { arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 5 }), weight: 1 },
    { arbitrary: fc.stringMatching(/^[0-9]{1,5}$/), weight: 1 },
    { arbitrary: fc.constantFrom(..."/?#@:,;%[]\\&= \"'"), weight: 3 },
    {
      arbitrary: fc.constantFrom("://", ",amqp://", ";amqps://", "%2F", "%41", "/@", "@@"),
      weight: 1,
    },
  ),
  { minLength: 1, maxLength: 8 },
).map((parts) => parts.join(""))
  // That is a proper list of two brokers.
  .filter((text) => !/@.*,\s*amqps?:\/\//i.test(text));

/** What the program says of itself, and what the forms hold besides the password. */
const fixedText = [
  ...FORMS.map((form) => form.replaceAll(PASSWORD, "")),
  ...await sources(new URL("../../src/", import.meta.url)),
].join("\n");

async function sources(folder: URL): Promise<string[]> {
  const texts: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const url = new URL(isDirectory ? `${name}/` : name, folder);
    texts.push(...isDirectory ? await sources(url) : [await Deno.readTextFile(url)]);
  }
  return texts;
}

/** The fours of a password's characters, as they are and decoded, that stand for nothing else. */
function fours(password: string): string[] {
  return [password, decoded(password)].flatMap((text) => {
    const characters = [...text];
    return characters.map((_, at) => characters.slice(at, at + 4).join(""));
  }).filter((four) => [...four].length === 4 && !fixedText.includes(four));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What was written, without what a clock says; JSON also as what it means. */
function shown({ stdout, stderr }: { stdout: string; stderr: string }): string {
  const raw = `${stdout}\n${stderr}`
    .replace(/"@timestamp":"[^"]*"|"ms":[\d.]+|\d+(\.\d+)? m?s\b/g, "");
  const meant = [...raw.matchAll(/"(?:[^"\\]|\\.)*"/g)].map(([string]) => {
    try {
      return JSON.parse(string);
    } catch {
      return "";
    }
  });
  return [raw, ...meant].join("\n");
}

/** Runs it without a network; gives what was written, and who it would have been sent to. */
async function runOffline(args: string[], env: object) {
  const hosts: string[] = [];
  const { connect } = Deno;
  Deno.connect = (options: object): Promise<never> => {
    hosts.push((options as Deno.ConnectOptions).hostname!);
    return Promise.reject(new Deno.errors.ConnectionRefused("refused"));
  };
  try {
    const process = new FakeProcess(...args, "--log-level", "debug");
    Object.assign(process.env, env);
    return { ...await process.run(), hosts };
  } finally {
    Deno.connect = connect;
  }
}

Deno.test("secrets: no output shows four characters of a password in a row, and nobody else gets any", async () => {
  const source = fc.constantFrom(...Object.keys(SOURCES));
  const urls = fc.array(fc.constantFrom(...FORMS), { minLength: 1, maxLength: 2 });
  const command = fc.constantFrom(...COMMANDS);
  await fc.assert(
    fc.asyncProperty(password, urls, source, command, async (password, forms, source, command) => {
      // What has no scheme is no URL to anybody.
      fc.pre(!MISPLACED.has(source) || forms.every((form) => /amqps?:|:\/\//i.test(form)));
      const urls = forms.map((form) => form.replaceAll(PASSWORD, () => password));
      const { args, env } = SOURCES[source]!(...urls);
      const outcome = await runOffline([...command, ...args], env);
      assert([2, 3].includes(outcome.code), `exit code ${outcome.code}`);
      const text = shown(outcome);
      const found = fours(password).filter((four) => text.includes(four));
      assertEquals(found, [], text);
      assertEquals(outcome.hosts.filter((host) => !HOSTS.includes(host)), []);
    }),
    { numRuns: 500 },
  );
});

Deno.test("secrets: a URL that is accepted means what was meant", () => {
  let accepted = 0;
  fc.assert(
    fc.property(password, fc.constantFrom(...FORMS), (password, form) => {
      try {
        const brokers = parseBrokerUrls(form.replaceAll(PASSWORD, () => password));
        for (const broker of brokers) {
          assert(PLACES.includes(String(broker)), `${broker}`);
          if (broker.hasPassword) assertEquals(broker.password, decoded(password));
        }
        accepted += 1;
      } catch (error) {
        assertEquals((error as { code?: string }).code, "invalid_argument");
      }
    }),
    { numRuns: 5_000 },
  );
  assert(accepted > 100, `only ${accepted} were`);
});
