/** A datagram socket of the unix family, as systemd has one: what is sent to it can be read. */
import { ptr } from "bun:ffi";
import { openCLibrary } from "../../src/base/c-library.ts";
import { socketAddress } from "../../src/server/service-manager.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;
const DATAGRAM_BYTES_MAX = 4096;

const c = openCLibrary({
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
});

export class DatagramReceiver {
  readonly #descriptor = c.socket(AF_UNIX, SOCK_DGRAM, 0);

  /** A path, or "@" and an abstract name. */
  constructor(name: string) {
    const address = socketAddress(name);
    if (c.bind(this.#descriptor, ptr(address), address.length) === 0) return;
    throw new Error(`cannot bind ${name}`);
  }

  /** What has come since the last time. */
  take(): string[] {
    const found: string[] = [];
    for (;;) {
      const bytes = new Uint8Array(DATAGRAM_BYTES_MAX);
      const size = Number(c.recv(this.#descriptor, ptr(bytes), bytes.length, MSG_DONTWAIT));
      if (size <= 0) return found;
      found.push(new TextDecoder().decode(bytes.subarray(0, size)));
    }
  }

  close(): void {
    c.close(this.#descriptor);
  }
}
