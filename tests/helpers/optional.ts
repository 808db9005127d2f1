/**
 * Whether something that a suite needs is `present`. Without it the suite is skipped, and a line on stderr says what is
 * `missing`. Where it is `required`, which it is in CI by default, its absence is an error: no suite is lost unnoticed.
 */
export function available(present: boolean, missing: string, required = process.env.CI === 'true'): boolean {
  if (!present && required) throw new Error(`${missing}. These tests must not be skipped here.`);
  if (!present) console.warn(`Tests are skipped: ${missing}.`);
  return present;
}
