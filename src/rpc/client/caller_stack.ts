/**
 * Where a failed call was made, in its error's stack.
 *
 * @module
 */
import type { RpcError } from "../../errors.ts";

/**
 * Rejects with an error whose stack names the callers that await the call, for
 * a promise to be resolved with. The error itself was made in a timer or at a
 * frame from the broker, which tells nobody anything.
 *
 * V8 (Deno, Node) finds callers by following who awaits whom, beginning with the
 * function that runs. So that function has to be one that the call's promise
 * waits for, and it does so one turn of the queue of microtasks after it is
 * resolved, and another later. A call that succeeds pays nothing for it, where
 * an `async` function around each call costs a tenth of its CPU time.
 * JavaScriptCore (Bun 1.4) finds none, and the stack stays as it was.
 */
export async function rejectInCaller(error: RpcError): Promise<never> {
  await undefined;
  await undefined;
  const before = error.stack;
  Error.captureStackTrace(error, rejectInCaller);
  if (!/\n\s+at /.test(error.stack ?? "")) error.stack = before!;
  throw error;
}
