/**
 * The command line: what it takes, and what it calls.
 *
 * @module
 */
import { Argument, Command, CommanderError, Option } from "@commander-js/extra-typings";
import { getLogger } from "@logtape/logtape";
import { QUEUE_TYPES } from "../amqp/queue.ts";
import { RpcError } from "../errors.ts";
import { DEFAULT_MAX_N, MAX_MAX_N, MAX_WORKERS } from "../fibonacci/limits.ts";
import { passwordFileOption, tlsCaOption, tlsCertOption, tlsKeyOption } from "./access.ts";
import {
  connectOptions,
  fromEnvironment,
  given,
  heartbeatOption,
  queueOption,
  urlOption,
  warnOfPassword,
} from "./connect_options.ts";
import type { Environment } from "./environment.ts";
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "./exit_codes.ts";
import { configureLogging, logFormatOption, logLevelOption } from "./logging.ts";
import { OUTPUT_FORMATS } from "./result_writer.ts";
import { duration, matcher, wholeNumber } from "./values.ts";
import { version } from "./version.ts";

/** Runs the command line; resolves to the exit code. */
export async function run(environment: Environment): Promise<number> {
  let exitCode = EXIT_OK;
  const program = build(environment, (code) => exitCode = code);
  try {
    await program.parseAsync(environment.args, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
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

/** What `--help` ends with. */
const HELP = `
Environment: FIBRPC_URL, AMQP_URL, FIBRPC_PASSWORD_FILE, FIBRPC_QUEUE, FIBRPC_TIMEOUT
stand in for options; SSL_CERT_FILE and SSL_CERT_DIR say what the system trusts.
Exit codes: 0 done, 1 refused or failed by the server, 2 bad command line,
3 no broker or no access, 4 timed out, 5 no server, 130 and 143 on a signal.`;

function build(environment: Environment, exit: (code: number) => void) {
  const program = new Command("fibrpc")
    .description(
      "Request/reply over RabbitMQ: Fibonacci numbers from any host, by name of a queue.",
    )
    .version(`fibrpc ${version()}`)
    .configureOutput({
      writeOut: (text) => void environment.stdout.write(text),
      writeErr: (text) => void environment.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, "fibrpc: ")),
    })
    .exitOverride()
    .showHelpAfterError('(see "fibrpc --help")')
    .addHelpText("after", HELP);

  program.command("serve")
    .description(
      "Consume requests, compute, reply. SIGINT or SIGTERM finishes what is under way.",
    )
    .addOption(urlOption())
    .addOption(passwordFileOption())
    .addOption(tlsCaOption())
    .addOption(tlsCertOption())
    .addOption(tlsKeyOption())
    .addOption(queueOption())
    .option(
      "--max-n <n>",
      `largest n that is computed (default: ${DEFAULT_MAX_N})`,
      wholeNumber(0, MAX_MAX_N),
    )
    .option("--max-time <time>", "longest computation (default: 30s)", duration)
    .option(
      "--workers <count>",
      "threads for big numbers (default: one per core)",
      wholeNumber(0, MAX_WORKERS),
    )
    .option(
      "--prefetch <count>",
      "requests taken before replies are sent (default: 64)",
      wholeNumber(1, 65_535),
    )
    .option(
      "--max-attempts <count>",
      "times a request may kill its server (default: 3)",
      wholeNumber(2, 1_000_000),
    )
    .option(
      "--allow-reply-to <pattern...>",
      'reply queues that may be used, such as "amq.*" (default: all)',
    )
    .option("--drain-timeout <time>", "to finish requests at the end (default: 30s)", duration)
    .option(
      "--exit-on-disconnect",
      "end with 3 when there is no connection, instead of trying again",
    )
    .addOption(
      new Option(
        "--queue-type <type>",
        "how a missing queue is declared (default: transient)",
      )
        .choices(QUEUE_TYPES),
    )
    .addOption(heartbeatOption())
    .addOption(logLevelOption("info"))
    .addOption(logFormatOption())
    .option("--quiet", "log errors only")
    .action(async (options) => {
      await configureLogging(environment, options, "info");
      warnOfPassword(options.url, (text) => getLogger(["fibrpc", "serve"]).warn(text));
      const { maxN, workers, prefetch, maxAttempts, queueType } = options;
      const { maxTime: maxTimeMs, drainTimeout: drainTimeoutMs } = options;
      const allowReplyTo = options.allowReplyTo && matcher(options.allowReplyTo);
      const { serve } = await import("./serve.ts");
      exit(
        await serve(environment, {
          ...connectOptions(environment, options, "serve"),
          ...given({ maxN, maxTimeMs, workers, prefetch, maxAttempts, queueType }),
          ...given({ allowReplyTo, drainTimeoutMs }),
          exitOnDisconnect: options.exitOnDisconnect ?? false,
        }),
      );
    });

  program.command("call")
    .description(
      "Call for each n, in parallel over one connection; print the results in order.",
    )
    .addArgument(
      new Argument(
        "<n...>",
        'non-negative integers; "-" reads them from stdin, one per line',
      ),
    )
    .addOption(urlOption())
    .addOption(passwordFileOption())
    .addOption(tlsCaOption())
    .addOption(tlsCertOption())
    .addOption(tlsKeyOption())
    .addOption(queueOption())
    .option(
      "--timeout <time>",
      "for each call, such as 5s, 500ms, 1m30s (default: 30s)",
      duration,
    )
    .option(
      "--connect-timeout <time>",
      "for the first connection (default: 5s)",
      duration,
    )
    .addOption(
      new Option("--reply <path>", "how replies come back (default: direct)")
        .choices(["direct", "queue"] as const),
    )
    .option("--require-server", "fail at once when nobody consumes the queue")
    .addOption(
      new Option("--output <format>", "how results are printed").choices(
        OUTPUT_FORMATS,
      ).default("text" as const),
    )
    .addOption(heartbeatOption())
    .addOption(logLevelOption("error"))
    .addOption(logFormatOption())
    .option("--quiet", "tell failures by the exit code only")
    .action(async (numbers, options) => {
      await configureLogging(environment, options, "error");
      if (!options.quiet) {
        warnOfPassword(
          options.url,
          (text) => environment.stderr.write(`fibrpc: warning: ${text}\n`),
        );
      }
      const timeoutMs = options.timeout ??
        fromEnvironment(environment, "FIBRPC_TIMEOUT", duration);
      const { connectTimeout: connectTimeoutMs, reply, requireServer, output } = options;
      const { call } = await import("./call.ts");
      exit(
        await call(environment, numbers, {
          ...connectOptions(environment, options, "call"),
          ...given({ timeoutMs, connectTimeoutMs, reply, requireServer }),
          output,
          quiet: options.quiet ?? false,
        }),
      );
    });
  return program;
}
