/** What a node is given by the process that it runs in. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { BrokerState } from "../members/roster.ts";
import type { Random } from "../base/random.ts";
import type { PeerProgram } from "./peer-calls.ts";

export interface NodeParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly version: string;
  /** The argv that starts this program again, for child processes. */
  readonly childCommand: readonly string[];
  /** Requests of clients that are being answered. */
  running(): number;
  /** This node takes new work or does not: the listener says so to clients. */
  onState(state: BrokerState): void;
  /** Ends the process at once: another one runs with this node's id. */
  exit(code: number): void;
  /** An operator has ended this node: the process stops in order, with exit code 0. */
  shutDown(): void;
  /** The program that this node runs in, where it is not its own. */
  readonly program?: PeerProgram;
  /** For crash points of tests. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}
