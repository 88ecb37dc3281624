import { beforeEach, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import {
  LAKE_JOB_BYTES_MAX,
  LAKE_JOB_REQUESTS_MAX,
  LAKE_JOBS_MAX,
} from "../../../src/base/lake-limits.ts";
import { Intake } from "../../../src/lake/intake.ts";
import { WaitingRows } from "../../../src/lake/waiting-rows.ts";

interface Job {
  readonly requests: readonly WaitingRows[];
  readonly end: () => void;
}

let jobs: Job[];
let idle: number;
let intake: Intake;
beforeEach(() => {
  jobs = [];
  idle = 0;
  intake = new Intake((requests) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    jobs.push({ requests, end: resolve });
    return promise;
  }, () => idle++);
});

function waiting(bytes = 1): WaitingRows {
  const one = new WaitingRows({
    lake: "web",
    table: { schema: "main", name: "t" },
    create: false,
    format: "ndjson",
    encoding: null,
    body: new Uint8Array(bytes),
    deadlineMs: 0,
  });
  one.answer.catch(() => {});
  return one;
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
const sizes = () => jobs.map(({ requests }) => requests.length);

test("a few jobs run at the same time, and what comes meanwhile goes into the next one", async () => {
  for (let index = 0; index < LAKE_JOBS_MAX + 10; index++) intake.add(waiting());
  const alone = Array.from({ length: LAKE_JOBS_MAX }, () => 1);
  expect(sizes()).toEqual(alone);
  jobs[0]!.end();
  await settled();
  expect([sizes(), idle]).toEqual([[...alone, 10], 0]);
  for (const { end } of jobs) end();
  await settled();
  expect(idle).toBe(1);
});

test("a job has no more bytes and requests than it may, and one request whatever its size", async () => {
  const first = Array.from({ length: LAKE_JOBS_MAX }, () => waiting());
  for (const one of first) intake.add(one);
  intake.add(waiting(LAKE_JOB_BYTES_MAX + 1));
  for (const bytes of [LAKE_JOB_BYTES_MAX - 1, 1, 1]) intake.add(waiting(bytes));
  for (let index = 0; index < LAKE_JOB_REQUESTS_MAX; index++) intake.add(waiting(0));
  for (const { end } of jobs.slice()) end();
  await settled();
  for (const { end } of jobs.slice()) end();
  await settled();
  expect(sizes().slice(LAKE_JOBS_MAX)).toEqual([1, 2, LAKE_JOB_REQUESTS_MAX, 1]);
});

test("a request that was answered meanwhile is in no job", async () => {
  for (let index = 0; index < LAKE_JOBS_MAX; index++) intake.add(waiting());
  const [late, soon] = [waiting(), waiting()];
  for (const one of [late, soon]) intake.add(one);
  late.failed(new Failure("unavailable", "late"));
  intake.forgetAnswered();
  jobs[0]!.end();
  await settled();
  expect(jobs.at(-1)!.requests).toEqual([soon]);
});

test("with nothing left but answered requests it is idle when its last job ends", async () => {
  for (let index = 0; index < LAKE_JOBS_MAX; index++) intake.add(waiting());
  const late = waiting();
  intake.add(late);
  late.failed(new Failure("unavailable", "late"));
  for (const { end } of jobs.slice()) end();
  await settled();
  expect([jobs.length, idle]).toEqual([LAKE_JOBS_MAX, 1]);
});
