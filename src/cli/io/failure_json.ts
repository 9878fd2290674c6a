import type { RpcError } from "../../errors.ts";
import { withOptionNames } from "../options/option_names.ts";

/** The members that a failure has in JSON, without braces. */
export function failureJson(line: number | undefined, { code, message }: RpcError): string {
  const error = JSON.stringify({ code, message: withOptionNames(message) });
  return `${line === undefined ? "" : `"line":${line},`}"error":${error}`;
}
