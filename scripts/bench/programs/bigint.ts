/** No client at all: the number as a `bigint`, by doubling, and its digits. */
import { fibonacci } from "../../../src/services/fibonacci/math/fibonacci.ts";
import { runClient } from "./client.js";

await runClient(() => ({ call: (n) => fibonacci(Number(n)).toString(), close() {} }));
