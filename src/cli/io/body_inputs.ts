/**
 * The bodies that `fibrpc call` is given: as arguments, in files, on standard
 * input, whole or line by line. Their bytes stay as they are.
 *
 * @module
 */
import { createReadStream } from "node:fs";
import { concat } from "../../bytes.ts";
import { RpcError } from "../../errors.ts";
import { messageOf, quote } from "../../text.ts";
import type { BodyInput, BodyInputs } from "../commands/call_bodies.ts";
import type { Environment } from "../environment.ts";

/** Stands for standard input. */
const STDIN = "-";

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;

/** What `--body` and `--lines` say. */
export interface BodySources {
  /** Texts; `@file` for a file's content, `@@` for a text that begins with `@`, `-` for standard input. */
  readonly body?: readonly string[] | undefined;
  /** `-`, or `@file`: each line is a body. */
  readonly lines?: string | undefined;
}

/**
 * Reads what is to be sent, as far as that is bounded: lines are read later.
 *
 * @param maxBytes How long a body, or a line, may be.
 * @throws {RpcError} `invalid_argument` for what can't be read, or is too long.
 */
export async function bodyInputs(
  environment: Environment,
  { body = [], lines }: BodySources,
  maxBytes: number,
): Promise<BodyInputs> {
  if (lines !== undefined) {
    const name = lines === STDIN ? "standard input" : `--lines ${quote(lines)}`;
    const stream = lines === STDIN ? environment.stdin : fileStream("--lines", lines);
    return new LineInputs(stream, name, maxBytes);
  }
  if (body.filter((word) => word === STDIN).length > 1) {
    throw new RpcError("invalid_argument", `--body ${STDIN} can be given only once`);
  }
  const inputs: BodyInput[] = [];
  for (const word of body) inputs.push({ body: await readBody(environment, word, maxBytes) });
  return {
    name: "--body",
    total: inputs.length,
    failure: undefined,
    async *batches() {
      yield inputs;
    },
  };
}

async function readBody(
  { stdin }: Environment,
  word: string,
  maxBytes: number,
): Promise<Uint8Array> {
  if (word === STDIN) return await readAll(stdin, "standard input", maxBytes);
  if (word.startsWith("@@") || !word.startsWith("@")) {
    return new TextEncoder().encode(word.replace(/^@@/, "@"));
  }
  return await readAll(fileStream("--body", word), `--body ${quote(word)}`, maxBytes);
}

function fileStream(option: string, word: string): AsyncIterable<Uint8Array> {
  if (word.startsWith("@") && word.length > 1) return createReadStream(word.slice(1));
  throw new RpcError("invalid_argument", `${option} ${quote(word)} is neither - nor @file`);
}

async function readAll(
  stream: AsyncIterable<Uint8Array>,
  name: string,
  maxBytes: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of stream) {
      length += chunk.length;
      if (length > maxBytes) throw new Error(`it has over ${maxBytes} bytes`);
      chunks.push(chunk.slice()); // Its buffer may be used again.
    }
  } catch (error) {
    throw new RpcError("invalid_argument", `can't read ${name}: ${messageOf(error)}`);
  }
  return concat(chunks);
}

/** A body for each line that is not empty, without its LF or CRLF. */
class LineInputs implements BodyInputs {
  readonly name: string;
  failure: string | undefined;
  readonly #stream: AsyncIterable<Uint8Array>;
  readonly #maxBytes: number;

  constructor(stream: AsyncIterable<Uint8Array>, name: string, maxBytes: number) {
    this.#stream = stream;
    this.name = name;
    this.#maxBytes = maxBytes;
  }

  async *batches(): AsyncGenerator<readonly BodyInput[]> {
    let open: Uint8Array[] = [];
    let openLength = 0;
    let line = 1;
    try {
      for await (const chunk of this.#stream) {
        const inputs: BodyInput[] = [];
        let start = 0;
        for (let end; (end = chunk.indexOf(NEWLINE, start)) !== -1; start = end + 1) {
          open.push(chunk.subarray(start, end));
          add(inputs, bare(concat(open)), line++);
          open = [];
          openLength = 0;
        }
        open.push(chunk.slice(start));
        openLength += chunk.length - start;
        if (openLength > this.#maxBytes) {
          throw new Error(`line ${line} has over ${this.#maxBytes} bytes`);
        }
        yield inputs;
      }
    } catch (error) {
      this.failure = `can't read ${this.name}: ${messageOf(error)}`;
      return;
    }
    const last: BodyInput[] = [];
    add(last, bare(concat(open)), line);
    yield last;
  }
}

function add(inputs: BodyInput[], body: Uint8Array, line: number): void {
  if (body.length > 0) inputs.push({ body, line });
}

function bare(line: Uint8Array): Uint8Array {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}
