/**
 * Headers of requests, as they are written on a command line.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import { quote } from "../../text.ts";

/**
 * Reads `name: value`, as HTTP's are written.
 *
 * @throws {RpcError} `invalid_argument` if it is not of that form.
 */
export function parseHeader(text: string): [name: string, value: string] {
  const match = /^\s*([^\s:][^:]*):\s*(.*)$/s.exec(text);
  if (match !== null) return [match[1]!.trim(), match[2]!];
  const why = `--header ${quote(text)} is not of the form "name: value"`;
  throw new RpcError("invalid_argument", why);
}
