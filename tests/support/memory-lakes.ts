/** Lakes for tests of routes: they keep what they were asked and answer what the test says. */
import { Failure } from "../../src/base/failure.ts";
import type { HeadgateNode } from "../../src/http/node.ts";

type LakesPort = HeadgateNode["lakes"];
type Call = { readonly call: keyof LakesPort; readonly arguments: readonly unknown[] };

export class MemoryLakes {
  readonly seen: Call[] = [];
  /** What calls answer, by their name, or what makes the answer of what was asked. */
  readonly answers: Partial<Record<keyof LakesPort, unknown>> = {};

  /** As the routes see it. */
  get port(): LakesPort {
    return new Proxy({} as LakesPort, {
      get: (_, call: keyof LakesPort) => (...given: readonly unknown[]) => {
        this.seen.push({ call, arguments: given });
        if (call === "enter") return this.answers.enter ?? { take: () => {}, leave: () => {} };
        if (call === "list") return this.answers.list ?? [];
        if (!(call in this.answers)) {
          return Promise.reject(new Failure("missing", "There is no such lake"));
        }
        const answer = this.answers[call];
        return Promise.try(() => typeof answer === "function" ? answer(...given) : answer);
      },
    });
  }
}
