/**
 * Programs with other libraries, as far as they can be run here.
 *
 * @module
 */
import type { Bench } from "./bench.ts";
import { fibrpcCommand } from "../../tests/support/fibrpc_command.ts";
import { file, type Launch, program } from "./launch.ts";
import { messageOf } from "../../src/text.ts";

/** Pinned, so that figures can be compared; no dependencies of the project. */
const PACKAGES = { amqplib: "2.3.1", "rabbitmq-client": "5.0.8" };

const READY = /ready/;

/** A silent network must not hold up everything for ever. */
const INSTALL_MS = 60_000;

/** Scripts that print the versions of what Python has. */
const PIKA = {
  Python: "import sys; print(sys.version.split()[0])",
  pika: "import pika; print(pika.__version__)",
  "aio-pika": "import aio_pika; print(aio_pika.__version__)",
};
const GMP = {
  GMP: "import ctypes, ctypes.util as util; " +
    "gmp = ctypes.CDLL(util.find_library('gmp') or 'libgmp.so'); " +
    "print(ctypes.c_char_p.in_dll(gmp, '__gmp_version').value.decode())",
};

/** What runs a kind of programs. */
interface Runtime {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly missing: string | undefined;
  readonly versions: Readonly<Record<string, string>>;
}

/** See the module. */
export class Peers {
  readonly #node: Runtime;
  readonly #python: Runtime;
  readonly #gmp: Runtime;
  readonly #bun: Runtime;

  private constructor([node, python, gmp, bun]: readonly [Runtime, Runtime, Runtime, Runtime]) {
    this.#node = node;
    this.#python = python;
    this.#gmp = gmp;
    this.#bun = bun;
  }

  /** Looks what is there; gets what npm has. */
  static async find(bench: Bench): Promise<Peers> {
    const none = absent("left out by --ours-only");
    if (bench.options.oursOnly) return new Peers([none, none, none, none]);
    return new Peers([
      await findNode(bench),
      await findPython(bench, "pika and aio-pika", PIKA),
      await findPython(bench, "GMP", GMP),
      await findBun(bench),
    ]);
  }

  /** Their versions. */
  get versions(): Readonly<Record<string, string>> {
    const all = [this.#node, this.#python, this.#gmp, this.#bun];
    return Object.assign({}, ...all.map(({ versions }) => versions));
  }

  /** A program in JavaScript, with a library that is for Node. */
  node(name: string, ...more: string[]): Launch {
    return launch(this.#node, program(name), more);
  }

  /** A program in Python. */
  python(name: string, ...more: string[]): Launch {
    return launch(this.#python, program(name), more);
  }

  /** A tutorial program of the interoperability tests. */
  tutorial(name: string, ...more: string[]): Launch {
    return launch(this.#python, file(`tests/interop/${name}`), more);
  }

  /** The GNU MP library, without any calls. */
  gmp(): Launch {
    return launch(this.#gmp, program("gmp.py"), []);
  }

  /** Our library's client, on Bun. */
  libraryOnBun(...more: string[]): Launch {
    return launch(this.#bun, "", more);
  }
}

function launch(
  { command, args, env, missing }: Runtime,
  script: string,
  more: readonly string[],
): Launch {
  return { command, args: [...args, script, ...more].filter(Boolean), env, ready: READY, missing };
}

function absent(missing: string): Runtime {
  return { command: "", args: [], env: {}, missing, versions: {} };
}

async function findNode(bench: Bench): Promise<Runtime> {
  try {
    const said = await bench.run({ command: "node", args: ["--version"] });
    const [, version] = /^v([\d.]+)$/m.exec(said) ?? [];
    // Where there is none, Deno takes its place.
    if (version === undefined) throw new Error("node is not on PATH");
    return {
      command: "node",
      args: [],
      env: { NODE_PATH: await install(bench) },
      missing: undefined,
      versions: { Node: version, ...PACKAGES },
    };
  } catch (error) {
    return absent(`no Node with its packages (${reason(error)})`);
  }
}

/** A project of its own, so that our lock file never hears of them. Gives where they are. */
async function install(bench: Bench): Promise<string> {
  const cwd = `${bench.folder}/peers`;
  await Deno.mkdir(cwd);
  const imports = Object.fromEntries(
    Object.entries(PACKAGES).map(([name, version]) => [name, `npm:${name}@${version}`]),
  );
  const config = { nodeModulesDir: "auto", lock: false, imports };
  await Deno.writeTextFile(`${cwd}/deno.json`, JSON.stringify(config));
  const env = { NO_COLOR: "1" };
  const limitMs = INSTALL_MS;
  await bench.run({ command: Deno.execPath(), args: ["install", "--quiet"], cwd, env, limitMs });
  return `${cwd}/node_modules`;
}

/** The system's own comes first: it is the one that Debian's packages are for. */
async function findPython(
  bench: Bench,
  what: string,
  versions: Readonly<Record<string, string>>,
): Promise<Runtime> {
  // No folder of compiled modules beside ours.
  const args = ["-B"];
  const script = Object.values(versions).join("\n");
  let missing = "";
  for (const command of ["/usr/bin/python3", "python3"]) {
    try {
      const lines = (await bench.run({ command, args: [...args, "-c", script] })).split("\n");
      const found = Object.fromEntries(Object.keys(versions).map((name, at) => [name, lines[at]!]));
      return { command, args, env: {}, missing: undefined, versions: found };
    } catch (error) {
      missing ||= reason(error);
    }
  }
  return absent(`no Python with ${what} (${missing})`);
}

/** An executable on Bun's base can be a Bun as well. */
async function findBun(bench: Bench): Promise<Runtime> {
  const { command, args } = fibrpcCommand();
  const env = { BUN_BE_BUN: "1" };
  try {
    if (args.length > 0) throw new Error("there is no executable");
    if (!(await bench.run({ command, args: ["--version"] })).includes("bun")) {
      throw new Error("the executable is on another base");
    }
    const bundle = await bench.bundle("scripts/bench/programs/fibrpc_client.ts");
    const version = (await bench.run({ command, args: ["--version"], env })).trim();
    return { command, args: [bundle], env, missing: undefined, versions: { Bun: version } };
  } catch (error) {
    return absent(`no Bun (${reason(error)})`);
  }
}

/** The last line of it: there Python says what is wrong, and Deno above a backtrace. */
function reason(error: unknown): string {
  const text = messageOf(error);
  return text.split(/\n\s*Stack backtrace/)[0]!.trim().split("\n").at(-1)!.trim();
}
