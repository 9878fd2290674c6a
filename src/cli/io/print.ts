/**
 * Printing what a command has found.
 *
 * @module
 */
import { messageOf } from "../../text.ts";
import type { Environment } from "../environment.ts";
import { EXIT_FAILURE, EXIT_OK } from "../exit_codes.ts";
import { report } from "../report.ts";

/**
 * Prints to standard output.
 *
 * @param what Is named if that fails, such as `the help`.
 * @returns The exit code to end with if nothing more can be printed: 0 where the
 * reader has gone, which has what it wanted.
 */
export async function print(
  environment: Environment,
  text: string,
  what = "the results",
): Promise<number | undefined> {
  try {
    await environment.writeStdout(new TextEncoder().encode(text));
    return undefined;
  } catch (error) {
    if ((error as { code?: unknown }).code === "EPIPE") return EXIT_OK;
    report(environment, `can't write ${what}: ${messageOf(error)}`);
    return EXIT_FAILURE;
  }
}
