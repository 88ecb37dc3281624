/**
 * Named places at which a test can end the process as `kill -9` would: HEADGATE_CRASH_AT=name, or
 * name@N for the Nth time. A released binary is built with HEADGATE_RELEASE set, and then has none.
 */
declare const HEADGATE_RELEASE: boolean | undefined;

export function crashPoints(environment: Readonly<Record<string, string | undefined>>) {
  if (typeof HEADGATE_RELEASE !== "undefined" && HEADGATE_RELEASE) return () => {};
  const [wanted, times = "1"] = (environment["HEADGATE_CRASH_AT"] ?? "").split("@");
  if (!wanted) return () => {};
  let left = Number(times);
  return (name: string): void => {
    if (name === wanted && --left === 0) process.kill(process.pid, "SIGKILL");
  };
}
