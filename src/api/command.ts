/**
 * A service that runs a program for each request.
 *
 * @module
 */
export {
  type CommandHandler,
  commandHandler,
  type CommandObserver,
  type CommandOptions,
} from "../services/command/command.ts";
