/** A server that answers before it has read the body, as a refused create of a large object may be. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { systemClock } from "../../src/base/clock.ts";
import { openS3Store } from "../../src/store/s3.ts";

setDefaultTimeout(30_000);

test("an answer before the whole body leaves no connection behind", async () => {
  const open = new Set<Socket>();
  let requests = 0;
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => {});
    socket.once("data", () => {
      requests++;
      socket.pause();
      socket.write("HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  const store = openS3Store({
    type: "s3",
    bucket: "bucket",
    endpoint: `http://127.0.0.1:${port}`,
    access_key: "a",
    secret_key: "b",
  }, { clock: systemClock });
  try {
    const body = new Uint8Array(32 * 1024 * 1024);
    for (let at = 0; at < 3; at++) expect(await store.create(`k${at}`, body)).toBe("exists");
    expect(requests).toBe(3);
    for (const socket of open) socket.resume();
    for (let waited = 0; waited < 10_000 && open.size > 0; waited += 20) await Bun.sleep(20);
    expect(open.size).toBe(0);
  } finally {
    await store.close();
    for (const socket of open) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
});
