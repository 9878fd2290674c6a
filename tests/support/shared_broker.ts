/**
 * One broker for all test files of a `deno test` process.
 *
 * @module
 */
import { startBroker } from "./private_broker.ts";

/** The broker that tests share. */
export interface SharedBroker {
  /** AMQP's URL, with user and password. */
  readonly url: string;
}

/** A broker that is there already. */
const GIVEN = "FIBRPC_TEST_URL";

/** Test files see each other's environment, though not each other's modules. */
const SHARED = "FIBRPC_TEST_SHARED_URL";

/**
 * The broker to test with: `$FIBRPC_TEST_URL` where that is set, else a
 * private node, started by the first test file that asks. It ends with the
 * process. Call it at the top of a test file, and give each test queues of its
 * own ({@linkcode uniqueQueue}).
 */
export async function sharedBroker(): Promise<SharedBroker> {
  const url = Deno.env.get(GIVEN) || Deno.env.get(SHARED);
  return { url: url || await startOnce() };
}

/** A queue name that no other test has. */
export function uniqueQueue(prefix = "fibrpc-test"): string {
  return `${prefix}-${crypto.randomUUID()}`;
}

/**
 * With `deno test --parallel` several files may ask at the same time: a file's
 * lock, which the system takes back if we are killed, lets one through after
 * the other.
 */
async function startOnce(): Promise<string> {
  const folder = Deno.env.get("TMPDIR") || "/tmp";
  const path = `${folder}/fibrpc-test-${Deno.pid}.lock`;
  using file = await Deno.open(path, { write: true, create: true });
  await file.lock(true);
  try {
    const started = Deno.env.get(SHARED);
    if (started) return started;
    const { url } = await startBroker();
    Deno.env.set(SHARED, url);
    return url;
  } finally {
    await remove(path);
  }
}

/** Who asks from now on finds the variable, and has no need of the lock. */
async function remove(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
