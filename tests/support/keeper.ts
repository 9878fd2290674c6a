/**
 * A temporary folder with processes in it, both of which go when they are
 * disposed of or when this process ends, be it by `kill -9`.
 *
 * The keeper is a small shell process of its own session. It looks a few
 * times a second whether its owner still lives, and ends all that runs in the
 * folder if not. Nothing here is a child of this process, hence nothing
 * depends on the life of the isolate (Deno gives one to each test file) that
 * happened to start it.
 *
 * @module
 */
import { waitFor } from "./wait.ts";

/** What a {@linkcode Keeper} needs. */
export interface KeeperOptions {
  /** Erlang's port mapper. */
  epmd: string;
  /** The port for it. */
  epmdPort: number;
}

/**
 * Arguments: folder, owner's pid, epmd, its port.
 *
 * The owner counts as gone when it is a zombie or when another process has
 * got its pid (seen by its start time, where there is a /proc). An epmd that
 * ends (its port was taken) ends it all, because the node would start one of
 * its own that nobody ends.
 */
const KEEPER = `
dir=$1 owner=$2
trap 'asked=1' TERM
trap '' HUP INT
"$3" -port "$4" -address 127.0.0.1 >"$dir/epmd.log" 2>&1 & epmd=$!

birth() {
  if read -r stat 2>/dev/null <"/proc/$owner/stat"; then
    set -- \${stat##*) }
    case $1 in Z | X) return ;; esac
    shift 19
    echo "$1"
  elif kill -0 "$owner" 2>/dev/null; then
    case $(ps -o stat= -p "$owner" 2>/dev/null) in Z*) ;; *) echo alive ;; esac
  fi
}
born=$(birth)
echo $$ >"$dir/keeper.new" && mv "$dir/keeper.new" "$dir/keeper.pid"

while [ -z "\${asked-}" ] && [ -n "$born" ] && [ "$(birth)" = "$born" ] &&
  kill -0 "$epmd" 2>/dev/null; do
  sleep 0.2 & wait $!
done

: >"$dir/closing"
for file in "$dir"/*/pid; do
  pid=$(cat "$file" 2>/dev/null) || continue
  kill -9 "$pid" 2>/dev/null
  tries=0
  while kill -0 "$pid" 2>/dev/null && [ $((tries += 1)) -lt 100 ]; do sleep 0.05; done
done
kill -9 "$epmd" 2>/dev/null
tries=0
until rm -rf "$dir" 2>/dev/null || [ $((tries += 1)) -ge 100 ]; do sleep 0.05; done
`;

/**
 * Arguments: folder, the program's own folder in it, the program.
 *
 * Leaves the program's pid in `pid` while it runs and its exit code in
 * `status` thereafter. A program that starts while the keeper is on its way
 * out is ended by one of the two.
 */
const RUNNER = `
dir=$1 own=$2 program=$3
trap '' HUP INT
cd "$own" || exit
rm -f status
"$program" </dev/null >>output 2>&1 & pid=$!
echo "$pid" >pid.new && mv pid.new pid
[ -e "$dir/closing" ] && kill -9 "$pid"
wait "$pid"; code=$?
rm -f pid
echo "$code" >status.new && mv status.new status
`;

/** Runs the script that follows, in a session of its own, and doesn't wait. */
const DETACH = `script=$1; shift
sh -c "$script" fibrpc-keeper "$@" </dev/null >/dev/null 2>&1 &`;

/** A temporary folder and its keeper; see the module. */
export class Keeper implements AsyncDisposable {
  /** The temporary folder. */
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Makes the folder, and starts the keeper and an epmd. */
  static async start({ epmd, epmdPort }: KeeperOptions): Promise<Keeper> {
    const keeper = new Keeper(
      await Deno.makeTempDir({ prefix: "fibrpc-broker-" }),
    );
    const { folder } = keeper;
    try {
      await detach(KEEPER, [folder, `${Deno.pid}`, epmd, `${epmdPort}`]);
      await waitFor(async () => {
        await keeper.check();
        return await readIfAny(`${folder}/keeper.pid`);
      }, { what: "the keeper of a private broker to start" });
    } catch (error) {
      await Deno.remove(folder, { recursive: true }).catch(ignoreAbsence);
      throw error;
    }
    return keeper;
  }

  /**
   * Does nothing while the keeper is there.
   *
   * @throws {Error} If it is not, nor anything it kept.
   */
  async check(): Promise<void> {
    if (await exists(this.folder)) return;
    throw new Error(
      "its epmd ended, and all else with it (is the port already in use?)",
    );
  }

  /** Starts a program in a folder of its own; see {@linkcode Kept}. */
  async run(
    name: string,
    program: string,
    env: Record<string, string>,
  ): Promise<Kept> {
    const own = `${this.folder}/${name}`;
    await Deno.remove(`${own}/status`).catch(ignoreAbsence);
    await detach(RUNNER, [this.folder, own, program], env);
    const kept = new Kept(own);
    await waitFor(async () => await kept.pid() ?? await kept.exitCode(), {
      what: `${program} to start`,
    });
    return kept;
  }

  /** Ends all that runs in the folder, and removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    const pid = await readIfAny(`${this.folder}/keeper.pid`);
    if (pid !== undefined) await signal(pid, "TERM");
    await waitFor(async () => !await exists(this.folder), {
      what: `${this.folder} to be removed by its keeper (pid ${pid})`,
    });
  }
}

/** A program that {@linkcode Keeper.run} started. */
export class Kept {
  readonly #folder: string;

  /** See {@linkcode Keeper.run}. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Its pid, or `undefined` when it has ended. */
  async pid(): Promise<string | undefined> {
    return await readIfAny(`${this.#folder}/pid`);
  }

  /** Its exit code (as text), or `undefined` while it runs. */
  async exitCode(): Promise<string | undefined> {
    return await readIfAny(`${this.#folder}/status`);
  }

  /** Sends it a signal, if it still runs. */
  async signal(name: string): Promise<void> {
    const pid = await this.pid();
    if (pid !== undefined) await signal(pid, name);
  }

  /** All that programs in this folder have written. */
  async output(): Promise<string> {
    return await readIfAny(`${this.#folder}/output`) ?? "";
  }
}

async function detach(
  script: string,
  args: string[],
  env?: Record<string, string>,
): Promise<void> {
  const { success } = await new Deno.Command("sh", {
    args: ["-c", DETACH, "sh", script, ...args],
    detached: true,
    stdin: "null",
    stdout: "null",
    stderr: "null",
    ...(env && { env, clearEnv: true }),
  }).output();
  if (!success) throw new Error("could not start a shell");
}

/** By way of a shell, because Deno.kill needs the right to run any program. */
async function signal(pid: string, name: string): Promise<void> {
  await new Deno.Command("sh", {
    args: ["-c", 'kill -s "$1" "$2"', "sh", name, pid],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
}

async function readIfAny(path: string): Promise<string | undefined> {
  try {
    return (await Deno.readTextFile(path)).trimEnd();
  } catch (error) {
    ignoreAbsence(error);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    ignoreAbsence(error);
    return false;
  }
}

function ignoreAbsence(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
