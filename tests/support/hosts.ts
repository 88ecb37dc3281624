/**
 * Hosts of their own for tests that cut networks: network namespaces on one bridge, made with iproute2
 * by root and gone afterwards. What is cut is silent: nothing is reset, and what waits goes on when the
 * way is whole again.
 *
 *   const hosts = await Hosts.make(3);              // null where that cannot be done
 *   const node = folder.node({ store, host: hosts.host(1) });
 *   hosts.silence(1);                               // nobody hears host 1, and it hears nobody
 *   hosts.heal(1);
 */
import { connect, createServer, type Server, type Socket } from "node:net";

export interface Host {
  /** Its address on the bridge. */
  readonly address: string;
  /** What stands before a command that is to run there. */
  readonly command: readonly string[];
}

/** An address of nobody on the bridge. */
const NOBODY = "02:00:00:00:00:99";

export class Hosts {
  readonly #name: string;
  readonly #net: string;
  readonly #count: number;
  readonly #proxies: Server[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(name: string, net: string, count: number) {
    this.#name = name;
    this.#net = net;
    this.#count = count;
  }

  /** Why there can be none here, or null. */
  static reason(): string | null {
    if (process.getuid?.() !== 0) return "network namespaces need root";
    if (!Bun.which("ip")) return "iproute2 is not installed";
    const name = `hgtry${process.pid}`;
    const made = Bun.spawnSync(["ip", "netns", "add", name], { stderr: "pipe" });
    if (!made.success) return `no network namespaces: ${made.stderr.toString().trim()}`;
    ip("netns", "del", name);
    return null;
  }

  static make(count: number): Hosts {
    const name = `hg${(process.pid % 0xffff).toString(16)}`;
    const hosts = new Hosts(name, `10.77.${process.pid % 250}`, count);
    hosts.#build();
    return hosts;
  }

  /** From 1 on. */
  host(number: number): Host {
    return {
      address: `${this.#net}.${number}`,
      command: ["ip", "netns", "exec", `${this.#name}-${number}`],
    };
  }

  /** This process's own address on the bridge. */
  get own(): string {
    return `${this.#net}.254`;
  }

  /** A way for the hosts to a port on this machine's loopback; returns "host:port" for them. */
  async expose(port: number): Promise<string> {
    const server = createServer((socket) => {
      const other = connect(port, "127.0.0.1");
      for (const [from, to] of [[socket, other], [other, socket]] as const) {
        this.#sockets.add(from);
        from.on("error", () => to.destroy());
        from.on("close", () => {
          this.#sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
    this.#proxies.push(server);
    return await new Promise((resolve) =>
      server.listen(0, this.own, () => {
        const address = server.address();
        resolve(`${this.own}:${typeof address === "object" ? address?.port : ""}`);
      })
    );
  }

  /** Cuts a host off from everybody. */
  silence(number: number): void {
    this.#inHub("link", "set", `p${number}`, "nomaster");
  }

  /** Ends all silence and refusal of a host, and between it and the others. */
  heal(number: number): void {
    this.#inHub("link", "set", `p${number}`, "master", "br0");
    for (let other = 1; other <= this.#count; other++) {
      for (const [at, of] of [[number, other], [other, number]] as const) {
        quiet("-n", this.#space(at), "neigh", "del", this.host(of).address, "dev", "eth0");
      }
      const { address } = this.host(other);
      if (other !== number) {
        quiet("-n", this.#space(number), "addr", "del", `${address}/32`, "dev", "lo");
      }
    }
  }

  /** Two hosts hear nothing of each other; everybody else hears both. */
  part(one: number, other: number): void {
    for (const [at, of] of [[one, other], [other, one]] as const) {
      const { address } = this.host(of);
      ip(...["-n", this.#space(at), "neigh", "replace", address, "lladdr", NOBODY], ...PERMANENT);
    }
  }

  /** What the one sends to the other is refused, as a firewall does that rejects. */
  refuse(one: number, other: number): void {
    ip("-n", this.#space(one), "addr", "add", `${this.host(other).address}/32`, "dev", "lo");
  }

  remove(): void {
    for (const socket of this.#sockets) socket.destroy();
    for (const proxy of this.#proxies) proxy.close();
    for (let number = 1; number <= this.#count; number++) {
      quiet("netns", "del", this.#space(number));
    }
    quiet("netns", "del", this.#space("hub"));
    quiet("link", "del", `${this.#name}r`);
  }

  #space(name: number | string): string {
    return `${this.#name}-${name}`;
  }

  #inHub(...args: string[]): void {
    ip("-n", this.#space("hub"), ...args);
  }

  #build(): void {
    const hub = this.#space("hub");
    ip("netns", "add", hub);
    this.#inHub("link", "add", "br0", "type", "bridge", "forward_delay", "0");
    this.#inHub("link", "set", "br0", "up");
    ip("link", "add", `${this.#name}r`, "type", "veth", "peer", "name", "root", "netns", hub);
    ip("addr", "add", `${this.own}/24`, "dev", `${this.#name}r`);
    ip("link", "set", `${this.#name}r`, "up");
    this.#plug("root");
    for (let number = 1; number <= this.#count; number++) {
      const space = this.#space(number);
      ip("netns", "add", space);
      ip(...["link", "add", "eth0", "netns", space, "type", "veth"], ...[
        "peer",
        "name",
        `p${number}`,
        "netns",
        hub,
      ]);
      ip("-n", space, "addr", "add", `${this.host(number).address}/24`, "dev", "eth0");
      ip("-n", space, "link", "set", "eth0", "up");
      ip("-n", space, "link", "set", "lo", "up");
      this.#plug(`p${number}`);
    }
  }

  #plug(port: string): void {
    this.#inHub("link", "set", port, "master", "br0");
    this.#inHub("link", "set", port, "up");
  }
}

const PERMANENT = ["nud", "permanent", "dev", "eth0"] as const;

function ip(...args: string[]): void {
  const done = Bun.spawnSync(["ip", ...args], { stderr: "pipe" });
  if (!done.success) throw new Error(`ip ${args.join(" ")}: ${done.stderr.toString().trim()}`);
}

/** For what may not be there. */
function quiet(...args: string[]): void {
  Bun.spawnSync(["ip", ...args], { stderr: "ignore" });
}
