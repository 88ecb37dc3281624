/** A node's catalog over a real `system` database, on a store that a test tells what to do. */
import { silentLog } from "../../../src/base/log.ts";
import { Failure } from "../../../src/base/failure.ts";
import { SYSTEM_DATABASE } from "../../../src/epoch/name.ts";
import type { ReplicaHooks } from "../../../src/replica/hooks.ts";
import type { Parts } from "../../../src/replica/parts.ts";
import { Replica } from "../../../src/replica/replica.ts";
import { Catalog } from "../../../src/server/catalog.ts";
import { foundCluster } from "../../../src/server/founding.ts";
import { SystemDatabase } from "../../../src/server/system-database.ts";
import { Bench } from "../replica/bench.ts";

export interface Member {
  readonly catalog: Catalog;
  readonly system: Replica;
  readonly parts: Parts;
  readonly hooks: ReplicaHooks;
  /** Epoch of its claim in `system` while it leads. */
  claim: number | null;
}

/** Thrown at a crash point: the process is gone from there on. */
export class Crash extends Error {}

export class CatalogBench extends Bench {
  /** Name of the place at which the next passing process crashes. */
  crashAt: string | null = null;

  /** A process that finds or founds the cluster. */
  async member(id: string): Promise<Member> {
    const { parts } = this.node(id, {
      crashPoint: (name) => {
        if (name !== this.crashAt) return;
        this.crashAt = null;
        throw new Crash(name);
      },
    });
    const hooks: ReplicaHooks = {
      systemClaim: () => member.claim,
      onFenced: (replica) => {
        if (replica.name !== SYSTEM_DATABASE) return;
        member.claim = null;
        for (const other of catalog.replicas()) void other.giveUp();
      },
      onSnapshot: () => {},
    };
    const catalog = new Catalog({ parts, hooks, clock: this.clock, log: silentLog });
    const member = { catalog, hooks, parts, claim: null as number | null };
    const system = await this.settle(
      Replica.open(parts, SYSTEM_DATABASE, hooks).then((found) =>
        found ?? foundCluster(parts, hooks, true)
      ),
    );
    const whole: Member = Object.assign(member, { system });
    await this.settle(catalog.start(system, new SystemDatabase(system, this.clock, id)));
    return whole;
  }

  /** It claims `system` and does what a new leader does first. */
  async lead(member: Member): Promise<void> {
    await this.settle(member.system.claim(null));
    member.claim = member.system.ownership!.claim.epoch;
    await this.settle(member.catalog.system.database.prepare());
    await this.settle(member.catalog.refresh());
  }

  async leader(id = "n1"): Promise<Member> {
    const member = await this.member(id);
    await this.lead(member);
    return member;
  }

  async stop(member: Member): Promise<void> {
    await this.settle(member.catalog.close(new Failure("unavailable", "stopping")));
  }

  names({ catalog }: Member): string[] {
    return catalog.rows().map(({ name }) => name);
  }
}
