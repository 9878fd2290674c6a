/**
 * Where log records go: to stderr, as text on a terminal, as JSON lines
 * elsewhere, unless told otherwise.
 *
 * @module
 */
import {
  configureSync,
  getJsonLinesFormatter,
  getTextFormatter,
  type LogLevel,
  type LogRecord,
} from "@logtape/logtape";
import { printable } from "../../text.ts";
import type { Environment } from "../environment.ts";
import { withOptionNames } from "./option_names.ts";
import { oneOf } from "./values.ts";

const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;
const LOG_FORMATS = ["text", "json"] as const;

export const logLevelOption = (standard: LogLevel) =>
  [
    "--log-level <level>",
    `least severe to log: ${LOG_LEVELS.join(", ")} (default: ${standard})`,
    oneOf(...LOG_LEVELS),
  ] as const;

export const LOG_FORMAT_OPTION = [
  "--log-format <format>",
  `${LOG_FORMATS.join(", ")} (default: text on a terminal, else json)`,
  oneOf(...LOG_FORMATS),
] as const;

export interface LogOptions {
  readonly logLevel?: typeof LOG_LEVELS[number] | undefined;
  readonly logFormat?: typeof LOG_FORMATS[number] | undefined;
  readonly quiet?: boolean | undefined;
}

/** Sends the records of this process to stderr. */
export function configureLogging(
  environment: Environment,
  options: LogOptions,
  defaultLevel: LogLevel,
): void {
  const lowestLevel = options.quiet ? "error" : options.logLevel ?? defaultLevel;
  const { stderr } = environment;
  let formatRecord: ((record: LogRecord) => string) | undefined;
  const format = (record: LogRecord) => {
    formatRecord ??= formatter(options.logFormat ?? (stderr.isTTY ? "text" : "json"));
    return `${printable(withOptionNames(formatRecord(record).replace(/\n$/, "")))}\n`;
  };
  const sink = (record: LogRecord) => stderr.write(format(record));
  stderr.describeLost = (count) => {
    const message = `${count} lines of this log were dropped: nobody read them`;
    return format({
      category: ["fibrpc", "log"],
      level: "warning",
      message: [message],
      rawMessage: message,
      timestamp: Date.now(),
      properties: { count },
    });
  };
  configureSync({
    reset: true,
    sinks: { stderr: sink },
    loggers: [
      { category: "fibrpc", sinks: ["stderr"], lowestLevel },
      {
        // What is wrong with the settings, also for `call`, which otherwise logs errors only.
        category: ["fibrpc", "options"],
        sinks: ["stderr"],
        parentSinks: "override",
        lowestLevel: options.quiet ? "error" : options.logLevel ?? "warning",
      },
      {
        category: ["logtape", "meta"],
        sinks: ["stderr"],
        lowestLevel: "warning",
      },
    ],
  });
}

function formatter(format: typeof LOG_FORMATS[number]): (record: LogRecord) => string {
  if (format === "text") {
    return getTextFormatter({ timestamp: "rfc3339", level: "full", category: ".", value: "bare" });
  }
  const json = getJsonLinesFormatter({ properties: "flatten" });
  // The values in a message as they are: the formatter would put them into quotes.
  // The level as --log-level spells it.
  return (record) =>
    json({ ...record, message: [record.message.map(String).join("")] })
      .replace(/"level":"\w+"/, `"level":"${record.level}"`);
}
