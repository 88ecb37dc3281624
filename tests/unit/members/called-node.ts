/**
 * A node in a process of its own, to be killed and stopped: it prints its port and echoes frames
 * and calls, but for those that are to wait for ever.
 */
import { systemClock as clock } from "../../../src/base/clock.ts";
import { silentLog as log } from "../../../src/base/log.ts";
import { systemRandom as random } from "../../../src/base/random.ts";
import { accept } from "../../../src/members/accept.ts";
import { type Answerer, Answers } from "../../../src/members/answers.ts";
import { CALL_TYPE } from "../../../src/members/call-frame.ts";
import { listenForPeers } from "../../../src/members/http2-listen.ts";

const answer: Answerer = ({ name, head, text }) =>
  name === "wait" ? new Promise(() => {}) : Promise.resolve({ head, text });

const listener = await listenForPeers({
  host: "127.0.0.1",
  port: 0,
  clock,
  accept: (path, headers) =>
    accept(path, headers, {
      clock,
      random,
      log,
      secret: process.argv[2] ?? "",
      self: { node: "node-called", process: "process-1" },
      doors: {
        link: {
          welcome: () => Promise.resolve(null),
          onChannel: (channel) => {
            const answers = new Answers(channel, { clock, log, answer });
            channel.start({
              onFrame: (frame) => {
                const { type, head, tail } = frame;
                if (type === CALL_TYPE.calls) answers.take(frame);
                else channel.send(type, head, tail);
              },
              onClose: () => {},
            });
          },
        },
      },
    }),
});
console.log(listener.port);
