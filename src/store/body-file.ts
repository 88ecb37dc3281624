/** A body in a file is only as good as the file: it is looked at before anything is sent. */
import { stat } from "node:fs/promises";
import { Failure } from "../base/failure.ts";
import type { FileBody } from "./store.ts";

/** Throws `invalid` for a file that is not there or has another size than the body says. */
export async function checkBodyFile(body: FileBody): Promise<void> {
  const size = await stat(body.path).then((stats) => stats.size, (error) => {
    throw new Failure("invalid", `Cannot read the body ${body.path}`, { cause: error });
  });
  if (size !== body.size) {
    throw new Failure("invalid", `The body ${body.path} has ${size} bytes, not ${body.size}`);
  }
}
