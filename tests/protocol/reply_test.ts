import { assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { RPC_ERROR_CODES, RpcError } from "../../src/errors.ts";
import { ERROR_CODE_HEADER } from "../../src/protocol/names.ts";
import { decodeError, encodeError, isErrorReply } from "../../src/protocol/reply.ts";

const anyCode = fc.constantFrom(...RPC_ERROR_CODES);

Deno.test("encodeError, decodeError: give back code and message", () => {
  fc.assert(fc.property(anyCode, fc.string({ unit: "grapheme" }), (code, message) => {
    const { body, properties } = encodeError(new RpcError(code, message));
    assertEquals(isErrorReply(properties), true);
    const error = decodeError(body, properties);
    assertEquals([error.code, error.message], [code, message]);
  }));
});

Deno.test("encodeError: is the form that the contract fixes", () => {
  assertEquals(encodeError(new RpcError("out_of_range", "too big", { cause: "secret" })), {
    body: '{"code":"out_of_range","message":"too big"}',
    properties: {
      contentType: "application/json",
      type: "error",
      headers: { "x-error-code": "out_of_range" },
      deliveryMode: 1,
    },
  });
});

Deno.test("encodeError, decodeError: give back details that are JSON, and do without others", () => {
  const again = (details: unknown) => {
    const { body, properties } = encodeError(new RpcError("aborted", "no", { details }));
    return decodeError(body, properties);
  };
  for (const details of [{ id: [1, "x"] }, 0, "text", null, false, undefined]) {
    assertEquals(again(details).details, details);
  }
  for (const details of [1n, () => 1]) {
    const { code, message, details: found, remote } = again(details);
    assertEquals([code, message, found, remote], ["aborted", "no", undefined, true]);
  }
});

Deno.test("isErrorReply: by type or by header", () => {
  assertEquals(isErrorReply({}), false);
  assertEquals(isErrorReply({ type: "reply", headers: { other: 1 } }), false);
  assertEquals(isErrorReply({ type: "error" }), true);
  assertEquals(isErrorReply({ headers: { [ERROR_CODE_HEADER]: "internal" } }), true);
});

Deno.test("decodeError: makes sense of anything", () => {
  fc.assert(
    fc.property(fc.string(), fc.option(fc.anything()), (text, header) => {
      const error = decodeError(text, { headers: { [ERROR_CODE_HEADER]: header } });
      assertEquals(error instanceof RpcError, true);
    }),
  );
});

Deno.test("decodeError: the header's code comes before the body's, which comes before none", () => {
  const body = '{"code":"out_of_range","message":"no"}';
  const code = (headers: Record<string, unknown> | undefined) =>
    decodeError(body, { headers }).code;
  assertEquals(code({ [ERROR_CODE_HEADER]: "resource_exhausted" }), "resource_exhausted");
  assertEquals(code({}), "out_of_range");
  assertEquals(code(undefined), "out_of_range");
  // A code that is unknown is not replaced by another.
  assertEquals(code({ [ERROR_CODE_HEADER]: "tired" }), "internal");
});

Deno.test("decodeError: an unknown code is internal, and named", () => {
  const error = decodeError('{"code":"tired","message":"later"}', {});
  assertEquals(error.code, "internal");
  assertStringIncludes(error.message, '"tired"');
  assertStringIncludes(error.message, "later");
});
