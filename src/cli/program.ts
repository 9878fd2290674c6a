/**
 * The command line: what it takes, and what it calls.
 *
 * @module
 */
import { type Command, CommanderError } from "@commander-js/extra-typings";
import { RpcError } from "../errors.ts";
import type { Environment } from "./environment.ts";
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "./exit_codes.ts";
import { type LeanCommand, leanCommand } from "./options/lean_command.ts";
import { refuseMisplacedUrls } from "./options/misplaced_url.ts";
import { print } from "./io/print.ts";
import { report } from "./report.ts";
import { version } from "./version.ts";
import { stackOf } from "../text.ts";

/** What `--help` ends with. */
const HELP = `
Environment: FIBRPC_URL, AMQP_URL, FIBRPC_PASSWORD_FILE, FIBRPC_QUEUE, FIBRPC_TIMEOUT
stand in for options, and so does a variable for each option of serve: FIBRPC_MAX_N
for --max-n. SSL_CERT_FILE and SSL_CERT_DIR say what the system trusts;
OTEL_EXPORTER_OTLP_ENDPOINT where spans go; TRACEPARENT which trace a call is of.
Exit codes: 0 done, 1 refused or failed by the server, 2 bad command line,
3 no broker or no access, 4 timed out, 5 no server, 129, 130, 131 and 143 on a signal.`;

/** What commander says of a bad command line, which it quotes, and what was perhaps meant. */
const USAGE_ERROR = /^(?:error: )?([^]*?)\n(\(Did you mean [^\n]*\n)?$/;

interface Entry {
  readonly usage: string;
  readonly description: string;
  /** Whether each of its options has a variable. */
  readonly variables?: boolean;
  /** Loads what the command is: no other one is loaded. */
  load(): Promise<Define>;
}

/** Gives a command its options, and what to do with them and with the words after `--`. */
type Define = (
  command: Command,
  environment: Environment,
  exit: (code: number) => void,
  words: readonly string[] | undefined,
) => void;

const COMMANDS: Readonly<Record<string, Entry>> = {
  serve: {
    usage: "[options] [-- command args...]",
    description: "Consume requests, compute or run a command, reply. Signals end it in order.",
    variables: true,
    load: async () => (await import("./commands/serve_command.ts")).defineServe,
  },
  call: {
    usage: "[options] <n...> | --body <body>... | --lines <lines>",
    description: "Call for each n, or with each body, at once; print the results in order.",
    load: async () => (await import("./commands/call_command.ts")).defineCall,
  },
  status: {
    usage: "[options]",
    description:
      "Tell who serves and what waits; the exit code says whether it is as it should be.",
    load: async () => (await import("./commands/status_command.ts")).defineStatus,
  },
  bench: {
    usage: "[options] [n] | --body <body> | --lines <lines>",
    description: "Call again and again; tell how many a second, how long they took, what failed.",
    load: async () => (await import("./commands/bench_command.ts")).defineBench,
  },
  doctor: {
    usage: "[options]",
    description: "Find out what keeps calls from being answered, and what to do about it.",
    load: async () => (await import("./commands/doctor_command.ts")).defineDoctor,
  },
};

/** Runs the command line; resolves to the exit code. */
export async function run(environment: Environment): Promise<number> {
  let exitCode = EXIT_OK;
  let help = "";
  const newCommand = (name: string) =>
    leanCommand(name)
      .configureOutput({
        writeOut: (text) => help += text,
        writeErr: (text) => void environment.stderr.write(text),
        outputError(text, write) {
          const [, message, suggestion = ""] = USAGE_ERROR.exec(text)!;
          report(environment, message!);
          write(suggestion);
        },
      })
      .exitOverride()
      .showHelpAfterError('(see "fibrpc --help")');
  const { name, args, words } = commandOf(environment);
  try {
    refuseMisplacedUrls(args, environment);
    // Only the one that is meant is made: all of them take longer than a call.
    if (name === undefined) {
      await addList(newCommand("fibrpc")).parseAsync(args, { from: "user" });
    } else {
      const { usage, description, load } = COMMANDS[name]!;
      const command = newCommand(`fibrpc ${name}`).usage(usage).description(description);
      (await load())(command, environment, (code) => exitCode = code, words);
      const { variables } = COMMANDS[name]!;
      const more = variables && !isHelp(args) ? await variablesOf(environment, command, args) : [];
      await command.parseAsync([...more, ...args], { from: "user" });
    }
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode !== 0) return EXIT_USAGE;
      return await print(environment, help, "the help") ?? EXIT_OK;
    }
    if (error instanceof RpcError && error.code === "invalid_argument") {
      report(environment, error.message);
      return EXIT_USAGE;
    }
    report(environment, stackOf(error));
    return EXIT_FAILURE;
  }
  return exitCode;
}

function isHelp(args: readonly string[]): boolean {
  return args.includes("--help") || args.includes("-h");
}

/** The arguments that variables stand for. */
async function variablesOf(
  environment: Environment,
  command: Command,
  args: readonly string[],
): Promise<string[]> {
  const { variableArguments } = await import("./options/variables.ts");
  return variableArguments(environment, (command as unknown as LeanCommand).definitions, args);
}

interface Meant {
  readonly name?: string;
  readonly args: readonly string[];
  readonly words?: readonly string[];
}

/**
 * The command that is meant, if it is one, with its arguments. `help call` is
 * `call --help`, and `call --version` no call. What follows `serve --` is a
 * program's, and not read here.
 */
function commandOf({ args }: Environment): Meant {
  const isHelp = args[0] === "help";
  const [name, ...others] = isHelp ? args.slice(1) : args;
  if (name === undefined || !Object.hasOwn(COMMANDS, name)) return { args };
  if (others[0] === "--version" || others[0] === "-V") return { args: others };
  const end = name === "serve" ? others.indexOf("--") : -1;
  if (end !== -1) return { name, args: others.slice(0, end), words: others.slice(end + 1) };
  return { name, args: isHelp ? ["--help", ...others] : others };
}

/** Makes a command the list of all commands. */
function addList(program: Command): Command {
  program
    .description(
      "Request/reply over RabbitMQ: any program as a service, any service from a shell.",
    )
    .version(`fibrpc ${version()}`)
    .configureHelp({
      subcommandTerm: (command) =>
        `${command.name()} ${COMMANDS[command.name()]?.usage ?? "[command]"}`,
    })
    .addHelpText("after", HELP);
  for (const [name, { description }] of Object.entries(COMMANDS)) {
    program.command(name).description(description);
  }
  return program;
}
