/** Which Headgate this is. The build says both; run from the sources, the version is the next one. */
declare const HEADGATE_VERSION: string | undefined;
declare const HEADGATE_COMMIT: string | undefined;

/** The same as in package.json. */
export const VERSION: string = typeof HEADGATE_VERSION === "string" ? HEADGATE_VERSION : "0.1.0";

/** Short commit hash of the build, or "source". */
export const COMMIT: string = typeof HEADGATE_COMMIT === "string" ? HEADGATE_COMMIT : "source";
