/**
 * The command line: what it takes, and what it calls.
 *
 * @module
 */
import { Command, CommanderError } from "@commander-js/extra-typings";
import { RpcError } from "../errors.ts";
import type { Environment } from "./environment.ts";
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "./exit_codes.ts";
import { version } from "./version.ts";

/** Runs the command line; resolves to the exit code. */
export async function run(environment: Environment): Promise<number> {
  let exitCode = EXIT_OK;
  let help = "";
  const program = build(environment, (text) => help += text, (code) => exitCode = code);
  try {
    await program.parseAsync(argumentsOf(environment), { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? await print(environment, help) : EXIT_USAGE;
    }
    if (error instanceof RpcError && error.code === "invalid_argument") {
      environment.stderr.write(`fibrpc: ${error.message}\n`);
      return EXIT_USAGE;
    }
    environment.stderr.write(`fibrpc: ${error instanceof Error ? error.stack : error}\n`);
    return EXIT_FAILURE;
  }
  return exitCode;
}

/** Prints what was asked for. */
async function print(environment: Environment, text: string): Promise<number> {
  try {
    await environment.writeStdout(new TextEncoder().encode(text));
    return EXIT_OK;
  } catch (error) {
    const { code, message } = error as Error & { code?: unknown };
    if (code === "EPIPE") return EXIT_OK; // Its reader has what it wanted.
    environment.stderr.write(`fibrpc: can't write the help: ${message}\n`);
    return EXIT_FAILURE;
  }
}

/** `help call` is `call --help`: commander's own would not have loaded its options. */
function argumentsOf({ args }: Environment): string[] {
  const [first, command, ...others] = args;
  const isKnown = command !== undefined && Object.hasOwn(USAGE, command);
  return first === "help" && isKnown ? [command, "--help", ...others] : [...args];
}

/** What each command takes, in the list of them. */
const USAGE: Record<string, string> = { serve: "[options]", call: "[options] <n...>" };

/** What `--help` ends with. */
const HELP = `
Environment: FIBRPC_URL, AMQP_URL, FIBRPC_PASSWORD_FILE, FIBRPC_QUEUE, FIBRPC_TIMEOUT
stand in for options; SSL_CERT_FILE and SSL_CERT_DIR say what the system trusts.
Exit codes: 0 done, 1 refused or failed by the server, 2 bad command line,
3 no broker or no access, 4 timed out, 5 no server, 130 and 143 on a signal.`;

function build(
  environment: Environment,
  writeOut: (text: string) => void,
  exit: (code: number) => void,
) {
  const program = new Command("fibrpc")
    .description(
      "Request/reply over RabbitMQ: Fibonacci numbers from any host, by name of a queue.",
    )
    .version(`fibrpc ${version()}`)
    .configureOutput({
      writeOut,
      writeErr: (text) => void environment.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, "fibrpc: ")),
    })
    .configureHelp({
      subcommandTerm: (command) => `${command.name()} ${USAGE[command.name()] ?? "[command]"}`,
    })
    .exitOverride()
    .showHelpAfterError('(see "fibrpc --help")')
    .addHelpText("after", HELP);

  program.command("serve").description(
    "Consume requests, compute, reply. SIGINT or SIGTERM finishes what is under way.",
  );
  program.command("call").description(
    "Call for each n, in parallel over one connection; print the results in order.",
  );
  // Only the one that is meant gets its options, and loads what it needs: that
  // of both takes longer than a call.
  program.hook("preSubcommand", async (_, command) => {
    if (command.name() === "serve") {
      const { defineServe } = await import("./serve_command.ts");
      defineServe(command as Command, environment, exit);
    } else if (command.name() === "call") {
      const { defineCall } = await import("./call_command.ts");
      defineCall(command as Command, environment, exit);
    }
  });
  return program;
}
