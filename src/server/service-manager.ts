/**
 * What systemd is told of this process (sd_notify(3)): ready, stopping, and a line for people. Each is
 * one datagram to the socket that NOTIFY_SOCKET names, a path or, after "@", an abstract name. The
 * runtime has no datagram sockets of that family, so this calls the C library.
 */
import { ptr } from "bun:ffi";
import { openCLibrary } from "../base/c-library.ts";
import { describe, Failure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** Of `sun_path`, unix(7). */
const PATH_BYTES_MAX = 107;

export interface ServiceManager {
  /** This node serves. */
  ready(): void;
  stopping(): void;
  /** What it does, in a line. */
  status(text: string): void;
}

/** Does nothing where nobody asked to be told. A word that gets lost is no reason to end. */
export function serviceManager(socket: string | undefined, log: Log): ServiceManager {
  let shown = "";
  const say = (text: string) => {
    if (socket === undefined || socket === "") return;
    try {
      sendDatagram(socket, text);
    } catch (error) {
      log.warn("could not tell the service manager", { cause: describe(error) });
    }
  };
  return {
    ready: () => say("READY=1"),
    stopping: () => say("STOPPING=1"),
    status: (text) => {
      const line = text.replaceAll(/\s+/g, " ");
      if (line === shown) return;
      shown = line;
      say(`STATUS=${line}`);
    },
  };
}

/** Throws `invalid` for a name that is none, `unavailable` when nobody takes it. */
export function sendDatagram(name: string, text: string): void {
  const address = socketAddress(name);
  const { socket, sendto, close } = openCLibrary({
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
  });
  const descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) throw new Failure("unavailable", "Cannot make a socket of the unix family");
  try {
    const bytes = new TextEncoder().encode(text);
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    const sent = sendto(
      descriptor,
      ptr(bytes),
      bytes.length,
      flags,
      ptr(address),
      address.length,
    );
    if (Number(sent) !== bytes.length) {
      throw new Failure("unavailable", `Cannot send to the socket ${name}: nobody takes it`);
    }
  } finally {
    close(descriptor);
  }
}

/** `sockaddr_un`; an abstract name begins with a zero byte and does not end with one. */
export function socketAddress(name: string): Uint8Array {
  const isAbstract = name.startsWith("@");
  const path = new TextEncoder().encode(isAbstract ? `\0${name.slice(1)}` : `${name}\0`);
  const isPath = isAbstract || name.startsWith("/");
  if (!isPath || path.length < 2 || path.length > PATH_BYTES_MAX) {
    throw new Failure("invalid", `NOTIFY_SOCKET is ${JSON.stringify(name.slice(0, 200))}`);
  }
  const address = new Uint8Array(2 + path.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(path, 2);
  return address;
}
