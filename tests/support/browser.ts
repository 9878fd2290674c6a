/**
 * A real browser without a window, driven by the WebDriver protocol
 * (https://www.w3.org/TR/webdriver2/).
 *
 * @module
 */
import { type Program, spawn } from "./process.ts";
import { waitFor } from "./wait.ts";

/** What keeps it from asking anybody but the page's server. */
const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--window-size=1200,1000",
];

/** Chromium, with one page. */
export class Browser implements AsyncDisposable {
  readonly #driver: Program;
  readonly #session: string;
  readonly #folder: string;

  private constructor(driver: Program, session: string, folder: string) {
    this.#driver = driver;
    this.#session = session;
    this.#folder = folder;
  }

  /** Starts it. */
  static async start(options: { dark?: boolean } = {}): Promise<Browser> {
    // The name of its socket has at most 108 bytes, wherever other temporary files are.
    const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "browser-" });
    const env = { HOME: folder, TMPDIR: folder };
    const driver = spawn("chromedriver", ["--port=0"], { env });
    const [, port] = await driver.waitForStdout(/started successfully on port (\d+)/);
    const dark = options.dark ? ["--blink-settings=preferredColorScheme=0"] : [];
    const found = await command<{ sessionId: string }>(`http://127.0.0.1:${port}/session`, {
      capabilities: {
        alwaysMatch: {
          browserName: "chrome",
          "goog:loggingPrefs": { browser: "ALL" },
          "goog:chromeOptions": { args: [...ARGS, ...dark] },
        },
      },
    });
    return new Browser(driver, `http://127.0.0.1:${port}/session/${found.sessionId}`, folder);
  }

  async open(url: string): Promise<void> {
    await command(`${this.#session}/url`, { url });
  }

  /** The value of a function's body on the page. */
  async evaluate<Value>(script: string): Promise<Value> {
    return await command(`${this.#session}/execute/sync`, { script, args: [] });
  }

  /** Clicks as a person does: what is hidden or covered can't be clicked. */
  async click(selector: string): Promise<void> {
    const element = await command<Record<string, string>>(`${this.#session}/element`, {
      using: "css selector",
      value: selector,
    });
    await command(`${this.#session}/element/${Object.values(element)[0]}/click`, {});
  }

  /** What was written to the console since it was asked last. */
  async console(): Promise<string[]> {
    const entries = await command<{ message: string }[]>(`${this.#session}/se/log`, {
      type: "browser",
    });
    return entries.map(({ message }) => message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await fetch(this.#session, { method: "DELETE" })).body?.cancel();
    await this.#driver[Symbol.asyncDispose]();
    await waitFor(
      () => Deno.remove(this.#folder, { recursive: true }).then(() => true, () => false),
      {
        what: "the browser to leave its folder",
      },
    );
  }
}

async function command<Value>(url: string, body: unknown): Promise<Value> {
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${url}: ${value.message}`);
  return value;
}
