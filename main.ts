/**
 * argv in, exit code out. Child processes start here too, so the hidden argument that makes this one
 * a child is looked for first, and everything is imported only where it is needed.
 */
if (Bun.argv[2] === "__child") {
  const { runChild } = await import("./src/database/child-main.ts");
  await runChild(Bun.argv[3], Bun.argv[4], {
    query: () => import("./src/lake/query/query-child.ts"),
    loader: () => import("./src/lake/load/loader-child.ts"),
  });
} else {
  const { runCli } = await import("./src/cli/main.ts");
  process.exit(await runCli(Bun.argv.slice(2)));
}
