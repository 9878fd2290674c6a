/**
 * Ends the process groups of a server that was killed: SIGKILL leaves it no time
 * to do so itself.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { getLogger } from "@logtape/logtape";

const logger = getLogger(["fibrpc", "command"]);

/**
 * Reads `+id` and `-id` of groups that begin and end. At the end of its input,
 * which is that of the server, it ends the groups that are left.
 */
const SCRIPT = `
trap '' HUP INT QUIT TERM
groups=' '
while read -r line; do
  id=\${line#?}
  case $line in
    +*) groups="$groups$id " ;;
    -*) groups="\${groups%% $id *} \${groups#* $id }" ;;
  esac
done
[ "$groups" = ' ' ] && exit
for id in $groups; do kill -TERM -"$id"; done
sleep 2
for id in $groups; do kill -KILL -"$id"; done
`;

/** Knows which groups there are. It keeps no process alive that has nothing else to do. */
export class GroupKeeper {
  #shell: ChildProcess | undefined;

  /** Starts the shell that outlives this process. */
  start(): void {
    if (this.#shell !== undefined) return;
    const shell = spawn("/bin/sh", ["-c", SCRIPT], {
      detached: true, // A signal for this process's group is none for it.
      stdio: ["pipe", "ignore", "ignore"],
      env: { PATH: "/usr/bin:/bin" },
    });
    this.#shell = shell;
    shell.on("error", (error) => {
      logger.warn("no /bin/sh: commands go on when this process is killed ({error})", {
        error: String(error),
      });
    });
    shell.stdin!.on("error", () => {}); // It is gone; commands are served all the same.
    shell.unref();
    (shell.stdin as { unref?(): void }).unref?.();
  }

  /** A group has begun. */
  add(id: number): void {
    this.#shell?.stdin?.write(`+${id}\n`);
  }

  /** A group has ended. */
  delete(id: number): void {
    this.#shell?.stdin?.write(`-${id}\n`);
  }

  /** Ends the shell. */
  async close(): Promise<void> {
    const shell = this.#shell;
    this.#shell = undefined;
    if (shell?.pid === undefined || shell.exitCode !== null) return;
    const ended = new Promise((resolve) => shell.on("exit", resolve));
    shell.ref();
    shell.stdin!.end();
    await ended;
  }
}
