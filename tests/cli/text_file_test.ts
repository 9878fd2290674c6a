/** Files that hold text, whatever they really hold. */
import { assertEquals, assertMatch } from "@std/assert";
import { RpcError } from "../../src/errors.ts";
import { TextFile } from "../../src/cli/options/text_file.ts";
import { run } from "../support/process.ts";

const MIB = 1024 * 1024;

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "fibrpc-test-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function refusal(path: string, timeoutMs?: number): Promise<string> {
  const file = new TextFile(path, "--some-file");
  const error = await file.read(timeoutMs).catch((error) => error);
  assertEquals(error instanceof RpcError && error.code, "invalid_argument", `${error}`);
  return error.message;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const utf16 = (text: string) =>
  new Uint8Array(Uint16Array.from(text, (c) => c.charCodeAt(0)).buffer);

const READABLE: [what: string, content: Uint8Array, text: string][] = [
  ["nothing", bytes(""), ""],
  ["lines", bytes("a\r\nb\n"), "a\r\nb\n"],
  ["any script", bytes("\u20ac\u{1f511}"), "\u20ac\u{1f511}"],
  ["a byte order mark", bytes("\ufeffsecret"), "secret"],
  ["a second byte order mark", bytes("\ufeff\ufeffsecret"), "\ufeffsecret"],
  ["as much as is allowed", bytes("x".repeat(MIB)), "x".repeat(MIB)],
];

for (const [what, content, text] of READABLE) {
  Deno.test(`TextFile: ${what}`, async () => {
    await withFolder(async (folder) => {
      await Deno.writeFile(`${folder}/file`, content);
      assertEquals(await new TextFile(`${folder}/file`, "--some-file").read(), text);
    });
  });
}

const UNREADABLE: [what: string, content: Uint8Array, message: RegExp][] = [
  [
    "UTF-16 with a mark",
    utf16("\ufeffswordfish\n"),
    /^--some-file ".*\/file" is not text in UTF-8$/,
  ],
  ["UTF-16 without one", utf16("swordfish\n"), /is not text in UTF-8: it holds a NUL character$/],
  ["Latin-1", Uint8Array.from([...bytes("swordfish"), 0xfc]), /".*\/file" is not text in UTF-8$/],
  ["a NUL", bytes("swordfish\0"), /".*\/file" is not text in UTF-8: it holds a NUL character$/],
  ["more than is allowed", bytes("x".repeat(MIB + 1)), /".*\/file" is longer than 1048576 bytes$/],
];

for (const [what, content, message] of UNREADABLE) {
  Deno.test(`TextFile: refuses ${what}`, async () => {
    await withFolder(async (folder) => {
      await Deno.writeFile(`${folder}/file`, content);
      const text = await refusal(`${folder}/file`);
      assertMatch(text, message);
      assertEquals(text.includes("swordfish"), false);
    });
  });
}

Deno.test("TextFile: refuses what is missing, a folder, and what has no end", async () => {
  await withFolder(async (folder) => {
    assertMatch(
      await refusal(`${folder}/no`),
      /^can't read --some-file ".*\/no": .*(ENOENT|No such)/,
    );
    assertMatch(await refusal(folder), /^can't read --some-file ".*": .*directory/i);
  });
  assertMatch(
    await refusal("/dev/zero"),
    /^--some-file "\/dev\/zero" is longer than 1048576 bytes$/,
  );
});

Deno.test("TextFile: is read again, what has replaced it too", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/file`;
    const file = new TextFile(path, "--some-file");
    await Deno.writeTextFile(path, "first");
    assertEquals(await file.read(), "first");
    await Deno.writeTextFile(path, "2nd");
    assertEquals(await file.read(), "2nd");
    await Deno.writeTextFile(`${path}.new`, "third");
    await Deno.rename(`${path}.new`, path);
    assertEquals(await file.read(), "third");
  });
});

Deno.test("TextFile: what comes through a pipe comes once, and is kept", async () => {
  await withFolder(async (folder) => {
    const path = await pipe(folder);
    const file = new TextFile(path, "--some-file");
    const reading = file.read();
    await Deno.writeTextFile(path, "secret\n");
    assertEquals(await reading, "secret\n");
    assertEquals(await file.read(), "secret\n");
  });
});

Deno.test({
  name: "TextFile: a pipe that nobody writes to is waited for so long, and no longer",
  // What waits for it in vain is the system's, and ends some time after the test has.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await withFolder(async (folder) => {
      const path = await pipe(folder);
      const message = await refusal(path, 20);
      assertMatch(message, /^can't read --some-file ".*\/pipe": no end came within 20 ms$/);
      await Deno.writeTextFile(path, "");
    });
  },
});

async function pipe(folder: string): Promise<string> {
  const path = `${folder}/pipe`;
  assertEquals((await run("mkfifo", [path])).code, 0);
  return path;
}
