/**
 * argv in, exit code out. Child processes start here too, so the hidden argument that makes this one
 * a child is looked for first, and everything is imported only where it is needed.
 */
if (Bun.argv[2] === "__child") {
  const { runChild } = await import("./src/database/child-main.ts");
  const { LAKE_ROLES } = await import("./src/lake/child-roles.ts");
  await runChild(Bun.argv[3], Bun.argv[4], LAKE_ROLES);
} else {
  const { runCli } = await import("./src/cli/main.ts");
  process.exit(await runCli(Bun.argv.slice(2)));
}
