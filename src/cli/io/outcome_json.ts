/**
 * What the outcomes of all calls have in common in JSON.
 *
 * @module
 */
import type { RpcError } from "../../errors.ts";
import { withOptionNames } from "../options/option_names.ts";

/** The members that a failure has, without braces. */
export function failureJson(line: number | undefined, { code, message }: RpcError): string {
  const error = JSON.stringify({ code, message: withOptionNames(message) });
  return `${line === undefined ? "" : `"line":${line},`}"error":${error}`;
}

/** The members that every outcome has, without braces. */
export function outcomeJson(ms: number, requestId: string | undefined): string {
  const id = requestId === undefined ? "" : `,"requestId":${JSON.stringify(requestId)}`;
  return `"ms":${Number(ms.toFixed(3))}${id}`;
}
