/**
 * Where RabbitMQ's and Erlang's programs are on this machine.
 *
 * @module
 */

/** The programs a private node needs. */
export interface Installation {
  /** The script that starts a node. */
  server: string;
  /** The script that talks to one, of the same release. */
  ctl: string;
  /** Erlang's port mapper. */
  epmd: string;
}

/** Where packages put Erlang. */
const ERLANG_FOLDERS = [
  "/usr/lib/erlang",
  "/usr/lib64/erlang",
  "/usr/local/lib/erlang",
  "/opt/homebrew/opt/erlang/lib/erlang",
  "/usr/local/opt/erlang/lib/erlang",
];

/**
 * Finds `rabbitmq-server`: `$FIBRPC_TEST_RABBITMQ` where that is set, or the
 * places that packages use, or PATH.
 *
 * Debian's `/usr/sbin/rabbitmq-server`, found on PATH, is a wrapper that lets
 * only root and the user rabbitmq pass, and changes the user; hence the real
 * script comes first.
 *
 * @returns `undefined` if there is none.
 */
export async function findServer(): Promise<string | undefined> {
  const chosen = Deno.env.get("FIBRPC_TEST_RABBITMQ");
  if (chosen) return chosen;
  const folders = [
    "/usr/lib/rabbitmq/bin",
    ...await children("/usr/lib/rabbitmq/lib", "sbin"),
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/opt/homebrew/sbin",
    "/usr/local/opt/rabbitmq/sbin",
    "/usr/local/sbin",
    ...searchPath(),
  ];
  return await firstFile(folders, "rabbitmq-server");
}

/**
 * Finds all that a private node needs.
 *
 * @throws {Error} That says what is missing and how to get it.
 */
export async function findInstallation(): Promise<Installation> {
  const server = await findServer();
  if (server === undefined) {
    throw new Error(
      "found no rabbitmq-server for the tests: install it (Debian: apt-get " +
        "install rabbitmq-server; macOS: brew install rabbitmq), or set " +
        "FIBRPC_TEST_RABBITMQ to the path of that script, or FIBRPC_TEST_URL " +
        "to the URL of a running broker",
    );
  }
  // Links are followed: the scripts look for each other in their own folder.
  const folder = parent(await Deno.realPath(server));
  const ctl = await firstFile([folder, parent(server)], "rabbitmqctl");
  if (ctl === undefined) {
    throw new Error(`found no rabbitmqctl next to ${server}`);
  }
  return { server, ctl, epmd: await findEpmd() };
}

async function findEpmd(): Promise<string> {
  const folders = [...searchPath()];
  const roots = [...ERLANG_FOLDERS];
  const erl = await firstFile(folders, "erl");
  if (erl !== undefined) {
    roots.unshift(parent(parent(await Deno.realPath(erl))));
  }
  for (const root of roots) {
    folders.push(`${root}/bin`, ...await children(root, "bin"));
  }
  const epmd = await firstFile(folders, "epmd");
  if (epmd !== undefined) return epmd;
  throw new Error(
    "found no epmd, a part of Erlang that RabbitMQ needs: put it on PATH",
  );
}

function searchPath(): string[] {
  return (Deno.env.get("PATH") ?? "").split(":").filter((path) => path !== "");
}

async function children(folder: string, below: string): Promise<string[]> {
  const found: string[] = [];
  try {
    for await (const entry of Deno.readDir(folder)) {
      found.push(`${folder}/${entry.name}/${below}`);
    }
  } catch (error) {
    if (!isAbsence(error)) throw error;
  }
  return found.sort().reverse();
}

async function firstFile(
  folders: readonly string[],
  name: string,
): Promise<string | undefined> {
  for (const folder of folders) {
    const path = `${folder}/${name}`;
    try {
      if ((await Deno.stat(path)).isFile) return path;
    } catch (error) {
      if (!isAbsence(error)) throw error;
    }
  }
}

function isAbsence(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.NotADirectory ||
    error instanceof Deno.errors.PermissionDenied;
}

function parent(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("/"), 0)) || "/";
}
