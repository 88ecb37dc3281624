/** The entry of a writer process: the parent's messages, in order, to the session of its workspace. */
import { isFailure } from "../base/failure.ts";
import type { ParentPort } from "./child.ts";
import { sqlFailure } from "./sql-error.ts";
import { WriterSession } from "./writer-session.ts";
import { warmUpWriter } from "./writer-warm-up.ts";
import type { FromWriter, ToWriter } from "./writer-message.ts";

/** Whoever starts a process for work sends it with the start. */
const WARM_UP_AFTER_MS = 50;

export function main(port: ParentPort): void {
  const send = (message: FromWriter): void => port.send(message);
  let session: WriterSession | null = null;
  // One that was started in advance has the time.
  const warming = setTimeout(() => {
    try {
      warmUpWriter();
    } catch {
      // It is as fast as one that was not started in advance.
    }
  }, WARM_UP_AFTER_MS);
  port.onMessage((received) => {
    const message = received as ToWriter;
    try {
      if (message.kind === "open") {
        clearTimeout(warming);
        session = new WriterSession(message, send);
        return send({ kind: "ready" });
      }
      if (session === null) throw new Error(`a writer got ${message.kind} before open`);
      switch (message.kind) {
        case "execute":
          return session.execute(message);
        case "take":
          return session.take(message);
        case "rewrite":
          return session.rewrite(message);
      }
    } catch (error) {
      const fatal = message.kind !== "rewrite" || !isFailure(error);
      send({ kind: "failed", fatal, failure: sqlFailure(error, `Cannot ${message.kind}`) });
    }
  });
}
