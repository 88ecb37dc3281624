/** Lakes for tests of routes: they keep what they were asked and answer what the test says. */
import { Failure } from "../../src/base/failure.ts";
import type { HeadgateNode } from "../../src/http/node.ts";

type LakesPort = HeadgateNode["lakes"];
type Call = { readonly call: keyof LakesPort; readonly arguments: readonly unknown[] };

export class MemoryLakes {
  readonly seen: Call[] = [];
  /** What calls answer, by their name. */
  readonly answers: Partial<Record<keyof LakesPort, unknown>> = {};

  /** As the routes see it. */
  get port(): LakesPort {
    return new Proxy({} as LakesPort, {
      get: (_, call: keyof LakesPort) => (...given: readonly unknown[]) => {
        this.seen.push({ call, arguments: given });
        if (call === "list") return this.answers.list ?? [];
        return call in this.answers
          ? Promise.resolve(this.answers[call])
          : Promise.reject(new Failure("missing", "There is no such lake"));
      },
    });
  }
}
