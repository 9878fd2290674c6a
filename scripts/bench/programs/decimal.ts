/** No client at all: the digits as our servers compute them. */
import { fibonacciDecimal } from "../../../src/services/fibonacci/math/decimal.ts";
import { runClient } from "./client.js";

await runClient(() => ({ call: (n) => fibonacciDecimal(Number(n)), close() {} }));
