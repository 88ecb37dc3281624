import { describe, expect, test } from "bun:test";
import {
  acceptProof,
  channelKey,
  dialProof,
  type Direction,
  type Party,
  seals,
} from "../../../src/members/signature.ts";

const DIALLER: Party = { node: "node-a", process: "p1", nonce: "n1" };
const ACCEPTOR: Party = { node: "node-b", process: "p2", nonce: "n2" };
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** Each way in which one thing of a channel may be another. */
const CASES: readonly (readonly [string, string, Party, Party])[] = [
  ["secret", "/peer/link", DIALLER, ACCEPTOR],
  ["another", "/peer/link", DIALLER, ACCEPTOR],
  ["secret", "/peer/other", DIALLER, ACCEPTOR],
  ["secret", "/peer/link", { ...DIALLER, node: "node-c" }, ACCEPTOR],
  ["secret", "/peer/link", { ...DIALLER, process: "p3" }, ACCEPTOR],
  ["secret", "/peer/link", { ...DIALLER, nonce: "n3" }, ACCEPTOR],
  ["secret", "/peer/link", DIALLER, { ...ACCEPTOR, node: "node-c" }],
  ["secret", "/peer/link", DIALLER, { ...ACCEPTOR, process: "p3" }],
  ["secret", "/peer/link", DIALLER, { ...ACCEPTOR, nonce: "n3" }],
  ["secret", "/peer/link", ACCEPTOR, DIALLER],
];

describe("what proves who speaks", () => {
  test("is another for every secret, path, node, process, nonce and side", () => {
    const keys = CASES.map((given) => hex(channelKey(...given)));
    const proofs = CASES.map((given) => acceptProof(...given));
    expect(new Set([...keys, ...proofs]).size).toBe(2 * CASES.length);
    // A request does not know the acceptor yet.
    const calls = CASES.map(([secret, path, dialler]) => dialProof(secret, path, dialler));
    expect(new Set(calls).size).toBe(CASES.length - 3);
    expect(new Set([...keys, ...proofs, ...calls]).size).toBe(3 * CASES.length - 3);
  });

  test("seals each frame by its bytes, its number and its direction", () => {
    const key = channelKey("secret", "/peer/link", DIALLER, ACCEPTOR);
    const all = (["dialler", "acceptor"] as Direction[]).flatMap((direction) => {
      const nextSeal = seals(key, direction);
      return ["x", "x", "y"].map((text) => {
        const seal = nextSeal();
        seal.update(Buffer.from(text));
        return hex(seal.finish());
      });
    });
    expect(new Set(all).size).toBe(6);
    expect(all[0]).toHaveLength(32);
  });

  test("seals the same bytes alike, in whatever pieces they come", () => {
    const whole = seals(new Uint8Array(32), "dialler")();
    whole.update(Buffer.from("abc"));
    const pieces = seals(new Uint8Array(32), "dialler")();
    for (const piece of ["a", "", "bc"]) pieces.update(Buffer.from(piece));
    expect(hex(whole.finish())).toBe(hex(pieces.finish()));
  });
});
