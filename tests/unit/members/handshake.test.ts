import { beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { PEER_CHECK_MS, PEER_CONNECT_MS, PEER_HELLO_MS } from "../../../src/base/limits.ts";
import type { Dialled } from "../../../src/members/dial.ts";
import { HEADER } from "../../../src/members/handshake.ts";
import type { Network } from "../../../src/members/network.ts";
import { ADDRESS, TwoNodes } from "./two-nodes.ts";

let nodes: TwoNodes;
beforeEach(() => {
  nodes = new TwoNodes();
});

function failureOf(dialled: Dialled): Failure {
  if (dialled.kind === "open") throw new Error("the channel is open");
  return dialled.failure;
}

/** The network with a change to each request. */
function changing(change: (headers: Record<string, string>) => Record<string, string>): Network {
  return {
    request: async (request) => {
      const headers = change({ ...request.headers });
      const answer = await nodes.network.request({ ...request, headers });
      // It is the called one that refuses: the caller would too, but later.
      expect(answer).toMatchObject({ kind: "answered", status: 401 });
      return answer;
    },
  };
}

describe("a channel is opened", () => {
  test("and each side knows who the other is and what it said", async () => {
    const [caller, called] = await nodes.open();
    expect(caller.channel.peer).toEqual({
      node: "node-called",
      process: "process-1",
      hello: { claim: 12 },
    });
    expect(called.channel.peer).toEqual({
      node: "node-caller",
      process: "process-2",
      hello: { address: "caller:8443" },
    });
    const [one, two] = nodes.network.lastPipes ?? [];
    expect([one?.isTrusted, two?.isTrusted]).toEqual([true, true]);
  });

  test("and the check of the caller may take its time while frames already come", async () => {
    const dialling = nodes.dial({ check: () => nodes.clock.sleep(500) });
    nodes.pass(100);
    nodes.taken[0]?.channel.send(20, "early");
    const dialled = await nodes.until(dialling);
    if (dialled.kind !== "open") throw dialled.failure;
    const heads: unknown[] = [];
    dialled.channel.start({ onFrame: ({ head }) => heads.push(head), onClose: () => {} });
    nodes.settle();
    expect(heads).toEqual(["early"]);
  });
});

describe("no channel is opened", () => {
  test("when the peer's check refuses, and its failure arrives whole", async () => {
    nodes.welcome = () =>
      Promise.reject(
        new Failure("conflict", "node id in use", {
          details: { since: 3 },
          leader: "http://other:8080",
          retryAfterMs: 250,
        }),
      );
    const dialled = await nodes.until(nodes.dial());
    expect(dialled.kind).toBe("refused");
    const { kind, message, details, leader, retryAfterMs } = failureOf(dialled);
    expect({ kind, message, details, leader, retryAfterMs }).toEqual({
      kind: "conflict",
      message: "node id in use",
      details: { since: 3 },
      leader: "http://other:8080",
      retryAfterMs: 250,
    });
    nodes.settle();
    expect(nodes.taken).toEqual([]);
    expect(nodes.network.lastPipes?.map((pipe) => pipe.isOver)).toEqual([true, true]);
  });

  test("when this side's check refuses, and the peer hears why", async () => {
    const check = () => Promise.reject(new Failure("denied", "an older claim"));
    const dialled = await nodes.until(nodes.dial({ check }));
    expect([dialled.kind, failureOf(dialled).message]).toEqual(["declined", "an older claim"]);
    nodes.settle();
    expect(nodes.taken[0]?.end).toMatchObject({ kind: "refused", message: "an older claim" });
  });

  test("when the peer's check takes too long", async () => {
    nodes.welcome = () => new Promise(() => {});
    const dialled = await nodes.until(nodes.dial());
    expect(dialled.kind).toBe("refused");
    expect(failureOf(dialled).kind).toBe("unavailable");
    expect(nodes.timeline.nowMs).toBeLessThan(PEER_HELLO_MS + PEER_CHECK_MS);
  });

  test("with another secret, and the answer says nothing that would help", async () => {
    const dialled = await nodes.until(nodes.dial({ secret: "another" }));
    expect(dialled.kind).toBe("denied");
    expect(nodes.knocked).toEqual([]);
  });

  test.each(Object.values(HEADER).filter((name) => name !== HEADER.version))(
    "when %s is missing, or changed on the way",
    async (name) => {
      const without = changing(({ [name]: _, ...others }) => others);
      expect((await nodes.until(nodes.dial({ network: without }))).kind).toBe("denied");
      const changed = changing((headers) => ({
        ...headers,
        [name]: `${headers[name]}`.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
      }));
      expect((await nodes.until(nodes.dial({ network: changed }))).kind).toBe("denied");
      expect(nodes.knocked).toEqual([]);
    },
  );

  test("with another version, and the answer says which one is spoken", async () => {
    const network: Network = {
      request: async (request) => {
        const headers = { ...request.headers, [HEADER.version]: "7" };
        const answer = await nodes.network.request({ ...request, headers });
        if (answer.kind !== "answered") return answer;
        expect(answer.headers[HEADER.version]).toBe("1");
        return { ...answer, headers: { ...answer.headers, [HEADER.version]: "7" } };
      },
    };
    const dialled = await nodes.until(nodes.dial({ network }));
    expect(dialled.kind).toBe("other_version");
    expect(failureOf(dialled).message).toContain("version 7");
  });

  test("at a door that is not there", async () => {
    expect((await nodes.until(nodes.dial({ name: "nowhere" }))).kind).toBe("stranger");
    expect((await nodes.until(nodes.dial({ name: "constructor" }))).kind).toBe("stranger");
  });

  test("when the answer comes from somebody who does not know the secret", async () => {
    const network: Network = {
      request: async (request) => {
        const answer = await nodes.network.request(request);
        if (answer.kind !== "answered") return answer;
        const proof = "0".repeat(64);
        return { ...answer, headers: { ...answer.headers, [HEADER.proof]: proof } };
      },
    };
    expect((await nodes.until(nodes.dial({ network }))).kind).toBe("denied");
    nodes.settle();
    expect(nodes.knocked).toEqual([]);
  });

  test("when the answer is an older one, to another request", async () => {
    await nodes.open();
    const older = await nodes.until(nodes.network.request(nodes.network.lastRequest!));
    const network: Network = {
      request: async (request) => {
        const answer = await nodes.network.request(request);
        if (answer.kind !== "answered" || older.kind !== "answered") return answer;
        return { ...answer, headers: older.headers };
      },
    };
    expect((await nodes.until(nodes.dial({ network }))).kind).toBe("denied");
  });

  test("when the hello does not come in time", async () => {
    await nodes.open();
    const request = nodes.network.lastRequest!;
    const repeated = await nodes.until(nodes.network.request(request));
    expect(repeated).toMatchObject({ kind: "answered", status: 200 });
    const [caller, called] = nodes.network.lastPipes!;
    nodes.pass(PEER_HELLO_MS - 100);
    expect(called.isOver).toBe(false);
    nodes.pass(200);
    expect([caller.isOver, called.isOver]).toEqual([false, true]);
    expect(nodes.knocked.length).toBe(1);
  });

  test("by repeating a whole conversation", async () => {
    const said: Uint8Array[] = [];
    const recording: Network = {
      request: async (request) => {
        const answer = await nodes.network.request(request);
        const [caller] = nodes.network.lastPipes ?? [];
        if (caller !== undefined) caller.onTheWay = (bytes) => (said.push(bytes), [bytes]);
        return answer;
      },
    };
    const [caller] = await nodes.open({ network: recording });
    caller.channel.send(20, "a command");
    nodes.settle();
    expect(nodes.taken[0]?.heads).toEqual(["a command"]);
    expect(said.length).toBe(2);

    await nodes.until(nodes.network.request(nodes.network.lastRequest!));
    const [again, called] = nodes.network.lastPipes!;
    for (const bytes of said) again.write(bytes);
    nodes.settle();
    expect(called.isOver).toBe(true);
    expect(nodes.knocked.length).toBe(1);
    expect(nodes.taken.length).toBe(1);
  });

  test("where nobody listens", async () => {
    nodes.network.refuse(ADDRESS);
    expect((await nodes.until(nodes.dial())).kind).toBe("no_listener");
  });

  test("where nothing answers", async () => {
    nodes.network.silence(ADDRESS);
    expect((await nodes.until(nodes.dial())).kind).toBe("silent");
    expect(nodes.timeline.nowMs).toBeLessThanOrEqual(PEER_CONNECT_MS);
  });

  test("where the other end answers and then falls silent", async () => {
    nodes.welcome = () => {
      nodes.network.lastPipes?.[1].hold();
      return Promise.resolve({});
    };
    expect((await nodes.until(nodes.dial())).kind).toBe("silent");
    expect(nodes.timeline.nowMs).toBeLessThanOrEqual(PEER_HELLO_MS + PEER_CHECK_MS + 10);
  });

  test("where the other process dies before its hello", async () => {
    nodes.welcome = () => {
      nodes.network.lastPipes?.[1].destroy();
      return Promise.resolve({});
    };
    expect((await nodes.until(nodes.dial())).kind).toBe("reset");
  });
});
