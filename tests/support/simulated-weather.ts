/** The network between processes and the bucket: what becomes of each request, drawn by chance. */
import type { Random } from "../../src/base/random.ts";
import type { Operation } from "./simulated-store.ts";

export interface Fate {
  /** When the bucket gets and applies it, from now; null for never. */
  readonly arrivesMs: number | null;
  /** When the sender hears of it, from then (or from now, where it never arrives); null: never. */
  readonly answersMs: number | null;
  /** "true": what the bucket answered. "exists": a proxy sent a create twice and met itself. */
  readonly answer: "true" | "exists" | "refused" | "409" | "429" | "500" | "503" | "reset";
}

export type Fault =
  | "slow answer"
  | "refused"
  | "409"
  | "429"
  | "500"
  | "503"
  | "503 applied"
  | "reset"
  | "answer lost"
  | "applied late"
  | "hang"
  | "sent twice";

const FAULTS: readonly Fault[] = [
  "slow answer",
  "refused",
  "409",
  "429",
  "500",
  "503",
  "503 applied",
  "reset",
  "answer lost",
  "applied late",
  "hang",
  "sent twice",
];

export interface WeatherOptions {
  /** Requests out of a thousand that meet a fault. */
  readonly faultsPerMille: number;
  /** Creates out of a hundred whose answer is long on its way. */
  readonly slowCreatesPercent?: number;
  /** A request that meets none takes up to this long, each way. */
  readonly latencyMsMax: number;
  /** "Applied late" is up to this long after it was sent. */
  readonly lateMsMax: number;
}

export class Weather {
  readonly #random: Random;
  options: WeatherOptions;
  /** Processes that cannot reach the bucket, and hear nothing. */
  readonly cutOff = new Set<string>();
  /** Faults that requests met, by kind. */
  readonly faults = new Map<string, number>();
  /** The next fault of a sender's create, for stories. */
  readonly planned = new Map<string, (Fault | Fate)[]>();

  constructor(random: Random, options: WeatherOptions) {
    this.#random = random;
    this.options = options;
  }

  get faultsTotal(): number {
    return [...this.faults.values()].reduce((sum, count) => sum + count, 0);
  }

  fate(operation: Operation, sender: string): Fate {
    const planned = operation === "create" ? this.planned.get(sender)?.shift() : undefined;
    if (typeof planned === "object") return planned;
    if (planned !== undefined) return this.#fault(planned, operation);
    if (this.cutOff.has(sender)) return this.#fault("hang", operation);
    if (this.#random.below(1000) < this.options.faultsPerMille) {
      const fault = FAULTS[this.#random.below(FAULTS.length)] ?? "hang";
      return this.#fault(fault, operation);
    }
    const isSlow = operation === "create" &&
      this.#random.below(100) < (this.options.slowCreatesPercent ?? 0);
    if (isSlow) return this.#fault("slow answer", operation);
    return { arrivesMs: this.#latency(), answersMs: this.#latency(), answer: "true" };
  }

  #fault(fault: Fault, operation: Operation): Fate {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
    const soonMs = this.#latency();
    switch (fault) {
      case "slow answer":
        return { arrivesMs: soonMs, answersMs: this.#between(500, 4_900), answer: "true" };
      case "refused":
      case "429":
      case "409":
      case "503":
      case "500":
        return { arrivesMs: null, answersMs: soonMs, answer: fault };
      case "503 applied":
        return { arrivesMs: soonMs, answersMs: this.#latency(), answer: "503" };
      case "reset":
        return { arrivesMs: soonMs, answersMs: this.#latency(), answer: "reset" };
      case "answer lost":
        return { arrivesMs: soonMs, answersMs: null, answer: "true" };
      case "applied late":
        return {
          arrivesMs: this.#between(5_001, this.options.lateMsMax),
          answersMs: null,
          answer: "true",
        };
      case "hang":
        return { arrivesMs: null, answersMs: null, answer: "true" };
      case "sent twice": {
        const answer = operation === "create" ? "exists" : "true";
        return { arrivesMs: soonMs, answersMs: this.#latency(), answer };
      }
    }
  }

  /** Mostly short, in steps of a microsecond. */
  #latency(): number {
    const most = this.options.latencyMsMax * (this.#random.below(10) === 0 ? 1 : 0.3);
    return this.#between(0.2, most);
  }

  #between(fromMs: number, toMs: number): number {
    return fromMs + this.#random.below(Math.max(1, Math.floor((toMs - fromMs) * 1000))) / 1000;
  }
}
