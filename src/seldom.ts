/**
 * A handler of errors that come in floods: calls `report` with the first of each message, and with the next one after
 * `intervalMs`, together with how many there were in between. At most 100 messages are told apart at a time.
 */
export function seldom(
  report: (error: Error, repeated: number) => void,
  intervalMs = 30_000,
  now: () => number = () => performance.now(),
): (error: Error) => void {
  const known = new Map<string, { reportedMs: number; repeated: number }>();
  return (error) => {
    const last = known.get(error.message);
    if (last && now() - last.reportedMs < intervalMs) {
      last.repeated++;
      return;
    }
    if (known.size >= 100) known.clear();
    known.set(error.message, { reportedMs: now(), repeated: 0 });
    report(error, last?.repeated ?? 0);
  };
}
