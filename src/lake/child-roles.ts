/** What child processes do for lakes. Each loads its own part, and nothing of the others'. */
import type { OtherRoles } from "../database/child-main.ts";

export const LAKE_ROLES: OtherRoles = {
  query: () => import("./query/query-child.ts"),
  loader: () => import("./load/loader-child.ts"),
};
