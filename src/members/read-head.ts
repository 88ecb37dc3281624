/**
 * The heads of frames on a link, held against their shapes before they are used: a peer is of this
 * cluster, and may still be of another version.
 */
import * as z from "zod";
import { Failure } from "../base/failure.ts";
import type {
  EpochHead,
  LeaderHello,
  LinkHello,
  OrderHead,
  PingHead,
  ReportHead,
} from "./message.ts";
import { BROKER_STATES, type RosterMessage } from "./roster.ts";

const number = z.number().nonnegative();
const whole = z.int().nonnegative();
const state = z.enum(BROKER_STATES);

const introduction = z.object({
  address: z.string(),
  peer_address: z.string(),
  zone: z.string(),
  roles: z.array(z.string()),
  eligible: z.boolean(),
  version: z.string(),
  state,
});
const report = z.object({ state, heads: z.record(z.string(), whole), running: whole });
const roster = z.object({
  leader: z.string(),
  term: whole,
  members: z.array(introduction.extend({
    ...report.shape,
    node: z.string(),
    nonce: z.string(),
    presence: z.enum(["present", "suspect"]),
    last_heard_ms: number,
  })),
});

const epoch = z.object({ database: z.string(), epoch: whole });
const ping = z.object({ number: whole, store_failing_ms: number });
const order = z.object({ state });
const answer = report.extend({ ping: whole });
const leaderHello = z.object({ claim: whole, claim_id: z.string(), term: whole, roster });

/** All of them throw `invalid`. */
export const readEpochHead = (head: unknown): EpochHead => read(epoch, "epoch", head);
export const readRoster = (head: unknown): RosterMessage => read(roster, "roster", head);
export const readPing = (head: unknown): PingHead => read(ping, "ping", head);
export const readOrder = (head: unknown): OrderHead => read(order, "order", head);
export const readReport = (head: unknown): ReportHead => read(answer, "report", head);
export const readLinkHello = (head: unknown): LinkHello => read(introduction, "hello", head);
export const readLeaderHello = (head: unknown): LeaderHello =>
  read(leaderHello, "hello of the leader", head);

function read<T>(shape: z.ZodType<T>, what: string, head: unknown): T {
  const result = shape.safeParse(head);
  if (result.success) return result.data;
  const [first] = result.error.issues;
  const where = first === undefined
    ? ""
    : ` at ${first.path.join(".") || "its root"}: ${first.message}`;
  throw new Failure("invalid", `Cannot read the ${what} of a peer${where}`);
}
