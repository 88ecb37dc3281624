import { expect, test } from "bun:test";
import { BodyRoom } from "../../../src/lake/body-room.ts";

const room = (bodiesMax = 10, bytesMax = 100) => new BodyRoom({ bodiesMax, bytesMax });
const busy = expect.objectContaining({ kind: "busy", retryAfterMs: 250 });

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return null;
}

test("bodies have so many bytes together, and room again when one has left", () => {
  const { enter, one } = (() => {
    const all = room();
    return { enter: () => all.enter(), one: all };
  })();
  const [first, second] = [enter(), enter()];
  first.take(60);
  second.take(40);
  expect(thrownBy(() => second.take(1))).toEqual(busy);
  expect(one.bytes).toBe(100);
  first.leave();
  first.leave();
  second.take(60);
  expect(one.bytes).toBe(100);
  second.leave();
  expect(one.bytes).toBe(0);
});

test("a body that is alone may come, however large it is", () => {
  const all = room();
  const [first, second] = [all.enter(), all.enter()];
  first.take(1_000);
  expect(thrownBy(() => second.take(1))).toEqual(busy);
});

test("there are so many bodies at most", () => {
  const all = room(2);
  const first = all.enter();
  all.enter();
  expect(thrownBy(() => all.enter())).toEqual(busy);
  first.leave();
  all.enter();
});
