import { describe, expect, test } from "bun:test";
import { ownAddress } from "../../../src/cli/peers.ts";
import { loadConfig } from "../../../src/config/config.ts";

function config(listen: string, advertised?: string) {
  const text = JSON.stringify({
    listen,
    cluster_mode: advertised === undefined ? {} : { advertised_host: advertised },
    storage: { primary_backend: { type: "filesystem", path: "/x" } },
  });
  return loadConfig({ environment: {}, file: { name: "config.yaml", text }, flags: [] });
}

const HERE = [{ address: "http://127.0.0.1:8080" }, { address: "http://localhost" }];
const ELSEWHERE = [{ address: "http://10.0.0.7:8080" }];

describe("the address that others would be told", () => {
  test("may be of this machine alone where all nodes are on it", async () => {
    for (const others of [[], HERE]) {
      expect(await ownAddress(config("127.0.0.1:8080"), others)).toEqual([]);
    }
  });

  test("is wrong where other nodes are elsewhere and it is of this machine alone", async () => {
    for (const listen of ["127.0.0.1:8080", "[::1]:8080", "localhost:8080"]) {
      const [finding] = await ownAddress(config(listen), ELSEWHERE);
      expect(finding?.verdict).toBe("wrong");
      expect(finding?.what).toContain("set cluster_mode.advertised_host");
    }
  });

  test("is wrong where nobody listens for the others, or the name has no address", async () => {
    const [unheard] = await ownAddress(config("127.0.0.1:8080", "10.0.0.1"), ELSEWHERE);
    expect(unheard?.what).toContain("set listen to 0.0.0.0:8080");
    const [unknown] = await ownAddress(config("0.0.0.0:8080", "nobody.invalid"), ELSEWHERE);
    expect(unknown).toEqual({
      verdict: "wrong",
      what: "nobody.invalid, where others would look for this node, has no address; " +
        "set cluster_mode.advertised_host",
    });
  });

  test("is doubtful where its name is this machine's own for itself", async () => {
    const [finding] = await ownAddress(config("0.0.0.0:8080", "ip6-localhost"), ELSEWHERE);
    expect(["warning", "wrong"]).toContain(finding?.verdict ?? "");
  });

  test("is good where it is an address, and listened at", async () => {
    expect(await ownAddress(config("0.0.0.0:8080", "10.0.0.1"), ELSEWHERE)).toEqual([
      { verdict: "good", what: "the others would reach this node at 10.0.0.1 (10.0.0.1)" },
    ]);
  });
});
