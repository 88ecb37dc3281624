import { expect, test } from "bun:test";
import lock from "../../../package-lock.json" with { type: "json" };

interface Package {
  readonly version?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

// `npm install` leaves out packages of other platforms that its registry does not have, and
// `npm ci` then refuses the whole file everywhere.
test("the lock names the packages of every platform", () => {
  const packages: Readonly<Record<string, Package>> = lock.packages;
  const wanted = Object.values(packages).flatMap(({ optionalDependencies = {} }) =>
    Object.entries(optionalDependencies)
  );
  expect(wanted.length).toBeGreaterThan(10);
  for (const [name, version] of wanted) {
    expect(`${name} ${packages[`node_modules/${name}`]?.version}`).toBe(`${name} ${version}`);
  }
});
