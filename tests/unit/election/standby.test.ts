/** When a standby claims, and when it must not (PROTOCOL section 8). */
import { describe, expect, test } from "bun:test";
import {
  beginStandby,
  type Standby,
  type StandbyAction,
  type StandbyEvent,
  type StandbyFacts,
  standbyStep,
  standbyWakesAtMs,
} from "../../../src/election/standby.ts";

const FACTS: StandbyFacts = {
  eligible: true,
  rank: 0,
  quietUntilMs: -Infinity,
  staleMs: 120_000,
};

/** A standby on a clock of its own; ticks come when they are due. */
class Story {
  nowMs = 0;
  state: Standby;
  facts: StandbyFacts;
  readonly done: string[] = [];

  constructor(facts: Partial<StandbyFacts> = {}) {
    this.facts = { ...FACTS, ...facts };
    this.state = beginStandby(0, this.facts).state;
  }

  /** Lets time pass; answers each look with `seen` if it is given, after no time. */
  until(nowMs: number, look?: () => { seen: string; intervalMs: number | null }): this {
    for (let steps = 0;; steps++) {
      if (steps > 1_000) throw new Error("it does not rest");
      const wakesMs = standbyWakesAtMs(this.state);
      if (wakesMs > nowMs) break;
      this.nowMs = Math.max(this.nowMs, wakesMs);
      const actions = this.#step({ kind: "tick" });
      if (look && actions.some(({ kind }) => kind === "look")) {
        this.#step({ kind: "store", ...look() });
      }
    }
    this.nowMs = nowMs;
    return this;
  }

  on(event: StandbyEvent): this {
    this.#step(event);
    return this;
  }

  #step(event: StandbyEvent): readonly StandbyAction[] {
    const { state, actions } = standbyStep(this.state, event, this.nowMs, this.facts);
    this.state = state;
    for (const action of actions) {
      if (action.kind !== "look") this.done.push(`${this.nowMs} ${action.kind}`);
    }
    return actions;
  }
}

function linked(facts: Partial<StandbyFacts> = {}): Story {
  const story = new Story(facts).until(0).on({ kind: "linked" });
  story.done.length = 0;
  return story;
}

const stands = () => ({ seen: "same", intervalMs: 30_000 });

describe("a leader whose process is gone", () => {
  test("closes its link and refuses the next: the others are asked, and it is claimed by rank", () => {
    const story = linked({ rank: 1 }).until(1_000).on({ kind: "unlinked", by: "close" });
    story.until(1_010).on({ kind: "refused" }).until(1_200).on({ kind: "asked", isSeen: false });
    expect(story.until(3_000).done).toEqual(["1000 dial", "1010 ask", "1350 claim"]);
  });

  test("that another node hears is not claimed: a firewall refuses too", () => {
    const story = linked().on({ kind: "unlinked", by: "close" }).until(10).on({ kind: "refused" });
    story.on({ kind: "asked", isSeen: true }).until(1_500);
    expect(story.done).toEqual(["0 dial", "10 ask", "1010 dial"]);
    expect(story.state.kind).toBe("apart");
  });

  test("refused twice, but further apart than 300 ms, is called again", () => {
    const story = new Story().until(0).on({ kind: "refused" }).until(101).until(401);
    story.on({ kind: "refused" }).until(500);
    expect(story.done).toEqual(["0 dial", "100 dial"]);
    story.until(501).on({ kind: "refused" });
    expect(story.done).toEqual(["0 dial", "100 dial", "501 dial", "501 ask"]);
  });

  test("is not claimed for calls that it takes and cuts off: it may be busy", () => {
    const story = linked().on({ kind: "unlinked", by: "close" });
    for (let nowMs = 10; nowMs < 2_000; nowMs += 110) story.until(nowMs).on({ kind: "reset" });
    expect(story.done.some((what) => /ask|claim/.test(what))).toBe(false);
    story.on({ kind: "refused" });
    expect(story.done.at(-1)).toMatch(/ ask$/);
  });

  test("answers the next call after all: nothing happens", () => {
    const story = linked().on({ kind: "unlinked", by: "close" }).until(20).on({ kind: "linked" });
    expect(story.until(2_000).done).toEqual(["0 dial"]);
    expect(story.state.kind).toBe("linked");
  });

  test("is claimed again at once when its last PUT took the number, and once only", () => {
    const story = gone().on({ kind: "lost", to: "data" });
    expect(story.done.slice(2)).toEqual(["10 claim", "10 claim"]);
    story.on({ kind: "lost", to: "data" }).until(200);
    expect(story.done.slice(4)).toEqual(["10 dial"]);
    expect(story.state.kind).toBe("apart");
  });

  test("and was claimed by another node: that one is called", () => {
    const story = gone().on({ kind: "lost", to: "claim" });
    expect(story.done.slice(3)).toEqual(["10 dial"]);
  });

  test("is not claimed by a candidate that sees another's claim first", () => {
    const story = linked({ rank: 2 }).on({ kind: "unlinked", by: "close" }).on({ kind: "refused" });
    story.on({ kind: "asked", isSeen: false }).until(200).on({ kind: "claimed" }).until(900);
    expect(story.done).toEqual(["0 dial", "0 ask", "200 dial"]);
  });

  test("is not claimed before this node's quiet time is over", () => {
    const story = linked({ quietUntilMs: 4_000 }).on({ kind: "unlinked", by: "close" });
    story.on({ kind: "refused" }).on({ kind: "asked", isSeen: false }).until(5_000);
    expect(story.done).toEqual(["0 dial", "0 ask", "4000 claim"]);
  });

  function gone(): Story {
    const story = linked().on({ kind: "unlinked", by: "close" }).until(10).on({ kind: "refused" });
    return story.on({ kind: "asked", isSeen: false }).until(10);
  }
});

describe("a silent leader", () => {
  test("is claimed when its heartbeat and chain stand still for three seconds more", () => {
    const story = linked().until(8_000, stands);
    expect(story.done).toEqual(["6000 claim"]);
    expect(story.state).toMatchObject({ kind: "claiming" });
  });

  test("that moves in the store lives: it is not claimed while it goes on", () => {
    let beats = 0;
    const story = linked().until(60_000, () => ({ seen: `${++beats}`, intervalMs: 1_000 }));
    expect(story.done).toEqual([]);
    expect(story.state.kind).toBe("watching");
    expect(story.on({ kind: "input", atMs: 60_000 }).state.kind).toBe("linked");
  });

  test("whose heartbeats stop later is claimed after two of the intervals that it stated", () => {
    const story = linked().until(4_000, () => ({ seen: "a", intervalMs: 30_000 }));
    story.until(5_000, () => ({ seen: "b", intervalMs: 1_000 })).until(20_000, () => ({
      seen: "b",
      intervalMs: 1_000,
    }));
    expect(story.done.length).toBe(1);
    expect(Number.parseInt(story.done[0]!)).toBeWithin(7_500, 9_000);
  });

  test("is not judged by a store that does not answer", () => {
    expect(linked().until(60_000).done).toEqual([]);
  });

  test("is not silent for a node that itself stood still [I11]", () => {
    const story = linked().until(2_900);
    story.nowMs = 9_000;
    story.on({ kind: "stalled" }).until(11_900, stands);
    expect(story.done).toEqual([]);
    expect(story.state.kind).toBe("linked");
  });

  test("that talks again in time is followed", () => {
    const story = linked().until(5_000, stands).on({ kind: "input", atMs: 5_000 }).until(
      7_900,
      stands,
    );
    expect(story.done).toEqual([]);
  });
});

describe("a leader that this node never reached", () => {
  test("is waited for by the interval of its heartbeat", () => {
    const story = new Story().until(0, stands).on({ kind: "unanswered" }).until(60_000, stands);
    expect(story.done.every((what) => what.endsWith("dial"))).toBe(true);
    story.until(67_000, stands);
    expect(story.done.at(-1)).toMatch(/^6[1-6]\d{3} claim$/);
  });

  test("and that has no heartbeat, by the threshold of the configuration", () => {
    const none = () => ({ seen: "", intervalMs: null });
    const story = new Story({ staleMs: 2_000 }).until(0, none).on({ kind: "unanswered" });
    expect(story.until(2_600, none).done.at(-1)).toMatch(/ claim$/);
  });
});

describe("a leader without a store", () => {
  test("is claimed by a node that has one, though it goes on talking", () => {
    const story = linked().until(1_000).on({ kind: "leader_store", isFailing: true });
    for (let nowMs = 1_500; nowMs <= 5_000; nowMs += 500) {
      story.until(nowMs, stands).on({ kind: "input", atMs: nowMs });
    }
    expect(story.done).toEqual(["4500 claim"]);
  });

  test("that finds its store again is followed", () => {
    const story = linked().on({ kind: "leader_store", isFailing: true }).until(2_000, stands);
    story.on({ kind: "leader_store", isFailing: false }).until(4_900);
    expect(story.done).toEqual([]);
    expect(story.state.kind).toBe("linked");
  });
});

describe("a leader that resigned", () => {
  test("is succeeded at once by whom it named, and by the others half a second apart", () => {
    expect(linked({ rank: 0 }).on({ kind: "resigned" }).until(5).done).toEqual(["0 claim"]);
    expect(linked({ rank: 2 }).on({ kind: "resigned" }).until(2_000).done).toEqual(["1000 claim"]);
  });
});

describe("a node that may not lead", () => {
  test("calls again and again, whatever happens, and never claims", () => {
    const story = linked({ eligible: false }).on({ kind: "unlinked", by: "close" });
    for (let calls = story.done.length; calls < 9; calls = story.done.length) {
      story.on({ kind: "refused" });
      while (story.done.length === calls) story.until(story.nowMs + 50, stands);
    }
    story.on({ kind: "resigned" }).until(300_000, stands);
    expect(story.done.every((what) => what.endsWith("dial"))).toBe(true);
    expect(story.done.length).toBe(9);
  });
});

test("a claim that could not be tried is begun anew by calling", () => {
  const story = linked().on({ kind: "resigned" }).until(1).on({ kind: "failed" }).until(2_000);
  expect(story.done).toEqual(["0 claim", "1001 dial"]);
});
