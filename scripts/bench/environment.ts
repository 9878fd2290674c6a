/**
 * What figures depend on besides the programs.
 *
 * @module
 */
import { cpus } from "node:os";
import { fibrpcCommand } from "../../tests/support/fibrpc_command.ts";
import { run } from "../../tests/support/process.ts";
import { RawSocket } from "../../tests/support/raw_socket.ts";

/** Names and versions of what is measured, and of where. */
export async function describeEnvironment(
  url: string,
  peers: Readonly<Record<string, string>>,
): Promise<Record<string, string>> {
  const { command, args } = fibrpcCommand();
  const { stdout: version } = await run(command, [...args, "--version"]);
  await using socket = await RawSocket.open(url);
  return {
    system: `${await systemName()}, ${Deno.osRelease()}, ${Deno.build.arch}`,
    processor: cpus()[0]?.model ?? "unknown",
    cores: String(navigator.hardwareConcurrency),
    "load average": Deno.loadavg().map((load) => load.toFixed(2)).join(" "),
    RabbitMQ: socket.serverVersion,
    fibrpc: `${version.trim()}${args.length > 0 ? ", not compiled" : ""}`,
    Deno: Deno.version.deno,
    ...peers,
  };
}

async function systemName(): Promise<string> {
  try {
    const text = await Deno.readTextFile("/etc/os-release");
    return /^PRETTY_NAME="?([^"\n]+)/m.exec(text)![1]!;
  } catch {
    return Deno.build.os;
  }
}
