/**
 * Asks a store to prove what the protocol leans on (I12): create-if-absent above all. A store that
 * does not honour it would let two owners write one epoch, so it is refused at the start.
 */
import type { Clock } from "../base/clock.ts";
import { Failure, isFailure } from "../base/failure.ts";
import { STORE_ATTEMPTS_MAX } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import { backoffMs } from "./backoff.ts";
import type { StoreOperation } from "./meter.ts";
import type { Store } from "./store.ts";

const RACERS = 8;

export interface ProbeParts {
  readonly clock: Clock;
  readonly random: Random;
}

export interface ProbeStep {
  readonly operation: StoreOperation;
  /** What was asked, for people: "create, refused". */
  readonly what: string;
  readonly ms: number;
}

export interface ProbeReport {
  readonly store: string;
  readonly steps: readonly ProbeStep[];
  /** Whether replace heeds its ETag; only hints are replaced, so it is not required. */
  readonly conditionalReplace: "honoured" | "ignored" | "refused";
  readonly clockOffsetMs: number;
}

/**
 * Works under a folder `probe/<random>/` of its own and removes it, whatever happens. Throws
 * `invalid`, naming the store and the missing guarantee, or what the store's requests throw.
 */
export async function probeStore(store: Store, parts: ProbeParts): Promise<ProbeReport> {
  const folder = `probe/${parts.random.u64().toString(16).padStart(16, "0")}/`;
  const probe = new Probe(store, parts, folder);
  try {
    return await probe.run();
  } finally {
    await probe.cleanUp();
  }
}

class Probe {
  readonly #store: Store;
  readonly #parts: ProbeParts;
  readonly #folder: string;
  readonly #steps: ProbeStep[] = [];

  constructor(store: Store, parts: ProbeParts, folder: string) {
    this.#store = store;
    this.#parts = parts;
    this.#folder = folder;
  }

  async run(): Promise<ProbeReport> {
    await this.#createsOnce();
    await this.#oneOfManyWins();
    const conditionalReplace = await this.#replaces();
    await this.#lists();
    await this.#removes();
    return {
      store: this.#store.name,
      steps: this.#steps,
      conditionalReplace,
      clockOffsetMs: this.#store.clockOffsetMs(),
    };
  }

  /** Best effort: what is left is small, and the failure that brought us here is worth more. */
  async cleanUp(): Promise<void> {
    try {
      const { objects } = await this.#store.list(this.#folder);
      if (objects.length > 0) await this.#store.remove(objects.map(({ key }) => key));
    } catch (error) {
      if (!isFailure(error)) throw error;
    }
  }

  async #createsOnce(): Promise<void> {
    const key = `${this.#folder}once`;
    const first = this.#bytes("first");
    await this.#step("head", "look at an absent object", () => this.#store.head(key));
    await this.#step("create", "create", () => this.#create(key, first));
    const outcome = await this.#step(
      "create",
      "create, refused",
      () => this.#create(key, this.#bytes("second")),
    );
    const found = await this.#step("get", "read", () => this.#store.get(key));
    if (outcome === "created" || !equal(found?.bytes, first)) {
      throw this.#missing("create-if-absent", "a second create of one key was accepted");
    }
    const range = await this.#step(
      "get_range",
      "read a part",
      () => this.#store.getRange(key, { offset: 1, length: 3 }),
    );
    if (!equal(range, first.subarray(1, 4))) {
      throw this.#missing("range reads", "a part of an object is not that part");
    }
    const head = await this.#step("head", "look at an object", () => this.#store.head(key));
    if (head?.size !== first.length || head.etag !== found?.etag) {
      throw this.#missing("read-after-write", "HEAD and GET of one object differ");
    }
  }

  async #oneOfManyWins(): Promise<void> {
    const key = `${this.#folder}race`;
    const bodies = Array.from({ length: RACERS }, (_, racer) => this.#bytes(`racer ${racer}`));
    const started = this.#parts.clock.monotonicMs();
    const outcomes = await Promise.all(bodies.map((body) =>
      // A loser may be told "conflict, try again"; who won is read back below.
      this.#store.create(key, body).catch((error) => {
        if (isFailure(error, "uncertain", "unavailable")) return "unknown";
        throw error;
      })
    ));
    const ms = this.#parts.clock.monotonicMs() - started;
    this.#steps.push({ operation: "create", what: `create, ${RACERS} at once`, ms });
    const found = await this.#store.get(key);
    const winners = bodies.filter((_, racer) => outcomes[racer] === "created");
    const winner = winners[0];
    if (winners.length > 1) {
      throw this.#missing("create-if-absent", `${winners.length} of ${RACERS} creates at once won`);
    }
    if (winner !== undefined && !equal(found?.bytes, winner)) {
      throw this.#missing("create-if-absent", "the object is not the one whose create won");
    }
  }

  async #replaces(): Promise<ProbeReport["conditionalReplace"]> {
    const key = `${this.#folder}hint`;
    try {
      const etag = await this.#store.replace(key, this.#bytes("hint 1"), null);
      if (etag === null) return "refused";
      const next = await this.#step(
        "replace",
        "replace",
        () => this.#store.replace(key, this.#bytes("hint 2"), etag),
      );
      const wrong = await this.#step(
        "replace",
        "replace, refused",
        () => this.#store.replace(key, this.#bytes("hint 3"), etag),
      );
      if (next === null) return "refused";
      return wrong === null ? "honoured" : "ignored";
    } catch (error) {
      if (isFailure(error, "invalid", "uncertain", "unavailable")) return "refused";
      throw error;
    }
  }

  async #lists(): Promise<void> {
    const names = ["a-b", "a.b", "a/b", "a0"].map((name) => `${this.#folder}list/${name}`);
    for (const name of [...names].reverse()) await this.#create(name, this.#bytes(name));
    const all = await this.#step("list", "list", () => this.#store.list(`${this.#folder}list/`));
    const rest = await this.#step(
      "list",
      "list from the middle",
      () => this.#store.list(`${this.#folder}list/`, { startAfter: names[1] ?? "", limit: 1 }),
    );
    const keys = (page: typeof all) => page.objects.map(({ key }) => key).join(" ");
    if (keys(all) !== names.join(" ")) {
      throw this.#missing("ordered lists", "what was just created is not listed in order");
    }
    if (keys(rest) !== names[2] || !rest.more) {
      throw this.#missing("ordered lists", "a list does not start after the key it was given");
    }
  }

  async #removes(): Promise<void> {
    const { objects } = await this.#store.list(this.#folder);
    await this.#step(
      "remove",
      `remove ${objects.length} objects`,
      () => this.#store.remove(objects.map(({ key }) => key)),
    );
    const left = await this.#store.list(this.#folder);
    if (left.objects.length > 0 || await this.#store.head(`${this.#folder}once`) !== null) {
      throw this.#missing("removal", "an object that was removed is still there");
    }
  }

  /** Creates with a bounded number of attempts: a probe must end. */
  async #create(key: string, body: Uint8Array): Promise<"created" | "exists"> {
    for (let attempt = 1;; attempt++) {
      try {
        return await this.#store.create(key, body);
      } catch (error) {
        if (isFailure(error) && error.details?.["code"] === "NotImplemented") {
          throw this.#missing("create-if-absent", "it does not implement If-None-Match", error);
        }
        const passes = isFailure(error, "uncertain", "unavailable");
        if (!passes || attempt === STORE_ATTEMPTS_MAX) throw error;
        await this.#parts.clock.sleep(backoffMs(attempt, this.#parts.random, error));
      }
    }
  }

  async #step<T>(operation: StoreOperation, what: string, run: () => Promise<T>): Promise<T> {
    const started = this.#parts.clock.monotonicMs();
    const result = await run();
    this.#steps.push({ operation, what, ms: this.#parts.clock.monotonicMs() - started });
    return result;
  }

  #missing(guarantee: string, because: string, cause?: unknown): Failure {
    const message =
      `The store ${this.#store.name} cannot be used: it lacks ${guarantee} (${because})`;
    return new Failure("invalid", message, { cause, details: { guarantee } });
  }

  /** Unlike anybody else's, as the objects of a chain are. */
  #bytes(text: string): Uint8Array {
    return new TextEncoder().encode(`${text} ${this.#parts.random.u64().toString(16)}`);
  }
}

function equal(found: Uint8Array | null | undefined, wanted: Uint8Array): boolean {
  return found instanceof Uint8Array && Buffer.compare(found, wanted) === 0;
}
