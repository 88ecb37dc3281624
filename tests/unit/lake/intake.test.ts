import { beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import {
  LAKE_JOB_BYTES_MAX,
  LAKE_JOB_BYTES_MIN,
  LAKE_JOB_REQUESTS_MAX,
  LAKE_JOBS_MAX,
  LOAD_INLINED_BYTES_MAX,
} from "../../../src/base/lake-limits.ts";
import { Intake } from "../../../src/lake/intake.ts";
import { WaitingRows } from "../../../src/lake/waiting-rows.ts";

interface Job {
  readonly requests: readonly WaitingRows[];
  readonly isBulk: boolean;
  readonly loaded: () => void;
  readonly end: () => void;
}

let jobs: Job[];
let idle: number;
let intake: Intake;
beforeEach(() => {
  jobs = [];
  idle = 0;
  intake = intakeOf();
});

function intakeOf(requestsMax?: number): Intake {
  return new Intake(
    (requests, { isBulk, onLoaded }) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      jobs.push({ requests, isBulk, loaded: onLoaded, end: resolve });
      return promise;
    },
    () => idle++,
    requestsMax,
  );
}

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

const add = (...bytes: readonly number[]): void => {
  for (const one of bytes) intake.add(waiting(one));
};
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
const sizes = () => jobs.map(({ requests }) => requests.length);
const kinds = () => jobs.map(({ isBulk }) => isBulk);

describe("while few bytes are under way", () => {
  test("what comes while one job reads its bodies goes into the next", async () => {
    add(1, 1, 1);
    expect(sizes()).toEqual([1]);
    jobs[0]!.loaded();
    expect([sizes(), kinds()]).toEqual([[1, 2], [false, false]]);
    jobs[0]!.end();
    jobs[1]!.end();
    await settled();
    expect(idle).toBe(1);
  });

  test("so many jobs are on their way to the store at most", async () => {
    for (let count = 1; count <= LAKE_JOBS_MAX; count++) {
      add(1);
      jobs.at(-1)!.loaded();
    }
    add(1, 1);
    expect(sizes()).toEqual(Array.from({ length: LAKE_JOBS_MAX }, () => 1));
    jobs[0]!.end();
    await settled();
    expect(sizes().at(-1)).toBe(2);
  });

  test("a job that ends without having read its bodies leaves the loader", async () => {
    add(1, 1);
    jobs[0]!.end();
    await settled();
    expect(sizes()).toEqual([1, 1]);
    // Had it counted twice, two would read at once now.
    add(1, 1);
    jobs[0]!.loaded();
    expect(sizes()).toEqual([1, 1]);
  });
});

describe("while many bytes are under way", () => {
  const most = LOAD_INLINED_BYTES_MAX - 1;

  test("rows go into files, also those of a small job, until they are few again", async () => {
    add(most);
    jobs[0]!.loaded();
    add(2);
    expect([sizes(), kinds()]).toEqual([[1, 1], [false, true]]);
    jobs[0]!.end();
    jobs[1]!.loaded();
    await settled();
    add(1);
    expect(kinds()).toEqual([false, true, false]);
  });

  test("a third file at once has to be a large one", () => {
    add(most, 2, 1);
    jobs[0]!.loaded();
    jobs[1]!.loaded();
    expect([sizes(), kinds()]).toEqual([[1, 2], [false, true]]);
    add(LAKE_JOB_BYTES_MIN - 1);
    expect(sizes()).toHaveLength(2);
    add(1);
    expect([sizes(), kinds()]).toEqual([[1, 2, 2], [false, true, true]]);
  });

  test("two large jobs read their bodies at the same time", () => {
    add(LAKE_JOB_BYTES_MAX, LAKE_JOB_BYTES_MAX, LAKE_JOB_BYTES_MAX);
    expect(sizes()).toEqual([1, 1]);
    jobs[1]!.loaded();
    expect(sizes()).toEqual([1, 1, 1]);
  });
});

test("a job has no more bytes and requests than it may, and one request whatever its size", async () => {
  add(1);
  add(LAKE_JOB_BYTES_MAX + 1, LAKE_JOB_BYTES_MAX - 1, 1, 1);
  add(...Array.from({ length: LAKE_JOB_REQUESTS_MAX }, () => 0));
  for (let at = 0; at < 5; at++) {
    jobs[at]!.end();
    await settled();
  }
  expect(sizes()).toEqual([1, 1, 2, LAKE_JOB_REQUESTS_MAX, 1]);
});

test("requests that have to be alone do not wait for each other to be many", () => {
  intake = intakeOf(1);
  add(1, 1, 1);
  expect(sizes()).toEqual([1, 1]);
});

test("a request that was answered meanwhile is in no job", async () => {
  const [late, soon] = [waiting(), waiting()];
  for (const one of [waiting(), late, soon]) intake.add(one);
  late.failed(new Failure("unavailable", "late"));
  intake.forgetAnswered();
  jobs[0]!.end();
  await settled();
  expect(jobs.at(-1)!.requests).toEqual([soon]);
});

test("with nothing left but answered requests it is idle when its last job ends", async () => {
  const late = waiting();
  for (const one of [waiting(), late]) intake.add(one);
  late.failed(new Failure("unavailable", "late"));
  jobs[0]!.end();
  await settled();
  expect([jobs.length, idle]).toEqual([1, 1]);
});
