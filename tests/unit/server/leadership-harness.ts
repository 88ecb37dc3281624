/**
 * Processes that lead and stand by on one store and one clock, with real replicas of `system` and the
 * product's leadership; the network between them is whatever a test says.
 */
import type { Failure } from "../../../src/base/failure.ts";
import { silentLog } from "../../../src/base/log.ts";
import { seededRandom } from "../../../src/base/random.ts";
import type { Contender } from "../../../src/election/rank.ts";
import type { Claim } from "../../../src/replica/claims.ts";
import { Replica } from "../../../src/replica/replica.ts";
import { LeaderHeartbeat } from "../../../src/server/cluster-files.ts";
import { Leadership } from "../../../src/server/leadership.ts";
import type { Links } from "../../../src/server/links.ts";
import { Bench } from "../replica/bench.ts";

/** The network of one process, as its test says. */
export class SaidLinks implements Links {
  outcome: "linked" | "refused" | "unanswered" = "unanswered";
  /** Whether another node hears the leader. */
  isHeard = false;
  inputMs: number | null = null;
  linked: number | null = null;
  /** Nodes that could lead. */
  others: readonly Contender[];
  /** Ids by address. */
  readonly present = new Map<string, string>();
  readonly calls: string[] = [];
  asks = 0;

  constructor(others: readonly string[]) {
    this.others = others.map((node) => contender(node));
  }

  call(claim: Claim) {
    this.calls.push(claim.node);
    if (this.outcome === "linked") this.linked = claim.epoch;
    return Promise.resolve(this.outcome);
  }

  ask() {
    this.asks++;
    return Promise.resolve(this.isHeard);
  }

  lastInputMs() {
    return this.inputMs;
  }

  linkedTo() {
    return this.linked;
  }

  drop() {
    this.linked = null;
  }

  contenders() {
    return this.others;
  }

  isSelfAt(address: string) {
    this.calls.push(address);
    return Promise.resolve(this.present.has(address));
  }
}

export function contender(node: string, facts: Partial<Contender> = {}): Contender {
  return { node, zone: "", eligible: true, state: "active", ...facts };
}

export interface LeadershipProcess {
  readonly id: string;
  readonly system: Replica;
  readonly leadership: Leadership;
  readonly links: SaidLinks;
  /** What it was told of leading: "won 1", "begun successor", "deposed", "heard". */
  readonly told: string[];
  readonly replaced: Failure[];
  /** What its leader side sees of the links of others. */
  readonly hub: { links: number; lateMs: number };
}

export interface ProcessOptions {
  readonly address?: string;
  readonly eligible?: boolean;
  readonly contenders?: readonly string[];
  begin?(): Promise<void>;
  release?(): Promise<void>;
  resignIfOthers?(leadership: Leadership): Promise<void>;
}

export class LeadershipBench extends Bench {
  /** A process whose leadership has not begun. */
  async process(id: string, options: ProcessOptions = {}): Promise<LeadershipProcess> {
    const { store, clock } = this;
    const node = { id, address: options.address ?? `http://${id}` };
    const { parts } = this.node(id, { node });
    const links = new SaidLinks(options.contenders ?? ["n1", "n2", "n3"]);
    const told: string[] = [];
    const replaced: Failure[] = [];
    const hub = { links: 0, lateMs: 0 };
    const leadership: Leadership = new Leadership({
      store,
      clock,
      log: silentLog,
      node,
      peerAddress: `${id}:8443`,
      eligible: options.eligible ?? true,
      heartbeat: new LeaderHeartbeat({ store, clock, random: seededRandom(id.charCodeAt(1)) }),
      heartbeatMs: 30_000,
      staleMs: 120_000,
      network: links,
      wish: (over) => (over === undefined ? {} : { over }),
      links: () => ({ links: hub.links, isLate: (ms) => hub.lateMs >= ms }),
      onClaiming: () => {},
      onStepDown: () => {},
      onWon: (claim) => void told.push(`won ${claim}`),
      onLead: async (isSuccessor) => {
        await options.begin?.();
        told.push(isSuccessor ? "begun as a successor" : "begun again");
      },
      onDeposed: () => void told.push("deposed"),
      onHeard: (isHeard) => void told.push(isHeard ? "heard" : "not heard"),
      release: () => options.release?.().then(() => true) ?? Promise.resolve(true),
      resignIfOthers: () => options.resignIfOthers?.(leadership) ?? Promise.resolve(),
      onReplaced: (failure) => void replaced.push(failure),
    });
    const hooks = {
      systemClaim: () => leadership.claim,
      onFenced: () => leadership.deposed(),
      onSnapshot: () => {},
      onOwnership: (_: string, ownership: Parameters<Leadership["onOwnership"]>[0]) =>
        leadership.onOwnership(ownership),
    };
    const opened = Replica.open(parts, "system", hooks).then((replica) =>
      replica ?? Replica.create(parts, "system", 4096, hooks)
    );
    const system = await this.settle(opened);
    return { id, system: system!, leadership, links, told, replaced, hub };
  }

  async started(id: string, options: ProcessOptions = {}): Promise<LeadershipProcess> {
    const made = await this.process(id, options);
    await this.settle(made.leadership.start(made.system));
    return made;
  }

  /** Nodes by claim, first to last, as this process knows them. */
  claims({ system }: LeadershipProcess): Promise<unknown[]> {
    return this.read(system, "SELECT node FROM _headgate_claims ORDER BY epoch");
  }
}
