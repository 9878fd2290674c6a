/**
 * `fibrpc doctor`: its options, and what it is told of this process.
 *
 * @module
 */
import type { Command } from "@commander-js/extra-typings";
import { readFile } from "node:fs/promises";
import { totalmem } from "node:os";
import { parseBrokerUrls } from "../../amqp/broker_url.ts";
import { CHECKS } from "../../ops/doctor/checks.ts";
import type { ProcessFacts, Setting } from "../../ops/doctor/doctor.ts";
import { DEFAULT_QUEUE, DEFAULT_URL } from "../../protocol/names.ts";
import type { Environment } from "../environment.ts";
import { EXIT_OK } from "../exit_codes.ts";
import { print } from "../io/print.ts";
import { processInfo } from "../io/stdout.ts";
import {
  addConnectOptions,
  connectOptions,
  given,
  warnOfPasswordIn,
} from "../options/connect_options.ts";
import { configureLogging, LOG_FORMAT_OPTION, logLevelOption } from "../options/logging.ts";
import { collect, oneOf } from "../options/values.ts";
import { variableOf } from "../options/variables.ts";
import { doctor, DOCTOR_FORMATS, shownUrl } from "./doctor.ts";

/** Variables that are no option's. */
const OTHER_VARIABLES: readonly string[] = ["FIBRPC_URL", "FIBRPC_TIMEOUT"];

/** The options of serve that say how much it takes. */
const DEFAULT_PREFETCH = 64;

/**
 * Gives `command` its options, and what to do with them.
 *
 * @param exit Is called with the exit code.
 */
export function defineDoctor(
  command: Command,
  environment: Environment,
  exit: (code: number) => void,
): void {
  addConnectOptions(command)
    .option("--call [n]", "call the service as well, with n (default: 30): a real request")
    .option("--management <url>", "the management API, which knows the queue's policies")
    .option("--only <check>", "one of the checks; repeat it for more", collect)
    .option("--list", "list the checks")
    .option("--strict", "exit with 1 for a warning")
    .option(
      "--output <format>",
      `${DOCTOR_FORMATS.join(", ")} (default: text)`,
      oneOf(...DOCTOR_FORMATS),
    )
    .option(...logLevelOption("error"))
    .option(...LOG_FORMAT_OPTION)
    .option("--quiet", "leave out what is as it should be")
    .action(async (options) => {
      configureLogging(environment, options, "error");
      if (options.list) {
        const names = CHECKS.map(({ name }) => `${name}\n`).join("");
        exit(await print(environment, names) ?? EXIT_OK);
        return;
      }
      const connect = await connectOptions(environment, options, "doctor");
      const { management } = options;
      if (management !== undefined) warnOfPasswordIn(management, "--management");
      const { only, output = "text", strict = false, quiet = false } = options;
      const call = options.call === true ? "30" : options.call || undefined;
      exit(
        await doctor(environment, {
          ...connect,
          ...given({ only, call, management }),
          ...{ output, strict, quiet },
          settings: await settingsOf(environment, options),
          process: await processFacts(),
        }),
      );
    });
}

async function settingsOf(
  environment: Environment,
  options: { url?: string[]; queue?: string; passwordFile?: string; tlsCa?: string },
): Promise<Setting[]> {
  const { env } = environment;
  const source = options.url !== undefined
    ? { urls: options.url, from: "--url" }
    : env.FIBRPC_URL
    ? { urls: env.FIBRPC_URL, from: "FIBRPC_URL" }
    : env.AMQP_URL
    ? { urls: env.AMQP_URL, from: "AMQP_URL" }
    : { urls: DEFAULT_URL, from: "the default" };
  const settings: Setting[] = parseBrokerUrls(source.urls).map((url) => ({
    name: "broker",
    value: shownUrl(url),
    from: source.from,
  }));
  const queue = options.queue !== undefined
    ? { value: options.queue, from: "--queue" }
    : env.FIBRPC_QUEUE
    ? { value: env.FIBRPC_QUEUE, from: "FIBRPC_QUEUE" }
    : { value: DEFAULT_QUEUE, from: "the default" };
  settings.push({ name: "queue", ...queue });
  const { passwordFile, tlsCa } = options;
  if (passwordFile !== undefined) {
    settings.push({ name: "password file", value: passwordFile, from: "--password-file" });
  } else if (env.FIBRPC_PASSWORD_FILE) {
    const value = env.FIBRPC_PASSWORD_FILE;
    settings.push({ name: "password file", value, from: "FIBRPC_PASSWORD_FILE" });
  }
  if (tlsCa !== undefined) settings.push({ name: "authorities", value: tlsCa, from: "--tls-ca" });
  const known = await knownVariables();
  for (const name of Object.keys(environment.allVariables()).sort()) {
    if (!/^FIBRPC_/.test(name) || known.has(name)) continue;
    const problem = "correct its name, or remove it: fibrpc reads no such variable";
    settings.push({ name: "variable", value: name, from: "the environment", problem });
  }
  return settings;
}

/** Those of serve's options, and the others. */
async function knownVariables(): Promise<Set<string>> {
  const [{ defineServe }, { leanCommand }] = await Promise.all([
    import("./serve_command.ts"),
    import("../options/lean_command.ts"),
  ]);
  const command = leanCommand("serve");
  defineServe(command, {} as Environment, () => {});
  const { definitions } = command as unknown as { definitions: Iterable<[flags: string]> };
  const names = [...definitions].map(([flags]) => variableOf(flags.split(" ")[0]!));
  return new Set([...names, ...OTHER_VARIABLES]);
}

/** A runtime that does not let this program ask leaves it unknown. */
function systemMemory(): number | undefined {
  try {
    return totalmem();
  } catch {
    return undefined;
  }
}

async function processFacts(): Promise<ProcessFacts> {
  const limits = await processInfo("limits").catch(() => "");
  const openFiles = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? NaN);
  const read = (file: string) => readFile(`/sys/fs/cgroup/${file}`, "utf8").catch(() => "");
  const memory = Number.parseInt(await read("memory.max"));
  const [quota, period] = (await read("cpu.max")).split(" ").map(Number);
  const cores = navigator.hardwareConcurrency;
  const cpus = quota && period ? Math.min(quota / period, cores) : cores;
  return {
    openFiles: Number.isNaN(openFiles) ? undefined : openFiles,
    memoryBytes: Number.isNaN(memory) ? systemMemory() : memory,
    cpus,
    workers: cores,
    prefetch: DEFAULT_PREFETCH,
  };
}
