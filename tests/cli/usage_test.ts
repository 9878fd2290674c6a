/** What is refused before anything is tried: exit code 2, and a word about it. */
import { assert, assertEquals } from "@std/assert";
import { CommandLine } from "./command_line.ts";

// Nothing listens there, should one of them be accepted.
const fibrpc = new CommandLine("amqp://127.0.0.1:1");

const USAGE: [string, ...string[]][] = [
  ["no command"],
  ["an unknown command", "frobnicate"],
  ["help for an unknown command", "help", "constructor"],
  ["an unknown option", "call", "30", "--frobnicate"],
  ["no n", "call"],
  ["a negative n", "call", "-5"],
  ["a negative n after --", "call", "--", "-5"],
  ["an n with an exponent", "call", "1e3"],
  ["an n with a fraction", "call", "3.0"],
  ["an empty n", "call", ""],
  ["a range that ends before it begins", "call", "5..1"],
  ["a range without a step", "call", "1..5..0"],
  ["a range of no numbers", "call", "a..b"],
  ["a body without a queue", "call", "--body", "a"],
  ["a body and a number", "call", "--queue", "q", "--body", "a", "30"],
  ["a body and lines", "call", "--queue", "q", "--body", "a", "--lines", "-"],
  ["a file that is missing", "call", "--queue", "q", "--body", "@/no/such/file"],
  ["a file that is missing, of lines", "call", "--queue", "q", "--lines", "@/no/such/file"],
  ["lines that are no file", "call", "--queue", "q", "--lines", "text"],
  ["stdin twice, as bodies", "call", "--queue", "q", "--body", "-", "--body", "-"],
  [
    "raw output of several",
    "call",
    "--queue",
    "q",
    "--body",
    "a",
    "--body",
    "b",
    "--output",
    "raw",
  ],
  ["raw output of a number", "call", "30", "--output", "raw"],
  ["a header of a number", "call", "30", "--header", "a: b"],
  ["a header without a name", "call", "--queue", "q", "--body", "a", "--header", ": b"],
  ["a header with a blank name", "call", "--queue", "q", "--body", "a", "--header", " : b"],
  ["a body with no end", "call", "--queue", "q", "--body", "@/dev/zero"],
  ["none in flight", "call", "30", "--in-flight", "0"],
  ["no command", "serve", "--queue", "q", "--"],
  ["stdin twice", "call", "-", "-", "--output", "json"],
  ["a duration without a unit", "call", "30", "--timeout", "5"],
  ["a duration of nothing", "call", "30", "--timeout", "0s"],
  ["a duration over 24 days", "call", "30", "--timeout", "25d"],
  ["a negative duration", "call", "30", "--timeout", "-5s"],
  ["a duration that is none", "call", "30", "--connect-timeout", "soon"],
  ["no duration", "call", "30", "--timeout"],
  ["a URL that is none", "call", "30", "--url", "localhost:5672 "],
  ["a URL of another protocol", "call", "30", "--url", "http://localhost"],
  ["a second URL that is none", "call", "30", "--url", "amqp://localhost", "--url", "://"],
  ["no queue name", "call", "30", "--queue", ""],
  ["an unknown output format", "call", "30", "--output", "xml"],
  ["an unknown reply path", "call", "30", "--reply", "pigeon"],
  ["a heartbeat of half a second", "call", "30", "--heartbeat", "500ms"],
  ["an argument to serve", "serve", "30"],
  ["a prefetch of 0", "serve", "--prefetch", "0"],
  ["a limit that is no number", "serve", "--max-n", "1e3"],
  ["a limit beyond what can be computed", "serve", "--max-n", "1500000001"],
  ["an unknown queue type", "serve", "--queue-type", "stream"],
  ["an unknown log level", "serve", "--log-level", "loud"],
  ["an unknown log format", "serve", "--log-format", "xml"],
  ["a URL that is none, to serve", "serve", "--url", "localhost"],
];

for (const [what, ...args] of USAGE) {
  Deno.test(`usage error: ${what}`, async () => {
    const { code, stdout, stderr } = await fibrpc.run(args);
    assertEquals({ code, stdout }, { code: 2, stdout: "" });
    assert(stderr !== "", "it doesn't say why");
    assert(!stderr.includes("    at "), stderr);
  });
}
