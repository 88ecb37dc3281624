import { expect, test } from "bun:test";
import {
  carriedRequest,
  carriedResponse,
  carryRequest,
  carryResponse,
} from "../../../src/library/carried.ts";
import type { Message } from "../../../src/members/call-frame.ts";

const { signal } = new AbortController();
/** As over a channel. */
const sent = ({ head, text }: Message): Message => JSON.parse(JSON.stringify({ head, text }));

test("a request arrives as it was sent: method, URL, headers and body", async () => {
  const bodies = ["", "plain", "\ufeffü𝄞", new Uint8Array([0, 255, 128]), new Uint8Array(100_000)];
  for (const body of bodies) {
    const request = new Request("http://cluster/jobs/7?deep=%2F", {
      method: "PUT",
      headers: { "x-one": "1", "content-type": "a/b" },
      body,
    });
    const bytes = await request.clone().bytes();
    const there = carriedRequest(sent(await carryRequest(request)), signal);
    expect([there.method, there.url]).toEqual(["PUT", "http://cluster/jobs/7?deep=%2F"]);
    expect([...there.headers]).toEqual([["content-type", "a/b"], ["x-one", "1"]]);
    expect(await there.bytes()).toEqual(bytes);
  }
});

test("a request without a body arrives without one", async () => {
  for (const method of ["GET", "HEAD", "DELETE"]) {
    const there = carriedRequest(
      sent(await carryRequest(new Request("http://cluster/", { method }))),
      signal,
    );
    expect([there.method, there.body]).toEqual([method, null]);
  }
});

test("a response arrives as it was answered: status, every cookie, body", async () => {
  const headers = new Headers([["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x-two", "2"]]);
  const response = new Response(new Uint8Array([1, 254]), { status: 418, headers });
  const here = carriedResponse(sent(await carryResponse(response)));
  expect(here.status).toBe(418);
  expect(here.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
  expect(await here.bytes()).toEqual(new Uint8Array([1, 254]));
  for (const status of [204, 304]) {
    const bare = carriedResponse(
      sent(await carryResponse(new Response(null, { status }))),
    );
    expect([bare.status, bare.body]).toEqual([status, null]);
  }
});

test("a body that is larger than one between nodes may be is refused before all of it is read", async () => {
  let pulled = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled++;
      controller.enqueue(new Uint8Array(1024 * 1024));
    },
  });
  await expect(carryResponse(new Response(body))).rejects.toThrow("more than 16777216 bytes");
  expect(pulled).toBeLessThan(30);
});
