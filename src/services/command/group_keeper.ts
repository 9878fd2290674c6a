/**
 * Ends the process groups of a server that was killed: SIGKILL leaves it no time
 * to do so itself. What remains is a group that begins in the moment between its
 * start and the word of it; to start each command by way of a program that waits
 * for that word would cost as much as the command.
 *
 * @module
 */
import { spawn } from "node:child_process";
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

const SHELL = ["/bin/sh", "-c", SCRIPT] as const;
const ENV = { PATH: "/usr/bin:/bin" };

/** A shell that runs the script, and keeps no process alive. */
interface Shell {
  /** Writes at once: what is written is there though this process is killed next. */
  write(text: string): void;
  /** Ends its input; resolves when it has ended. */
  close(): Promise<void>;
}

/** Knows which groups there are. */
export class GroupKeeper {
  #shell: Shell | undefined;
  #isMissing = false;

  /** Starts the shell, which outlives this process. */
  start(): void {
    if (this.#shell !== undefined || this.#isMissing) return;
    const onMissing = (error: unknown) => {
      this.#isMissing = true;
      this.#shell = undefined;
      logger.warn("no /bin/sh: commands go on when this process is killed ({error})", {
        error: String(error),
      });
    };
    const { Bun } = globalThis as { Bun?: BunSpawn };
    try {
      this.#shell = Bun === undefined ? nodeShell(onMissing) : bunShell(Bun);
    } catch (error) {
      onMissing(error);
    }
  }

  /** A group has begun. */
  add(id: number): void {
    this.#shell?.write(`+${id}\n`);
  }

  /** A group has ended. */
  delete(id: number): void {
    this.#shell?.write(`-${id}\n`);
  }

  /** Ends the shell. */
  async close(): Promise<void> {
    const shell = this.#shell;
    this.#shell = undefined;
    await shell?.close();
  }
}

/** On Deno and Node a pipe of `node:child_process` is written to at once. */
function nodeShell(onMissing: (error: unknown) => void): Shell {
  const [program, ...args] = SHELL;
  // A signal for this process's group is none for it.
  const shell = spawn(program, args, {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    env: ENV,
  });
  const ended = new Promise<void>((resolve) => {
    shell.on("exit", () => resolve());
    shell.on("error", (error) => {
      onMissing(error);
      resolve();
    });
  });
  const stdin = shell.stdin!;
  stdin.on("error", () => {}); // It is gone; commands are served all the same.
  shell.unref();
  (stdin as { unref?(): void }).unref?.();
  return {
    write: (text) => void stdin.write(text),
    async close() {
      shell.ref();
      stdin.end();
      await ended;
    },
  };
}

/** The part of Bun's API that is used here. */
interface BunSpawn {
  spawn(command: readonly string[], options: {
    stdin: "pipe";
    stdout: "ignore";
    stderr: "ignore";
    env: Readonly<Record<string, string>>;
  }): {
    readonly stdin: { write(text: string): unknown; flush(): unknown; end(): unknown };
    readonly exited: Promise<number>;
    ref(): void;
    unref(): void;
  };
}

/** On Bun (1.4) that pipe is written to some time later; its own, when it is flushed. */
function bunShell(bun: BunSpawn): Shell {
  const shell = bun.spawn(SHELL, { stdin: "pipe", stdout: "ignore", stderr: "ignore", env: ENV });
  shell.unref();
  return {
    write(text) {
      shell.stdin.write(text);
      shell.stdin.flush();
    },
    async close() {
      shell.ref();
      shell.stdin.end();
      await shell.exited;
    },
  };
}
