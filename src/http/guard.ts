/** Who asks, and may they? Every request passes here before anything of it is carried out. */
import { Failure } from "../base/failure.ts";
import { isCatalogName, SYSTEM_DATABASE } from "../epoch/name.ts";
import type { Access, Caller } from "./access.ts";
import { pathOf } from "./answer.ts";
import { scopeMissing, unknownCaller } from "./denied.ts";
import type { Need } from "./need.ts";
import { type Action, ADMIN, Grants } from "./scope.ts";

/** Who asks while nobody has to say so. */
const ANONYMOUS: Caller = {
  subject: "anonymous",
  kind: "anonymous",
  grants: new Grants([ADMIN]),
};

/** Names of parameters under which people put secrets into URLs, where logs and histories see them. */
const SECRET_PARAMETERS = [
  "token",
  "access_token",
  "auth",
  "authorization",
  "bearer",
  "api_key",
  "password",
  "secret",
];

const SCHEME = /^bearer +/i;

export class Guard {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  /** Throws `denied` (401). Reads one header, and waits for nothing. */
  callerOf(request: Request): Caller {
    if (!this.#access.required) return ANONYMOUS;
    const header = request.headers.get("authorization");
    if (header === null) {
      throw unknownCaller(
        "token_missing",
        "This needs a token: send the header Authorization: Bearer TOKEN; " +
          "headgate token create makes one",
      );
    }
    const [scheme] = SCHEME.exec(header) ?? [];
    if (scheme === undefined) {
      throw unknownCaller(
        "token_invalid",
        "The header Authorization is not the word Bearer and a token",
      );
    }
    return this.#access.verify(header.slice(scheme.length));
  }

  /** Throws `denied` (403). */
  demand({ grants, subject }: Caller, action: Action, name: string): void {
    if (grants.allow(action, name)) return;
    const scope = name === SYSTEM_DATABASE ? ADMIN : `${action}:${name}`;
    throw scopeMissing(`${action} ${name}`, subject, scope);
  }

  /** The same for a database: the catalog of a lake has the name of another lake's scope. */
  demandDatabase(caller: Caller, action: Action, name: string): void {
    if (!isCatalogName(name)) return this.demand(caller, action, name);
    if (!caller.grants.isAdmin) throw scopeMissing(`${action} ${name}`, caller.subject, ADMIN);
  }

  /** Throws `denied` (401 or 403). */
  admit(request: Request, need: Need): void {
    if (need.kind === "nothing") return;
    const caller = this.callerOf(request);
    if (need.kind === "scope") return this.demand(caller, need.action, need.name);
    if (need.kind === "token" || caller.grants.isAdmin) return;
    throw scopeMissing(`${request.method} ${pathOf(request)}`, caller.subject, ADMIN);
  }
}

/** Throws `invalid`, without repeating the URL. */
export function refuseSecretsInUrl(url: string): void {
  const start = url.indexOf("?");
  if (start < 0) return;
  for (const name of new URLSearchParams(url.slice(start)).keys()) {
    if (!SECRET_PARAMETERS.includes(name.toLowerCase())) continue;
    throw new Failure(
      "invalid",
      `The URL has the parameter ${name.toLowerCase()}: secrets are never in a URL; ` +
        "send the header Authorization: Bearer TOKEN",
    );
  }
}
