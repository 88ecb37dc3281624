/** The two parts of "host:port". */

/** The port in "host:port". */
export function portOf(listen: string): number {
  return Number(listen.slice(listen.lastIndexOf(":") + 1));
}

/** The host in "host:port", without the brackets of an IPv6 address. */
export function hostOf(listen: string): string {
  return listen.slice(0, listen.lastIndexOf(":")).replace(/^\[(.*)\]$/, "$1");
}

export function isLoopback(listen: string): boolean {
  const host = hostOf(listen);
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
